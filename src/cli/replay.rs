//! `switchback replay`: a rollout told from its journal, and a recorded day held against
//! changed tables.

mod rules;
mod story;
mod trial;

use std::io::Write;
use std::path::PathBuf;

use super::{Failure, Output};

/// What to replay, and against what.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{}\n\nWith --rules:\n{}", story::HELP, rules::HELP))]
pub struct Args {
    /// A state directory or one file of a journal; with --rules the recording: every file of
    /// `[log] outcomes` that is left, in any order
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// How much of a journal.
    #[command(flatten)]
    pub story: story::Options,
    /// The tables to hold a recording against.
    #[command(flatten)]
    pub rules: rules::Options,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Replays it.
pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    match (args.rules.rules.is_some(), args.files.as_slice()) {
        (true, files) => rules::rules(files, &args.rules, args.output, out),
        (false, [journal]) => story::story(journal, &args.story, args.output, out),
        (false, _) => Err(Failure::Usage(
            "a journal is one file or one state directory; a recording of many files needs --rules"
                .to_owned(),
        )),
    }
}
