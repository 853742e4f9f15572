//! `switchback run`.

use std::path::PathBuf;

use super::Failure;

/// What to run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Signals: HUP reads the configuration again; TERM and INT finish what runs, then stop; \
USR1 opens the log files anew.")]
pub struct Args {
    /// The configuration file
    #[arg(long, short, value_name = "FILE")]
    pub config: PathBuf,
}

/// Runs the proxy until a signal ends it.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    // crate::serve::run(&args.config)
    let file = args.config.display();
    Err(Failure::Failed(format!(
        "{file}: this build has no proxy in it"
    )))
}
