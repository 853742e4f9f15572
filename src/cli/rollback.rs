//! `switchback rollback`.

mod data;

use std::io::Write;

use super::client::Client;
use super::{Failure, Reason, change, percentage};
use crate::model::Percentage;
use crate::split;

pub(super) const HELP: &str = "\
Examples:
  switchback rollback tenant clinica-norte --reason \"their menu is wrong on new\"
  switchback rollback partial --percentage 10 --reason \"slower than last week\"
  switchback rollback total --live move --reason \"callers hear silence\"
  switchback rollback data

The first three take --live: `drain`, the default, lets live calls on new finish there; `move` sends \
each to legacy's `entry` at its next voice webhook. `total` may be ordered again while latched, to \
move what was left to finish. Each may be ordered in any phase, and outside any window.";

/// How far back.
#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// Level 1: one tenant goes to legacy
    #[command(after_help = "\
It stays there, whatever the plan does, until `switchback tenant clear ID`. What a tenant is called: \
`switchback explain --tenant ID`, which takes keys as well.

Examples:
  switchback rollback tenant clinica-norte --reason \"their menu is wrong on new\"
  switchback rollback tenant +13125550100 --live move --reason \"silence on new\"")]
    Tenant {
        /// The tenant's id, or a key of it in the tenant directory
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
    #[command(after_help = "\
Tenants on the list of enabled ones stay on new, and are named. The plan stays in its stage and goes \
on only by `switchback advance`.

Examples:
  switchback rollback partial --percentage 10 --reason \"slower than last week\"")]
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
    #[command(after_help = "\
Every call that begins goes to legacy, listed tenants too, and the latch is on: nothing raises \
anything until `switchback resume`. `switchback status` shows, step by step, that it took.

Examples:
  switchback rollback total --reason \"callers hear silence\"
  switchback rollback total --live move --reason \"calls on new are stuck as well\"")]
    Total {
        /// What becomes of calls that are live on new
        #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
        live: Live,
        /// Why.
        #[command(flatten)]
        reason: Reason,
    },
    /// Level 4: data, restored from a backup by the configured command
    Data(data::Args),
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
    match args {
        Args::Data(args) => data::run(args, client, out),
        calls => change(client, "/api/v1/rollback", &calls.body(), out),
    }
}

impl Args {
    /// What the API is told.
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
            Self::Data(args) => args.body(),
            Self::Total { live, reason } => serde_json::json!({
                "level": "total",
                "live": live.name(),
                "reason": reason.reason,
            }),
        }
    }
}
