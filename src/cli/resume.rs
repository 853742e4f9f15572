//! `switchback resume`.

use std::io::Write;

use super::client::Client;
use super::{Failure, Reason, change, percentage};
use crate::model::Percentage;

/// How to go on.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
After a hold or a step back it goes on where it is. After a reversal, a total rollback or an \
emergency stop it clears the latch at 0 %, unless --percentage names a share that is not above the \
former one. A plan goes on in the last stage that asks for no more than that; at 0 % it begins anew \
with `switchback advance`, also where it goes on by itself.

Examples:
  switchback resume --reason \"prompt mended, replayed yesterday's calls\"
  switchback resume --percentage 5 --reason \"…\"")]
pub struct Args {
    /// Go on at this share of new
    #[arg(long, value_name = "N", value_parser = percentage)]
    pub percentage: Option<Percentage>,
    /// Pass over the plan's windows and freezes; stands in the journal
    #[arg(long)]
    pub hotfix: bool,
    /// Why.
    #[command(flatten)]
    pub reason: Reason,
}

/// Clears a hold or the latch.
pub(super) fn run(args: &Args, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
    let mut body = serde_json::json!({ "hotfix": args.hotfix, "reason": args.reason.reason });
    if let Some(percentage) = args.percentage {
        body["percentage"] = percentage.as_f64().into();
    }
    change(client, "/api/v1/resume", &body, out)
}
