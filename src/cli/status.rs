//! `switchback status`.

mod screen;

use std::io::{IsTerminal, Write};
use std::thread;
use std::time::Duration;

use super::client::Client;
use super::{Failure, Output};
use crate::admin::shapes::Status;
use crate::terminal::{self, Size, Terminal};

pub use self::screen::{Room, screen};

/// How to show it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  switchback status --watch
  switchback status -o json | jq -r '.plan.waits_for[]'     # what the next stage waits for

`next` names everything that is missing before the plan's next step; `notices` how soon faults of \
each size would be noticed in the stage that runs, or in the next one, and by which row.

Verdicts: pass; TRIP, the row acts or warns; withheld, it would and something speaks against it; \
inconclusive, too little evidence yet; blind, it cannot see at this traffic. A `note` is about what \
the rows cannot see: calls that cannot be placed, ends that never come, webhooks that do not verify.

`failing` says which backend fails, by its breaker, its health check or a reversing row, and what \
happens because of it; `rescued` what callers got in place of an answer that failed (webhooks); \
`since then` how far it is proven that everything went to legacy.")]
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

/// Shows where the rollout stands.
pub(super) fn run(args: &Args, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
    if !args.watch {
        return show(&look(client)?, args.output, out);
    }
    let terminal = Terminal::stdout().filter(|_| args.output == Output::Text);
    match terminal {
        Some(terminal) => watch(client, terminal),
        None => loop {
            show(&look(client)?, args.output, out)?;
            out.flush()?;
            thread::sleep(EVERY);
        },
    }
}

/// Draws it over itself, until Ctrl-C.
fn watch(client: &Client, mut terminal: Terminal) -> Result<(), Failure> {
    loop {
        let Size { columns, rows } = terminal::size();
        let lines = match look(client) {
            Ok(status) => screen(
                &status,
                Room {
                    columns,
                    rows: Some(rows),
                },
            ),
            // It may come back: whoever watches wants to see that as well.
            Err(failure @ Failure::Unreachable(_)) => {
                failure.to_string().lines().map(str::to_owned).collect()
            }
            Err(failure) => return Err(failure),
        };
        terminal.frame(&lines)?;
        thread::sleep(EVERY);
    }
}

fn look(client: &Client) -> Result<Status, Failure> {
    client.get("/api/v1/status")?.read()
}

fn show(status: &Status, output: Output, out: &mut dyn Write) -> Result<(), Failure> {
    match output {
        Output::Text => {
            let columns = if std::io::stdout().is_terminal() {
                terminal::size().columns
            } else {
                Room::default().columns
            };
            let lines = screen(
                status,
                Room {
                    columns,
                    rows: None,
                },
            );
            writeln!(out, "{}", lines.join("\n"))?;
        }
        Output::Json => {
            let text = serde_json::to_string(status)
                .map_err(|error| Failure::Failed(format!("could not write JSON: {error}")))?;
            writeln!(out, "{text}")?;
        }
    }
    Ok(())
}
