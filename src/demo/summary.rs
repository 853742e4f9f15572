//! What happened, in numbers: the callers' own, the proxy's and the new backend's,
//! so that none has to be believed alone.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ivr::Damage;
use super::ledger::Ledger;
use super::{Fault, Story, screen};
use crate::model::{Backend, PerBackend};
use crate::terminal::wrapped;

/// Columns of text.
const TEXT: usize = 76;

/// Prints it. False: a promise was broken.
pub(super) fn show(story: &Story) -> std::io::Result<bool> {
    let ledger = &story.phone.ledger;
    let status = story.running.status();
    let seen = status.verification.as_ref();
    let on_new = seen.map_or(0, |it| it.new_calls_on_new);
    let late = story.new.late_newcomers();
    let mut lines = vec![screen::heading("What happened")];
    lines.extend(sides(ledger));
    let mut say = |text: &str| {
        let inset = |(i, line): (usize, &String)| {
            let more = if i > 0 { "  " } else { "" };
            format!("  {more}{line}")
        };
        lines.extend(wrapped(text, TEXT).iter().enumerate().map(inset));
    };
    say(&callers(ledger));
    if let Some(fault_at) = story.fault_at {
        let well_s = fault_at.since(story.began).as_secs_f64();
        let (legacy, new) = (story.legacy.damage(), story.new.damage());
        let damage = PerBackend {
            legacy: &legacy,
            new: &new,
        };
        for text in cost(story.options.fault, damage, well_s, ledger) {
            say(&text);
        }
    }
    match &story.reversal {
        Some(reversal) => {
            say(&format!(
                "The reversal came {:.1} s after the fault: {}.",
                reversal.after.as_secs_f64(),
                reversal.because
            ));
            say(&format!(
                "New calls on new after it: {on_new} by the proxy's count, {late} by the new \
                 backend's own book."
            ));
            say(&format!(
                "{} callers whose tenants had been on new were served by legacy after it.",
                count(&ledger.spared)
            ));
        }
        None if story.options.fault == Fault::Both => say(
            "There was no reversal: legacy failed as much, so going back would have helped \
             nobody. The row was withheld, and people were told.",
        ),
        None if story.options.fault != Fault::None => say("There was no reversal."),
        None => {}
    }
    say("");
    say(
        "Your own two backends: edit config/switchback.toml, `switchback check`, then \
         `switchback run`.",
    );
    let mut out = anstream::stdout().lock();
    writeln!(out)?;
    for line in &lines {
        writeln!(out, "{}", line.trim_end())?;
    }
    let well = kept_promises(story.options.fault, ledger);
    Ok(well && on_new == 0 && late == 0)
}

/// The callers' own book, a row for each backend.
fn sides(ledger: &Ledger) -> Vec<String> {
    let mut lines = vec![format!(
        "  {:<12}{:>8}{:>8}{:>9}{:>7}{:>10}",
        "", "calls", "served", "hung up", "lost", "rescued"
    )];
    lines.extend(Backend::ALL.map(|backend| {
        let side = &ledger.sides[backend];
        let (served, hung_up, lost) =
            (count(&side.served), count(&side.hung_up), count(&side.lost));
        format!(
            "  on {:<9}{:>8}{served:>8}{hung_up:>9}{lost:>7}{:>10}",
            backend.name(),
            served + hung_up + lost,
            count(&side.rescued)
        )
    }));
    lines
}

/// What the columns mean.
fn callers(ledger: &Ledger) -> String {
    format!(
        "Rescued calls were new's until new failed them; legacy took them over. Lost callers \
         heard the platform's error, our apology, or nothing. {} calls went from \
         legacy to new, or changed unasked, in mid-call.",
        count(&ledger.moved)
    )
}

