//! `switchback demo`.

use super::Failure;

/// What to show.
#[derive(Debug, clap::Args)]
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
}

/// What goes wrong in the new backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// It answers with status 500.
    #[default]
    Errors,
    /// It answers 200 with documents no provider can run.
    Documents,
    /// It answers late.
    Slow,
    /// It does not answer at all.
    Down,
}

/// Tells the story on this terminal.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    // crate::demo::run(args)
    let fault = args.fault;
    Err(Failure::Failed(format!(
        "{fault:?}: this build has no demo in it"
    )))
}
