//! `switchback rollback`.

use std::io::Write;

use super::client::Client;
use super::{Failure, Reason, change, percentage};
use crate::model::Percentage;

/// How far back.
#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// Level 1: one tenant goes to legacy
    Tenant {
        /// The tenant's id
        #[arg(value_name = "ID")]
        id: String,
        /// Why.
        #[command(flatten)]
        reason: Reason,
    },
    /// Level 2: a lower share of new
    Partial {
        /// The share of new from now on
        #[arg(long, value_name = "N", value_parser = percentage)]
        percentage: Percentage,
        /// Why.
        #[command(flatten)]
        reason: Reason,
    },
    /// Level 3: everything to legacy, until `resume`
    Total {
        /// Why.
        #[command(flatten)]
        reason: Reason,
    },
}

/// Steps back.
pub(super) fn run(args: &Args, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
    change(client, "/api/v1/rollback", &args.body(), out)
}

impl Args {
    pub(super) fn body(&self) -> serde_json::Value {
        match self {
            Self::Tenant { id, reason } => {
                serde_json::json!({ "level": "tenant", "tenant": id, "reason": reason.reason })
            }
            Self::Partial { percentage, reason } => serde_json::json!({
                "level": "partial",
                "percentage": percentage.as_f64(),
                "reason": reason.reason,
            }),
            Self::Total { reason } => {
                serde_json::json!({ "level": "total", "reason": reason.reason })
            }
        }
    }
}
