//! `switchback rollback data`: which backups there are, and one of them restored.

use std::io::{self, BufRead, IsTerminal, Write};
use std::thread;
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};

use crate::admin::shapes::{Backups, Restore};
use crate::cli::client::Client;
use crate::cli::{Failure, Output, change, failure};

/// The word that must be typed.
const WORD: &str = "CONFIRM";

/// Between two looks at a restore.
const EVERY: Duration = Duration::from_secs(1);

/// Looks in a row that may fail before it is given up. The restore goes on.
const LOOKS_LOST: u32 = 10;

/// Which backup, if one.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without --backup it lists the backups there are, by the command that `[rollback.data] list` names. \
With it, the `restore` command is run by the server, once the word CONFIRM was typed: data written \
since that backup is lost. An id that is not in the list is refused. Order `rollback total` first, so \
that new writes nothing meanwhile.

The restore goes on if this command is interrupted; its output is kept in the state directory, and \
`GET /api/v1/restore` tells how it is doing.

Examples:
  switchback rollback data
  switchback rollback data --backup 2026-11-19T02:00 --reason \"doubled bookings\"")]
pub struct Args {
    /// The backup to restore; without it, those there are are listed
    #[arg(long, value_name = "ID", requires = "reason")]
    pub backup: Option<String>,
    /// The word CONFIRM, instead of typing it
    #[arg(long, value_name = "WORD", requires = "backup")]
    pub confirm: Option<String>,
    /// Why; stands in the journal
    #[arg(long, value_name = "WORDS", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub reason: Option<String>,
    /// How to print the list
    #[arg(short, long, value_enum, default_value_t, conflicts_with = "backup")]
    pub output: Output,
}

impl Args {
    /// What the API is told once it is confirmed.
    pub(in crate::cli) fn body(&self) -> serde_json::Value {
        serde_json::json!({
            "level": "data",
            "backup": self.backup,
            "confirm": WORD,
            "reason": self.reason,
        })
    }
}

/// Lists, or restores.
pub(in crate::cli) fn run(
    args: &Args,
    client: &Client,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let Some(backup) = &args.backup else {
        return list(args.output, client, out);
    };
    confirm(backup, args.confirm.as_deref())?;
    change(client, "/api/v1/rollback", &args.body(), out)?;
    out.flush()?;
    let over = watch(backup, client)?;
    let log = over.log.as_deref().unwrap_or("no file");
    let seconds = over.seconds;
    match over.failed {
        None => writeln!(
            out,
            "Backup {backup} is restored, after {seconds} s; its output is in the state \
             directory's {log}."
        )?,
        Some(why) => {
            return Err(Failure::Failed(format!(
                "the restore of {backup} {why}, after {seconds} s; what it said last: {}\n  \
                 Its output is in the state directory's {log}.",
                over.last_line
            )));
        }
    }
    Ok(())
}

fn list(output: Output, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
    let reply = client.get("/api/v1/backups")?;
    let listed: Backups = reply.read()?;
    if output == Output::Json {
        let text = serde_json::to_string(&listed)
            .map_err(|error| Failure::Failed(format!("could not write JSON: {error}")))?;
        return Ok(writeln!(out, "{text}")?);
    }
    if listed.backups.is_empty() {
        failure::note("The configured command lists no backup.");
        return Ok(());
    }
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(["BACKUP", ""]);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for backup in &listed.backups {
        table.add_row([&backup.id, &backup.about]);
    }
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    failure::note("To restore one: switchback rollback data --backup ID --reason …");
    Ok(())
}

/// Somebody must have meant it.
fn confirm(backup: &str, said: Option<&str>) -> Result<(), Failure> {
    let typed = match said {
        Some(word) => word.to_owned(),
        None if io::stdin().is_terminal() => {
            failure::note(&format!(
                "Data is about to be restored from backup {backup}. Whatever was written since is \
                 lost.\nType {WORD} to go on:"
            ));
            let mut line = String::new();
            io::stdin().lock().read_line(&mut line)?;
            line
        }
        None => {
            return Err(Failure::Usage(format!(
                "there is no terminal to type {WORD} on; say --confirm {WORD}"
            )));
        }
    };
    if typed.trim_end_matches(['\r', '\n']) == WORD {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "nothing was restored: the word is {WORD}"
    )))
}

/// Follows the restore to its end, on a terminal with a line that is written over.
fn watch(backup: &str, client: &Client) -> Result<Restore, Failure> {
    let shows = io::stderr().is_terminal();
    let mut lost = 0;
    loop {
        let look = client
            .get("/api/v1/restore")
            .and_then(|reply| reply.read::<Restore>());
        match look {
            Ok(now) if now.backup != backup => {
                return Err(Failure::Failed(format!(
                    "another restore began since, of backup {}; the journal tells how this one went",
                    now.backup
                )));
            }
            Ok(now) if now.running => {
                lost = 0;
                if shows {
                    draw(&format!("{:>5} s  {}", now.seconds, now.last_line))?;
                }
            }
            Ok(over) => {
                if shows {
                    draw("")?;
                }
                return Ok(over);
            }
            Err(Failure::Unreachable(_)) if lost < LOOKS_LOST => lost += 1,
            Err(failure) => return Err(failure),
        }
        thread::sleep(EVERY);
    }
}

/// Over the line that is there. What is longer than a terminal is wide would not be gone
/// over the next time.
fn draw(line: &str) -> io::Result<()> {
    let room = crate::terminal::size().columns.saturating_sub(1);
    let line: String = line.chars().take(room).collect();
    let mut err = anstream::stderr().lock();
    write!(err, "\r{line}\x1b[K")?;
    err.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_word_itself_confirms() {
        for (said, goes_on) in [
            ("CONFIRM", true),
            ("CONFIRM\n", true),
            ("confirm", false),
            ("yes", false),
            ("", false),
            (" CONFIRM", false),
        ] {
            let confirmed = confirm("b-1", Some(said));
            assert_eq!(confirmed.is_ok(), goes_on, "{said:?}");
            if let Err(failure) = confirmed {
                assert_eq!(failure.code(), 2, "{said:?}");
            }
        }
    }
}