/// What the fault would have cost, by the books of the backends that had it, and what
/// it did cost, by the callers'.
fn cost(fault: Fault, damage: PerBackend<&Damage>, well_s: f64, ledger: &Ledger) -> Vec<String> {
    let Damage {
        webhooks, calls, ..
    } = *damage.new;
    let harm = fault.harm();
    let sorry = count(&ledger.apologies);
    let silent = count(&ledger.silence_after);
    let harmed = ledger.lost() - sorry + silent;
    let instead = match sorry {
        0 => String::new(),
        some => format!(", and {some} heard our apology instead"),
    };
    let mut told = if fault == Fault::Both {
        vec![
            format!(
                "New failed {calls} calls and legacy {}, by their own books.",
                damage.legacy.calls
            ),
            format!("Without the proxy they {harm}. With it {harmed} did{instead}."),
        ]
    } else {
        // As many calls as new had when it was well, and of them as many as it failed since.
        let rate = damage.new.met_well as f64 * 60.0 / well_s.max(1.0);
        let more = rate * damage.new.share;
        vec![
            format!("New failed {webhooks} webhooks of {calls} calls, by its own book."),
            format!(
                "Without the proxy {calls} callers {harm}, and about {more:.0} more in every \
                 further minute ({rate:.0} calls a minute on new). With it {harmed} \
                 did{instead}."
            ),
        ]
    };
    if ledger.rescues() > 0 {
        told.push(format!(
            "The longest that a rescued caller waited for an answer was {:.2} s.",
            ledger.rescue_max().as_secs_f64()
        ));
    }
    let kept = ledger.kept();
    if kept > 0 {
        told.push(format!(
            "Sent straight to legacy before the reversal, because new was known to fail: \
             {kept} more."
        ));
    }
    let after = count(&ledger.sorry_after) + silent;
    if after > 0 {
        told.push(format!(
            "Of all those, {after} had been connected to a person already, and when that was \
             over heard {}: what follows a conversation cannot begin anew elsewhere.",
            match (count(&ledger.sorry_after), silent) {
                (_, 0) => "our apology",
                (0, _) => "nothing",
                _ => "our apology or nothing",
            }
        ));
    }
    told
}

/// While legacy is well no caller is lost; when it is not, no caller hears a platform's
/// error; and no call ever goes where it was not sent.
fn kept_promises(fault: Fault, ledger: &Ledger) -> bool {
    let lost = match fault {
        Fault::Both => ledger.lost() - count(&ledger.apologies),
        _ => ledger.lost(),
    };
    lost == 0 && count(&ledger.moved) == 0
}

fn count(it: &AtomicU64) -> u64 {
    it.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::super::ledger::Fate;
    use super::*;

    const BAD: Damage = Damage {
        webhooks: 31,
        calls: 30,
        met_well: 72,
        share: 0.75,
    };

    fn told(fault: Fault, fates: &[Fate]) -> String {
        let book = Ledger::default();
        for fate in fates {
            book.end(book.begin("a"), *fate);
        }
        let damage = PerBackend {
            legacy: &BAD,
            new: &BAD,
        };
        cost(fault, damage, 12.0, &book).join("\n")
    }

    #[test]
    fn the_cost_is_what_new_failed_and_as_much_again_for_every_minute() {
        let errors = told(Fault::Errors, &[Fate::Served, Fate::HungUp]);
        for text in [
            "31 webhooks of 30 calls",
            "30 callers would have heard the platform's error, and about 270 more",
            "(360 calls a minute on new). With it 0 did.",
        ] {
            assert!(errors.contains(text), "{errors}");
        }
        assert!(!errors.contains("connected to a person"), "{errors}");
        let both = told(Fault::Both, &[Fate::Apology]);
        assert!(both.contains("30 calls and legacy 30"), "{both}");
        assert!(both.contains("did, and 1 heard our apology"), "{both}");
    }

    #[test]
    fn the_cost_hides_nobody_who_was_let_down_after_all() {
        let fates = [Fate::Lost, Fate::Apology, Fate::SilenceAfter];
        let slow = told(Fault::Slow, &fates);
        for text in [
            "30 callers would have hung up on a silent line",
            "With it 2 did, and 1 heard our apology instead.",
            "1 had been connected to a person already, and when that was over heard nothing:",
        ] {
            assert!(slow.contains(text), "{slow}");
        }
        let both = told(Fault::Errors, &[Fate::SilenceAfter, Fate::SorryAfter]);
        assert!(both.contains("2 had been connected"), "{both}");
        assert!(both.contains("our apology or nothing"), "{both}");
    }

    #[test]
    fn a_caller_lost_while_legacy_is_well_breaks_a_promise_and_an_apology_only_then() {
        for (fate, fault, kept) in [
            (Fate::Served, Fault::Errors, true),
            (Fate::SorryAfter, Fault::Errors, true),
            (Fate::SilenceAfter, Fault::Slow, true),
            (Fate::Apology, Fault::Errors, false),
            (Fate::Lost, Fault::Errors, false),
            (Fate::Apology, Fault::Both, true),
            (Fate::Lost, Fault::Both, false),
        ] {
            let book = Ledger::default();
            book.end(book.begin("a"), fate);
            assert_eq!(kept_promises(fault, &book), kept, "{fate:?} {fault:?}");
        }
    }

    #[test]
    fn the_summary_s_rows_fit_a_small_terminal() {
        for line in sides(&Ledger::default()) {
            assert!(crate::terminal::width(&line) < 80, "{line}");
        }
    }
}
