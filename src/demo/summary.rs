//! What happened, in numbers: the callers' own, the proxy's and the new backend's,
//! so that none has to be believed alone.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Fault, Story, screen};
use crate::model::Backend;
use crate::terminal::wrapped;

/// Columns of text.
const TEXT: usize = 76;

/// Prints it. False: a promise was broken.
pub(super) fn show(story: &Story) -> std::io::Result<bool> {
    let ledger = &story.phone.ledger;
    let status = story.running.status();
    let moved = count(&ledger.moved);
    let seen = status.verification.as_ref();
    let on_new = seen.map_or(0, |it| it.new_calls_on_new);
    let late = story.new.late_newcomers();
    let mut out = anstream::stdout().lock();
    writeln!(out, "\n{}", screen::heading("What happened"))?;
    writeln!(
        out,
        "  {:<12}{:>8}{:>8}{:>9}{:>7}",
        "", "calls", "served", "hung up", "lost"
    )?;
    for backend in Backend::ALL {
        let side = &ledger.sides[backend];
        let (served, hung_up, lost) =
            (count(&side.served), count(&side.hung_up), count(&side.lost));
        writeln!(
            out,
            "  on {:<9}{:>8}{served:>8}{hung_up:>9}{lost:>7}",
            backend.name(),
            served + hung_up + lost
        )?;
    }
    let mut say = |text: &str| {
        let lines = wrapped(text, TEXT);
        lines
            .iter()
            .enumerate()
            .try_for_each(|(i, line)| writeln!(out, "  {}{line}", if i > 0 { "  " } else { "" }))
    };
    say(&format!(
        "Lost callers heard the platform's error or waited in vain. {moved} calls changed \
         their backend in mid-call."
    ))?;
    match &story.reversal {
        Some(reversal) => {
            say(&format!(
                "The reversal came {:.1} s after the fault: {}.",
                reversal.after.as_secs_f64(),
                reversal.because
            ))?;
            say(&format!(
                "New calls on new after it: {on_new} by the proxy's count, {late} by the new \
                 backend's own book."
            ))?;
            say(&format!(
                "{} callers whose tenants had been on new were served by legacy after it.",
                count(&ledger.spared)
            ))?;
        }
        None if story.options.fault != Fault::None => say("There was no reversal.")?,
        None => {}
    }
    say("")?;
    say(
        "Your own two backends: edit config/switchback.toml, `switchback check`, then \
         `switchback run`.",
    )?;
    Ok(moved == 0 && on_new == 0 && late == 0)
}

fn count(it: &AtomicU64) -> u64 {
    it.load(Ordering::Relaxed)
}
