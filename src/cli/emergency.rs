//! `switchback emergency-stop`.

use std::io::Write;

use super::client::Client;
use super::{Failure, Reason, change};

/// Why to stop.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every call that begins goes to legacy, or hears the route's last resort, as `[emergency] to` in the \
configuration says; calls that run go on. It holds until `resume`, may be ordered in any phase, and \
ordered twice it is the same.

Examples:
  switchback emergency-stop --reason \"callers hear other callers\"
  switchback resume --reason \"found and mended: a shared cache\"")]
pub struct Args {
    /// Why.
    #[command(flatten)]
    pub reason: Reason,
}

/// Stops.
pub(super) fn run(args: &Args, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
    let body = serde_json::json!({ "reason": args.reason.reason });
    change(client, "/api/v1/emergency-stop", &body, out)
}
