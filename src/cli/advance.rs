//! `switchback advance`.

use std::io::Write;

use super::client::Client;
use super::{Failure, Reason, change};

/// How to go on.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The next stage of the plan begins if the one that runs has soaked, has seen its calls, every \
gate passes and the calendar allows it; else the answer names everything that is missing. \
Where the next stage asks for approval, this is it. After the last stage the plan is complete.

Examples:
  switchback advance --reason \"pilot week went well, ok by Ana\"
  switchback advance --hotfix --reason \"callers hear the wrong menu\"
  switchback advance --insist --reason \"two calls a day: no gate will ever see enough\"")]
pub struct Args {
    /// Pass over windows, hours and freezes; stands in the journal
    #[arg(long)]
    pub hotfix: bool,
    /// Pass over soak, calls, gates and blind rows; stands in the journal
    #[arg(long)]
    pub insist: bool,
    /// Why.
    #[command(flatten)]
    pub reason: Reason,
}

/// Begins the next stage.
pub(super) fn run(args: &Args, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
    let body = serde_json::json!({
        "hotfix": args.hotfix,
        "insist": args.insist,
        "reason": args.reason.reason,
    });
    change(client, "/api/v1/advance", &body, out)
}
