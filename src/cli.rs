//! The command line: one small file a command.
//!
//! Data goes to stdout, messages to stderr, and how it went into the exit code:
//! 0 well, 1 failure, 2 usage, 69 admin not reachable, 77 not permitted,
//! 78 configuration. Colours follow `NO_COLOR` and whether a terminal looks on.

mod advance;
pub mod check;
pub mod client;
pub mod demo;
mod emergency;
mod explain;
mod failure;
mod hold;
mod reload;
mod replay;
mod resume;
mod rollback;
pub mod run;
mod set;
mod shell;
mod simulate;
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
    /// The running Switchback's admin address [default: SWITCHBACK_ADMIN, else
    /// http://127.0.0.1:9901]
    // Read from the environment by us: what clap reads there, it shows in every usage line
    // as if it were asked for.
    #[arg(long, global = true, help_heading = REACHING, value_name = "URL")]
    pub admin: Option<String>,
    /// File with the admin token (or set SWITCHBACK_TOKEN)
    #[arg(long, global = true, help_heading = REACHING, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

impl AdminArgs {
    /// The address, where the environment says this.
    fn address(&self, from_environment: Option<String>) -> String {
        let given = self.admin.clone();
        let from_environment = from_environment.filter(|address| !address.is_empty());
        let address = given.or(from_environment);
        address.unwrap_or_else(|| "http://127.0.0.1:9901".to_owned())
    }
}

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the proxy
    Run(run::Args),
    /// Show every problem in a configuration, and how soon its rows would notice a fault
    Check(check::Args),
    /// Watch a rollout go wrong and come back, all in this terminal
    Demo(demo::Args),
    /// Where the rollout stands
    Status(status::Args),
    /// Where a tenant's next call goes, or where a call is, and why
    Explain(explain::Args),
    /// Set the share of calls that go to new
    Set(set::Args),
    /// Begin the next stage of the plan, or hear what it waits for
    Advance(advance::Args),
    /// Keep the plan where it is, until `resume`; calls go where they went
    Hold(hold::Args),
    /// Go on after a hold, a step back, a reversal, a rollback or an emergency stop
    Resume(resume::Args),
    /// Step back toward legacy; never raises anything
    #[command(subcommand, after_help = rollback::HELP)]
    Rollback(rollback::Args),
    /// Everything that begins to legacy, or to nobody, at once
    EmergencyStop(emergency::Args),
    /// Put one tenant on new or on legacy by hand, or leave it to the hash again
    #[command(subcommand, after_help = tenant::HELP)]
    Tenant(tenant::Args),
    /// Play a fault against a configuration in simulated time: which rule trips when, at what cost
    Simulate(Box<simulate::Args>),
    /// Tell a rollout from its journal, or hold a recorded day against other tables
    Replay(replay::Args),
    /// Take the changed configuration file, or say what it would change
    Reload(reload::Args),
    /// Print what a shell needs to complete commands
    Completions(shell::Args),
    /// Print the manual, as `man -l -` reads it
    #[command(after_help = "Examples:\n  switchback man | man -l -")]
    Man,
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
const REACHING: &str = "Reaching a running Switchback (not for run, check, demo, simulate, replay)";

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
  switchback advance --reason \"pilot went well\"
  switchback rollback total --reason \"callers hear silence\"
  switchback replay /var/lib/switchback

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
            Command::Explain(args) => match &args.config {
                Some(config) => explain::run_offline(&args, config, out),
                None => explain::run(&args, &client()?, out),
            },
            Command::Set(args) => set::run(&args, &client()?, out),
            Command::Advance(args) => advance::run(&args, &client()?, out),
            Command::Hold(args) => hold::run(&args, &client()?, out),
            Command::Resume(args) => resume::run(&args, &client()?, out),
            Command::Rollback(args) => rollback::run(&args, &client()?, out),
            Command::EmergencyStop(args) => emergency::run(&args, &client()?, out),
            Command::Tenant(args) => tenant::run(&args, &client()?, out),
            Command::Simulate(args) => simulate::run(&args, out),
            Command::Replay(args) => replay::run(&args, out),
            Command::Reload(args) => reload::run(&args, &client()?, out),
            Command::Completions(args) => shell::completions(&args, out),
            Command::Man => shell::man(out),
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
