//! `switchback reload`.

use std::io::Write;

use super::Failure;
use super::client::Client;
use crate::admin::shapes::Reloaded;

/// How to reload.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  switchback reload --dry-run                        # who would change side, and what would change
  switchback reload --reason \"the table of 3 May\"
  switchback reload --force --reason \"a new salt\"    # takes what moves callers

Calls that run stay where they are. Of a file that is refused nothing is taken.")]
pub struct Args {
    /// Only say what would change
    #[arg(long)]
    pub dry_run: bool,
    /// Also take what moves callers to another backend: `by`, `hash`, `salt`
    #[arg(long)]
    pub force: bool,
    /// Why; stands in the journal
    #[arg(
        long,
        value_name = "WORDS",
        default_value = "the configuration file changed",
        value_parser = clap::builder::NonEmptyStringValueParser::new()
    )]
    pub reason: String,
}

/// Has the configuration file read again and shows what changed.
pub(super) fn run(args: &Args, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
    let body = serde_json::json!({
        "dry_run": args.dry_run,
        "force": args.force,
        "reason": args.reason,
    });
    let reloaded: Reloaded = client.post("/api/v1/reload", &body)?.read()?;
    out.write_all(lines(&reloaded).as_bytes())?;
    if reloaded.needs_force {
        let why = "without --force this reload is refused, because it would move callers";
        return Err(Failure::Configuration(why.to_owned()));
    }
    Ok(())
}

fn lines(reloaded: &Reloaded) -> String {
    let (changed, moved) = if reloaded.dry_run {
        ("would change", "would move")
    } else {
        ("changed", "moved")
    };
    let mut lines = Vec::new();
    for (word, list) in [
        (changed, &reloaded.changed),
        ("refused", &reloaded.refused),
        ("needs a restart", &reloaded.needs_restart),
    ] {
        lines.extend(list.iter().map(|line| format!("{word}: {line}\n")));
    }
    let redrawn = reloaded.redrawn.iter();
    lines.extend(redrawn.map(|who| format!("{moved}: {who}\n")));
    if let Some(count) = reloaded.tenants_moved.filter(|count| *count > 0) {
        lines.push(format!(
            "{moved}: {count} {}\n",
            tenants(count, &reloaded.tenants)
        ));
    }
    if let Some(count) = reloaded.live_calls_moved.filter(|count| *count > 0) {
        lines.push(format!(
            "stay where they are, and {moved} with their next call: {count} live calls\n"
        ));
    }
    lines.extend(
        reloaded
            .touched
            .iter()
            .map(|line| format!("live: {line}\n")),
    );
    if lines.is_empty() {
        lines.push(format!("nothing {changed}\n"));
    }
    lines.concat()
}

/// `tenants: a, b and 3 others`.
fn tenants(count: u64, names: &[String]) -> String {
    let word = if count == 1 { "tenant" } else { "tenants" };
    let others = count.saturating_sub(names.len() as u64);
    match (names, others) {
        ([], _) => word.to_owned(),
        (names, 0) => format!("{word}: {}", names.join(", ")),
        (names, 1) => format!("{word}: {} and 1 other", names.join(", ")),
        (names, others) => format!("{word}: {} and {others} others", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_speaks_of_what_would_be() {
        let mut reloaded = Reloaded {
            dry_run: true,
            changed: vec!["percentage 10 % to 25 %".to_owned()],
            refused: vec!["a raise while latched".to_owned()],
            redrawn: Some("at 25 % about 37.5 % of all".to_owned()),
            tenants_moved: Some(3),
            tenants: vec!["acme".to_owned(), "zeta".to_owned()],
            live_calls_moved: Some(2),
            touched: vec!["4 live calls on new go on at http://b, not at http://a".to_owned()],
            ..Reloaded::default()
        };
        let text = "\
would change: percentage 10 % to 25 %
refused: a raise while latched
would move: at 25 % about 37.5 % of all
would move: 3 tenants: acme, zeta and 1 other
stay where they are, and would move with their next call: 2 live calls
live: 4 live calls on new go on at http://b, not at http://a
";
        assert_eq!(lines(&reloaded), text);
        reloaded.dry_run = false;
        assert!(lines(&reloaded).starts_with("changed: "));
        assert_eq!(lines(&Reloaded::default()), "nothing changed\n");
    }
}
