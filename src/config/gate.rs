//! How much a backend is asked at once, as `[backend.X]` says it.

use std::time::Duration;

use super::problem::Problem;
use super::text::Span;
use super::walk::{Section, Value};
use crate::gate::Cap;

/// How long a webhook waits where the file does not say. Long enough to outlast the
/// unevenness of arrivals, short enough to ask somebody else after it.
const WAIT: Duration = Duration::from_millis(50);
/// Telnyx asks again after two seconds: whoever waits longer is answered twice.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// No queue longer than this where the file does not say.
const QUEUE_MAX: usize = 1000;

/// Reads `concurrency`, `queue` and `queue_wait`.
pub(super) fn read(section: &Section<'_>) -> Option<Cap> {
    let concurrency = section.get("concurrency");
    let queue = section.get("queue");
    let wait = section.get("queue_wait");
    let Some(concurrency) = concurrency else {
        for value in [&queue, &wait].into_iter().flatten() {
            let help =
                "say with `concurrency` how many requests it takes at once, or remove the line";
            means_nothing(value, "`concurrency`", help);
        }
        return None;
    };
    let concurrency = count(&concurrency, 1);
    let places = queue.as_ref().map(|value| count(value, 0));
    if let (Some(Some(0)), Some(wait)) = (places, &wait) {
        means_nothing(
            wait,
            "a queue",
            "remove the line, or let some wait: `queue` is 0",
        );
    }
    let longest = wait.map(|value| value.duration(Duration::ZERO..=WAIT_MAX));
    // What was written and could not be read has been spoken of; the default stands in.
    let concurrency = concurrency?;
    Some(Cap {
        concurrency,
        queue: places.flatten().unwrap_or_else(|| queue_for(concurrency)),
        wait: longest.flatten().unwrap_or(WAIT),
    })
}

/// Half of what may be on its way. Where an answer takes 100 ms, so many are answered
/// within the 50 ms that a webhook waits: one further back would wait in vain.
fn queue_for(concurrency: usize) -> usize {
    concurrency.div_ceil(2).min(QUEUE_MAX)
}

fn count(value: &Value<'_>, least: i64) -> Option<usize> {
    let most = i64::try_from(Cap::MOST).unwrap_or(i64::MAX);
    usize::try_from(value.integer(least..=most)?).ok()
}

fn means_nothing(value: &Value<'_>, without: &str, help: &str) {
    let message = format!("`{}` means nothing without {without}", value.name);
    value.problems.add(
        Problem::warning(Some(value.key_span.clone()), message)
            .help(help)
            .follows(),
    );
}

/// A cap in words: `200 at once, 50 wait up to 50ms`.
pub(super) fn told(cap: Option<&Cap>) -> String {
    match cap {
        None => "none".to_owned(),
        Some(cap) if cap.queue == 0 => format!("{} at once, none wait", cap.concurrency),
        Some(cap) => format!(
            "{} at once, {} wait up to {}",
            cap.concurrency,
            cap.queue,
            Span(cap.wait)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::broken::{WELL, checked, told as problems};
    use super::*;

    fn cap(lines: &str) -> Option<Cap> {
        let text = WELL.replace("[backend.new]", &format!("{lines}\n[backend.new]"));
        let loaded = checked(&text).unwrap();
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
        assert_eq!(loaded.config.proxy.backends.new.cap, None, "its own matter");
        loaded.config.proxy.backends.legacy.cap
    }

    #[test]
    fn without_a_word_there_is_no_cap() {
        assert_eq!(cap(""), None);
    }

    #[test]
    fn what_is_not_said_follows_from_the_concurrency() {
        for (concurrency, queue) in [(1, 1), (50, 25), (51, 26), (1_000_000, 1000)] {
            let expected = Cap {
                concurrency,
                queue,
                wait: Duration::from_millis(50),
            };
            assert_eq!(cap(&format!("concurrency = {concurrency}")), Some(expected));
        }
    }

    #[test]
    fn what_is_said_holds() {
        let said = cap("concurrency = 200\nqueue = 50\nqueue_wait = \"120ms\"");
        assert_eq!(told(said.as_ref()), "200 at once, 50 wait up to 120ms");
        let none_wait = cap("concurrency = 3\nqueue = 0");
        assert_eq!(told(none_wait.as_ref()), "3 at once, none wait");
        assert_eq!(told(None), "none");
    }

    #[test]
    fn what_cannot_be_is_refused_at_its_line() {
        for (lines, message) in [
            ("concurrency = 0", "`concurrency` is 0, outside"),
            ("concurrency = 1000001", "from 1 to 1000000"),
            ("concurrency = \"many\"", "`concurrency` is a string here"),
            ("concurrency = 5\nqueue = -1", "`queue` is -1, outside"),
            ("concurrency = 5\nqueue_wait = \"3s\"", "from 0s to 2s"),
            ("concurency = 5", "did you mean `concurrency`?"),
        ] {
            let text = WELL.replace("[backend.new]", &format!("{lines}\n[backend.new]"));
            assert!(checked(&text).is_err(), "{lines}");
            let told = problems(&text);
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].contains(message), "{} says {message}", told[0]);
        }
    }

    #[test]
    fn a_line_that_means_nothing_is_a_warning() {
        for (lines, message) in [
            ("queue = 5", "`queue` means nothing without `concurrency`"),
            (
                "queue_wait = \"9ms\"",
                "`queue_wait` means nothing without `concurrency`",
            ),
            (
                "concurrency = 5\nqueue = 0\nqueue_wait = \"9ms\"",
                "`queue_wait` means nothing without a queue",
            ),
        ] {
            let text = WELL.replace("[backend.new]", &format!("{lines}\n[backend.new]"));
            let lines = checked(&text).unwrap().warnings.lines();
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert!(lines[0].contains(message), "{lines:?} says {message}");
        }
    }
}
