//! `switchback rollback`.

use std::io::Write;

use super::client::Client;
use super::{Failure, Reason, change, percentage};
use crate::model::Percentage;
use crate::split;

/// How far back.
#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// Level 1: one tenant goes to legacy
    Tenant {
        /// The tenant's id
        #[arg(value_name = "ID")]
        id: String,
        /// What becomes of calls that are live on new
        #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
        live: Live,
        /// Why.
        #[command(flatten)]
        reason: Reason,
    },
    /// Level 2: a lower share of new
    Partial {
        /// The share of new from now on
        #[arg(long, value_name = "N", value_parser = percentage)]
        percentage: Percentage,
        /// What becomes of calls that are live on new
        #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
        live: Live,
        /// Why.
        #[command(flatten)]
        reason: Reason,
    },
    /// Level 3: everything to legacy, until `resume`
    Total {
        /// What becomes of calls that are live on new
        #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
        live: Live,
        /// Why.
        #[command(flatten)]
        reason: Reason,
    },
}

/// What becomes of calls that are on new when their next call would go to legacy.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub enum Live {
    /// They finish where they are
    #[default]
    Drain,
    /// Their next voice webhook sends them to legacy's entry, where the route names an `entry`
    Move,
}

impl Live {
    const fn name(self) -> &'static str {
        match self {
            Self::Drain => split::Live::Drain.name(),
            Self::Move => split::Live::Move.name(),
        }
    }
}

/// Steps back.
pub(super) fn run(args: &Args, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
    change(client, "/api/v1/rollback", &args.body(), out)
}

impl Args {
    pub(super) fn body(&self) -> serde_json::Value {
        match self {
            Self::Tenant { id, live, reason } => serde_json::json!({
                "level": "tenant",
                "tenant": id,
                "live": live.name(),
                "reason": reason.reason,
            }),
            Self::Partial {
                percentage,
                live,
                reason,
            } => serde_json::json!({
                "level": "partial",
                "percentage": percentage.as_f64(),
                "live": live.name(),
                "reason": reason.reason,
            }),
            Self::Total { live, reason } => serde_json::json!({
                "level": "total",
                "live": live.name(),
                "reason": reason.reason,
            }),
        }
    }
}
