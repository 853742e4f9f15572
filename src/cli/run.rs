//! `switchback run`.

use std::path::PathBuf;

use super::{Failure, failure};
use crate::serve::{Redraw, Redrawn};

/// What to run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  switchback run --config switchback.toml
  switchback run --config switchback.toml --rehash   # once, after another hash or salt was chosen

Signals: HUP reads the configuration again, and every `file` it names (what stands in `env` is \
read at the start only); TERM and INT finish what runs, then stop, and the second of them stops now; USR1 opens the access log anew.

RUST_LOG=switchback=debug also says why each webhook was refused or got no answer.")]
pub struct Args {
    /// The configuration file
    #[arg(long, short, value_name = "FILE")]
    pub config: PathBuf,
    /// Take another `by`, `hash` or `salt` than the state was written with: callers change side
    #[arg(long)]
    pub rehash: bool,
}

/// Runs the proxy until a signal ends it.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let loaded = crate::config::load(&args.config)
        .map_err(|report| Failure::Configuration(report.render(true)))?;
    if !loaded.warnings.is_empty() {
        failure::note(loaded.warnings.render(true).trim_end());
    }
    let redraw = if args.rehash {
        Redraw::Taken
    } else {
        Redraw::Refused
    };
    crate::serve::run(loaded.config, redraw).map_err(failed)
}

/// A file that does not suit the state is wrong in its place, though well written.
fn failed(error: anyhow::Error) -> Failure {
    match error.downcast_ref::<Redrawn>() {
        Some(redrawn) => Failure::Configuration(format!("error: {redrawn}")),
        None => Failure::Failed(format!("{error:#}")),
    }
}
