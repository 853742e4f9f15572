//! `switchback resume`.

use std::io::Write;

use super::client::Client;
use super::{Failure, Reason, change, percentage};
use crate::model::Percentage;

/// How to go on.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
After a reversal or a total rollback this clears the latch at 0 %, unless --percentage names a \
share that is not above the former one.")]
pub struct Args {
    /// Go on at this share of new
    #[arg(long, value_name = "N", value_parser = percentage)]
    pub percentage: Option<Percentage>,
    /// Why.
    #[command(flatten)]
    pub reason: Reason,
}

/// Clears a hold or the latch.
pub(super) fn run(args: &Args, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
    let mut body = serde_json::json!({ "reason": args.reason.reason });
    if let Some(percentage) = args.percentage {
        body["percentage"] = percentage.as_f64().into();
    }
    change(client, "/api/v1/resume", &body, out)
}
