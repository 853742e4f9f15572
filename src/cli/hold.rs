//! `switchback hold`.

use std::io::Write;

use super::client::Client;
use super::{Failure, Reason, change};

/// Why to hold.
#[derive(Debug, clap::Args)]
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
