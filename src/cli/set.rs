//! `switchback set`.

use std::io::Write;

use super::client::Client;
use super::{Failure, Reason, change, percentage};
use crate::model::Percentage;

/// What to set.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Share of new: 25, 12.5, 0
    #[arg(value_name = "PERCENT", value_parser = percentage)]
    pub percentage: Percentage,
    /// Why.
    #[command(flatten)]
    pub reason: Reason,
}

/// Sets the share of calls that go to new.
pub(super) fn run(args: &Args, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
    let body = serde_json::json!({
        "percentage": args.percentage.as_f64(),
        "reason": args.reason.reason,
    });
    change(client, "/api/v1/percentage", &body, out)
}
