//! `switchback status`.

mod screen;

use std::io::{IsTerminal, Write};
use std::thread;
use std::time::Duration;

use super::client::Client;
use super::{Failure, Output};
use crate::admin::shapes::Status;

pub use self::screen::screen;

/// How to show it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show it again every second, until Ctrl-C
    #[arg(long, short)]
    pub watch: bool,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// To the top left corner; then, behind the text, clear what is left below it.
/// Nothing flickers, because the screen is never empty.
const HOME: &str = "\x1b[H";
const CLEAR_BELOW: &str = "\x1b[J";
const CLEAR_ALL: &str = "\x1b[2J";

/// Shows where the rollout stands.
pub(super) fn run(args: &Args, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
    if !args.watch {
        return show(&look(client)?, args.output, out);
    }
    let redraw = args.output == Output::Text && std::io::stdout().is_terminal();
    if redraw {
        write!(out, "{CLEAR_ALL}")?;
    }
    loop {
        if redraw {
            write!(out, "{HOME}")?;
        }
        match look(client) {
            Ok(status) => show(&status, args.output, out)?,
            // It may come back: whoever watches wants to see that as well.
            Err(failure @ Failure::Unreachable(_)) if redraw => writeln!(out, "{failure}")?,
            Err(failure) => return Err(failure),
        }
        if redraw {
            write!(out, "{CLEAR_BELOW}")?;
        }
        out.flush()?;
        thread::sleep(EVERY);
    }
}

fn look(client: &Client) -> Result<Status, Failure> {
    client.get("/api/v1/status")?.read()
}

fn show(status: &Status, output: Output, out: &mut dyn Write) -> Result<(), Failure> {
    match output {
        Output::Text => out.write_all(screen(status).as_bytes())?,
        Output::Json => {
            let text = serde_json::to_string(status)
                .map_err(|error| Failure::Failed(format!("could not write JSON: {error}")))?;
            writeln!(out, "{text}")?;
        }
    }
    Ok(())
}
