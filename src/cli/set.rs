//! `switchback set`.

use std::io::Write;

use super::client::Client;
use super::{Failure, Reason, change, percentage};
use crate::model::Percentage;

/// What to set.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  switchback set 10 --reason \"first tenants\"
  switchback set 0 --reason \"a quiet night\"          listed tenants stay on new, and are named
  switchback set 25 --hotfix --reason \"…\"           outside the plan's windows

With a plan `switchback advance` is the way forward; this sets the share by hand.")]
pub struct Args {
    /// Share of new: 25, 12.5, 0
    #[arg(value_name = "PERCENT", value_parser = percentage)]
    pub percentage: Percentage,
    /// Pass over the plan's windows and freezes; stands in the journal
    #[arg(long)]
    pub hotfix: bool,
    /// Why.
    #[command(flatten)]
    pub reason: Reason,
}

/// Sets the share of calls that go to new.
pub(super) fn run(args: &Args, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
    let body = serde_json::json!({
        "percentage": args.percentage.as_f64(),
        "hotfix": args.hotfix,
        "reason": args.reason.reason,
    });
    change(client, "/api/v1/percentage", &body, out)
}
