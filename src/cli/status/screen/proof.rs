//! The verification as a checklist: what is proven since everything went to legacy,
//! and what it still waits for.

use anstyle::Style;

use super::{GREEN, INDENT, RED, WIDTH, YELLOW, cut, paint};
use crate::admin::shapes::Verification;

/// One line of the list: its mark, its words, and how good it is.
type Item = (&'static str, String, Style);

const DONE: &str = "[x]";
const OPEN: &str = "[ ]";
const WRONG: &str = "[!]";

/// Draws it: one line once everything is proven and still so, else one a step.
pub(super) fn verification(seen: &Verification, lines: &mut Vec<String>) {
    let [newcomers, live, measures] = [newcomers(seen), live(seen), measures(seen)];
    let holds = |item: &Item| item.0 == DONE;
    let items = if seen.done && [&newcomers, &live, &measures].into_iter().all(holds) {
        let text = "verified: no new call on new, none left there, measures normal";
        vec![(DONE, text.to_owned(), GREEN)]
    } else {
        vec![newcomers, live, measures]
    };
    for (i, (mark, text, style)) in items.into_iter().enumerate() {
        let word = if i == 0 { "since then" } else { "" };
        let text = cut(&format!("{mark} {text}"), WIDTH - INDENT);
        lines.push(format!("{word:INDENT$}{}", paint(style, &text)));
    }
}

fn newcomers(seen: &Verification) -> Item {
    let proven = has(seen, "no-new-calls");
    match (seen.new_calls_on_new, proven) {
        (0, true) => (DONE, "no new call has reached new".to_owned(), GREEN),
        (0, false) => (
            OPEN,
            "no new call has reached new so far".to_owned(),
            YELLOW,
        ),
        (count, proven) => {
            let since = if proven { ", none of late" } else { "" };
            let text = format!("{} reached new (must stay 0){since}", calls(count, "new"));
            (WRONG, text, RED)
        }
    }
}

fn live(seen: &Verification) -> Item {
    let (left, began) = (seen.live_on_new, seen.live_on_new_at_start);
    let what = match seen.live.as_str() {
        "move" => "moved at their next webhook",
        _ => "they finish there",
    };
    match (left, has(seen, "drained")) {
        (0, true) if began > 0 => {
            let text = format!("no call is live on new any more, of {began} then");
            (DONE, text, GREEN)
        }
        (0, true) => (DONE, "no call is live on new".to_owned(), GREEN),
        (0, false) => (OPEN, "no call is live on new".to_owned(), YELLOW),
        // Calls that new began itself are its own.
        (_, true) => {
            let text = format!("new was empty; {} on it again", calls(left, "live"));
            (OPEN, text, YELLOW)
        }
        (_, false) => {
            let of = began.max(left);
            let text = format!("{left} of {} left on new; {what}", calls(of, "live"));
            (OPEN, text, YELLOW)
        }
    }
}

fn measures(seen: &Verification) -> Item {
    match (seen.measures_normal, has(seen, "measures-normal")) {
        (true, true) => (
            DONE,
            "no reversing row is over its threshold".to_owned(),
            GREEN,
        ),
        (true, false) => {
            let text = "no reversing row is over its threshold; it must stay so a while";
            (OPEN, text.to_owned(), YELLOW)
        }
        (false, true) => {
            let text = "a reversing row is over its threshold again";
            (WRONG, text.to_owned(), YELLOW)
        }
        (false, false) => {
            let text = "a reversing row is still over its threshold (new's or legacy's)";
            (OPEN, text.to_owned(), YELLOW)
        }
    }
}

fn has(seen: &Verification, step: &str) -> bool {
    seen.steps.iter().any(|taken| taken.step == step)
}

/// `1 live call`, `3 live calls`.
fn calls(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what} call{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::shapes::Step;

    fn drawn(seen: &Verification) -> Vec<String> {
        let mut lines = Vec::new();
        verification(seen, &mut lines);
        let plain = |line: &String| anstream::adapter::strip_str(line).to_string();
        lines.iter().map(plain).collect()
    }

    fn taken(steps: &[&str]) -> Vec<Step> {
        let step = |step: &&str| Step {
            step: (*step).to_owned(),
            ..Step::default()
        };
        steps.iter().map(step).collect()
    }

    #[test]
    fn a_flip_is_ticked_off_step_by_step() {
        let mut seen = Verification {
            live: "move".to_owned(),
            live_on_new: 3,
            live_on_new_at_start: 12,
            steps: taken(&["started", "no-new-calls"]),
            ..Verification::default()
        };
        assert_eq!(
            drawn(&seen),
            [
                "since then   [x] no new call has reached new",
                "             [ ] 3 of 12 live calls left on new; moved at their next webhook",
                "             [ ] a reversing row is still over its threshold (new's or legacy's)",
            ]
        );
        seen.steps = taken(&["no-new-calls", "drained", "measures-normal", "verified"]);
        (seen.live_on_new, seen.measures_normal, seen.done) = (0, true, true);
        assert_eq!(
            drawn(&seen),
            ["since then   [x] verified: no new call on new, none left there, measures normal"]
        );
        seen.measures_normal = false;
        assert_eq!(
            drawn(&seen)[1..],
            [
                "             [x] no call is live on new any more, of 12 then",
                "             [!] a reversing row is over its threshold again",
            ]
        );
    }

    #[test]
    fn a_new_call_on_new_stands_first_and_red() {
        let mut seen = Verification {
            new_calls_on_new: 2,
            escalated: true,
            ..Verification::default()
        };
        let first = "since then   [!] 2 new calls reached new (must stay 0)";
        assert_eq!(drawn(&seen)[0], first);
        seen.steps = taken(&["no-new-calls"]);
        assert_eq!(drawn(&seen)[0], format!("{first}, none of late"));
    }
}
