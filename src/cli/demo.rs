//! `switchback demo`.

use std::net::SocketAddr;

use super::Failure;
use crate::demo::{Fault, Options, preset};

/// What to show.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  switchback demo                    errors, the rescues and the reversal
  switchback demo --fault documents  status 200, and documents nobody can run
  switchback demo --fault both       legacy fails as well: what callers hear then
  switchback demo --fault none       a good day
  switchback demo --forever          keeps running, for a look at the API and the metrics
  switchback demo --preset ivr-texml          a shipped preset's plan, weeks in half a minute
  switchback demo --preset ivr-texml --fault  … and its tables when new breaks down midway

Exit code 0 if it went as it should: no caller lost while legacy was well, no new call
on new after the reversal, no call moved unasked; 1 if not. With --preset the callers and the
time are simulated and the engine is the real one: 0 if the plan came to its end, or its tables
acted on the fault and on nothing else. Everything stays on this machine.")]
pub struct Args {
    /// Play a shipped preset's plan in simulated time instead
    #[arg(long, value_name = "NAME", value_parser = preset::parser(), conflicts_with_all = ["forever", "calls", "listen"])]
    pub preset: Option<preset::Preset>,
    /// Keep running after the story is told, until Ctrl-C
    #[arg(long)]
    pub forever: bool,
    /// What goes wrong in the new backend [default: errors; with --preset: none]
    #[arg(
        long,
        value_name = "KIND",
        value_enum,
        num_args = 0..=1,
        default_missing_value = "errors"
    )]
    pub fault: Option<Fault>,
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
    let told = match args.preset {
        Some(preset) => preset::run(preset, args.fault.unwrap_or(Fault::None)),
        None => crate::demo::run(options(args)),
    };
    match told {
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

fn options(args: &Args) -> Options {
    Options {
        fault: args.fault.unwrap_or_default(),
        forever: args.forever,
        calls_per_second: args.calls,
        admin: args.listen,
    }
}
