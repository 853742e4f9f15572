//! `switchback reload`.

use std::io::Write;

use super::Failure;
use super::client::Client;
use crate::admin::shapes::Reloaded;

/// How to reload.
#[derive(Debug, clap::Args)]
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
    for (count, what) in [
        (reloaded.tenants_moved, "tenants"),
        (
            reloaded.live_calls_moved,
            "live calls (by where they would begin now)",
        ),
    ] {
        if let Some(count) = count.filter(|count| *count > 0) {
            lines.push(format!("{moved}: {count} {what}\n"));
        }
    }
    if lines.is_empty() {
        lines.push(format!("nothing {changed}\n"));
    }
    lines.concat()
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
            tenants_moved: Some(3),
            ..Reloaded::default()
        };
        let text = "\
would change: percentage 10 % to 25 %
refused: a raise while latched
would move: 3 tenants
";
        assert_eq!(lines(&reloaded), text);
        reloaded.dry_run = false;
        assert!(lines(&reloaded).starts_with("changed: "));
        assert_eq!(lines(&Reloaded::default()), "nothing changed\n");
    }
}
