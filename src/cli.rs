//! The command line: one small file a command.
//!
//! Data goes to stdout, messages to stderr, and how it went into the exit code:
//! 0 well, 1 failure, 2 usage, 69 admin not reachable, 77 not permitted,
//! 78 configuration. Colours follow `NO_COLOR` and whether a terminal looks on.

pub mod check;
pub mod client;
pub mod demo;
mod explain;
mod failure;
mod hold;
mod reload;
mod resume;
mod rollback;
pub mod run;
mod set;
pub mod status;
mod tenant;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::Styles;
use clap::builder::styling::AnsiColor;
use clap::{Parser, Subcommand};

use self::client::Client;
pub use self::failure::Failure;
use crate::model::Percentage;

/// A reverse proxy that moves telephone calls from a legacy voice backend to a
/// new one, and back by itself when the new one fails.
#[derive(Debug, Parser)]
#[command(
    name = "switchback",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    styles = STYLES,
    after_help = AFTER_HELP
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How to reach a running Switchback.
    #[command(flatten)]
    pub admin: AdminArgs,
}

/// How to reach a running Switchback.
#[derive(Clone, Debug, clap::Args)]
pub struct AdminArgs {
    /// The running Switchback's admin address
    #[arg(
        long,
        global = true,
        help_heading = REACHING,
        value_name = "URL",
        env = "SWITCHBACK_ADMIN",
        default_value = "http://127.0.0.1:9901"
    )]
    pub admin: String,
    /// File with the admin token (or set SWITCHBACK_TOKEN)
    #[arg(long, global = true, help_heading = REACHING, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the proxy
    Run(run::Args),
    /// Read a configuration and show every problem in it
    Check(check::Args),
    /// Watch a rollout go wrong and come back, all in this terminal
    Demo(demo::Args),
    /// Where the rollout stands
    Status(status::Args),
    /// Where a tenant's next call goes, or where a call is, and why
    Explain(explain::Args),
    /// Set the share of calls that go to new
    Set(set::Args),
    /// Mark the rollout as held, until `resume`; calls go where they went
    Hold(hold::Args),
    /// Go on after a hold, a reversal or a rollback
    Resume(resume::Args),
    /// Step back toward legacy; never raises anything
    #[command(
        subcommand,
        after_help = "Each takes --live: `drain`, the default, lets live calls on new finish there; \
                      `move` sends each to legacy's `entry` at its next voice webhook. `total` may be \
                      ordered again while latched, to move what was left to finish."
    )]
    Rollback(rollback::Args),
    /// Put one tenant on new or legacy by hand
    #[command(subcommand)]
    Tenant(tenant::Args),
    /// Read the configuration file again
    Reload(reload::Args),
}

/// Why, for the journal and for people later.
#[derive(Clone, Debug, clap::Args)]
pub struct Reason {
    /// Why; stands in the journal
    #[arg(long, value_name = "WORDS", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub reason: String,
}

/// How data is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs: what the API said.
    Json,
}

/// The options every command takes stand apart from its own.
const REACHING: &str = "Reaching a running Switchback (not for run, check, demo)";

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const AFTER_HELP: &str = "\
Examples:
  switchback demo
  switchback check --config config/switchback.toml
  switchback run --config config/switchback.toml
  switchback status --watch
  switchback set 10 --reason \"pilot went well\"
  switchback rollback total --reason \"callers hear silence\"

Exit codes: 0 well, 1 failure, 2 usage, 69 admin not reachable, 77 not permitted,
78 configuration";

/// Does what the command line says and tells how it went.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(usage) => {
            // Help and version come this way too, with code 0. If even printing
            // fails there is nobody to tell.
            drop(usage.print());
            return ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2));
        }
    };
    let mut out = anstream::stdout().lock();
    match cli.execute(&mut out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.code())
        }
    }
}

impl Cli {
    fn execute(self, out: &mut dyn Write) -> Result<(), Failure> {
        let client = || Client::from_args(&self.admin);
        match self.command {
            Command::Run(args) => run::run(&args),
            Command::Check(args) => check::run(&args, out),
            Command::Demo(args) => demo::run(&args),
            Command::Status(args) => status::run(&args, &client()?, out),
            Command::Explain(args) => explain::run(&args, &client()?, out),
            Command::Set(args) => set::run(&args, &client()?, out),
            Command::Hold(args) => hold::run(&args, &client()?, out),
            Command::Resume(args) => resume::run(&args, &client()?, out),
            Command::Rollback(args) => rollback::run(&args, &client()?, out),
            Command::Tenant(args) => tenant::run(&args, &client()?, out),
            Command::Reload(args) => reload::run(&args, &client()?, out),
        }
    }
}

/// Reads `25`, `12.5` or `25%`.
fn percentage(text: &str) -> Result<Percentage, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    let number = number.parse().ok().and_then(Percentage::new);
    number.ok_or_else(|| "a percentage is 0 to 100, at most 0.01 fine: 25, 12.5, 0.01".to_owned())
}

/// Sends a change and prints what came of it. A change that is not on disk yet is
/// in force all the same, and said so.
fn change(
    client: &Client,
    path: &str,
    body: &serde_json::Value,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let done: crate::admin::shapes::Done = client.post(path, body)?.read()?;
    writeln!(out, "{}", done.said)?;
    if !done.durable {
        failure::note(
            "It is in force, but not on disk yet: a restart could forget it. Look at the disk of \
             the state directory.",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
