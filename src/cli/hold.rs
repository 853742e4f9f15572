//! `switchback hold`.

use std::io::Write;

use super::client::Client;
use super::{Failure, Reason, change};

/// Why to hold.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
No stage begins and the plan is not completed, by itself or by `advance`, until `resume`. Soaks go on \
being counted, rows go on acting, and every call goes where it went. Held \
twice is held once.

Examples:
  switchback hold --reason \"the carrier has an outage, no judging new by that\"
  switchback resume --reason \"the carrier is back\"")]
pub struct Args {
    /// Why.
    #[command(flatten)]
    pub reason: Reason,
}

/// Marks it as held.
pub(super) fn run(args: &Args, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
    let body = serde_json::json!({ "reason": args.reason.reason });
    change(client, "/api/v1/hold", &body, out)
}
