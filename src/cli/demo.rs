//! `switchback demo`.

use std::net::SocketAddr;

use super::Failure;
use crate::demo::{Fault, Options};

/// What to show.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  switchback demo                    errors, the rescues and the reversal
  switchback demo --fault documents  status 200, and documents nobody can run
  switchback demo --fault both       legacy fails as well: what callers hear then
  switchback demo --fault none       a good day
  switchback demo --forever          keeps running, for a look at the API and the metrics

Exit code 0 if it went as it should: no caller lost while legacy was well, no new call
on new after the reversal, no call moved unasked; 1 if not. Everything stays on this machine.")]
pub struct Args {
    /// Keep running after the story is told, until Ctrl-C
    #[arg(long)]
    pub forever: bool,
    /// What goes wrong in the new backend
    #[arg(
        long,
        value_name = "KIND",
        value_enum,
        default_value_t,
        num_args = 0..=1,
        default_missing_value = "errors"
    )]
    pub fault: Fault,
    /// New calls a second
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub calls: u32,
    /// Where the demo's API and metrics listen; port 0 takes a free one [default:
    /// 127.0.0.1:9901, or a free port where that is taken]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
}

/// Tells the story on this terminal.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let options = Options {
        fault: args.fault,
        forever: args.forever,
        calls_per_second: args.calls,
        admin: args.listen,
    };
    match crate::demo::run(options) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::Failed(
            "the demo did not go as it should; see above".to_owned(),
        )),
        // The reader of a pipe may have seen enough.
        Err(error) => Err(match error.downcast::<std::io::Error>() {
            Ok(error) => Failure::Output(error),
            Err(error) => Failure::Failed(format!("{error:#}")),
        }),
    }
}
