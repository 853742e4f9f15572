//! `switchback run`.

use std::path::PathBuf;

use super::{Failure, failure};

/// What to run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Signals: HUP reads the configuration again, and every `file` it names (what stands in `env` is \
read at the start only); TERM and INT finish what runs, then stop, and the second of them stops now; USR1 opens the access log anew.

RUST_LOG=switchback=debug also says why each webhook was refused or got no answer.")]
pub struct Args {
    /// The configuration file
    #[arg(long, short, value_name = "FILE")]
    pub config: PathBuf,
}

/// Runs the proxy until a signal ends it.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let loaded = crate::config::load(&args.config)
        .map_err(|report| Failure::Configuration(report.render(true)))?;
    if !loaded.warnings.is_empty() {
        failure::note(loaded.warnings.render(true).trim_end());
    }
    crate::serve::run(loaded.config).map_err(|error| Failure::Failed(format!("{error:#}")))
}
