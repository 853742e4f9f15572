//! Both backends side by side: what every line has first, and below it what is shown
//! only where there is something to show.

use super::{DIM, INDENT, WIDTH, count, cut, paint, table, trimmed, value};
use crate::admin::shapes::{Backend, Backends, Status};

pub(super) fn backends(status: &Status, lines: &mut Vec<String>) {
    let Backends { legacy, new } = &status.backends;
    let mut table = table(&["", "legacy", "new"]);
    let counts = [
        ("calls active", legacy.calls_active, new.calls_active),
        ("calls", legacy.calls, new.calls),
        ("webhooks", legacy.webhooks, new.webhooks),
        ("errors", legacy.errors, new.errors),
    ];
    for (word, legacy, new) in counts {
        table.add_row([word.to_owned(), count(legacy), count(new)]);
    }
    let measured = [
        (
            "error rate, 5 min",
            "share",
            legacy.error_rate,
            new.error_rate,
        ),
        (
            "response time mean, 5 min",
            "ms",
            legacy.response_time_mean_ms,
            new.response_time_mean_ms,
        ),
        (
            "response time p95, 5 min",
            "ms",
            legacy.response_time_p95_ms,
            new.response_time_p95_ms,
        ),
        (
            "abandonment, 15 min",
            "share",
            legacy.abandonment_rate,
            new.abandonment_rate,
        ),
    ];
    for (word, unit, legacy, new) in measured {
        table.add_row([word.to_owned(), value(unit, legacy), value(unit, new)]);
    }
    for (word, shown) in more(status) {
        let [legacy, new] = [legacy, new].map(shown);
        // Most lines have no speech, no websockets, no data to tell of.
        if legacy.is_some() || new.is_some() {
            let cell = |shown: Option<String>| shown.unwrap_or_else(|| "–".to_owned());
            table.add_row([word, cell(legacy), cell(new)]);
        }
    }
    let mut drawn = table.lines();
    lines.extend(drawn.next().map(|head| paint(DIM, head.trim_end())));
    lines.extend(drawn.map(|line| line.trim_end().to_owned()));
    for (word, backend) in [("legacy chose", legacy), ("new chose", new)] {
        if let Some(choices) = choices(backend) {
            let choices = cut(&choices, WIDTH - INDENT);
            lines.push(format!("{word:INDENT$}{choices}"));
        }
    }
}

/// A row's words, and what it shows of a backend; None where there is nothing.
type More = (String, fn(&Backend) -> Option<String>);

/// What is shown only where there is something to show.
fn more(status: &Status) -> [More; 11] {
    let some = |words: &str, shown: fn(&Backend) -> Option<String>| (words.to_owned(), shown);
    [
        some("health", |it| {
            it.health.as_ref().map(|health| health.state.clone())
        }),
        some("breaker", breaker),
        some("breaker opened, 1 h", |it| {
            counted(u64::from(it.breaker.as_ref()?.opens_last_hour))
        }),
        some("failed calls, 15 min", |it| {
            it.failed_call_rate.map(|it| value("share", Some(it)))
        }),
        some("call duration mean, 15 min", |it| {
            it.call_duration_mean_s.map(|it| value("s", Some(it)))
        }),
        some("speech understood, 15 min", |it| {
            it.speech_recognition_rate
                .map(|it| value("share", Some(it)))
        }),
        some("data query mean, 5 min", |it| {
            it.data_query_mean_ms.map(short)
        }),
        some("connect mean, 1 h", |it| it.connect_mean_ms.map(short)),
        some("websockets open", |it| counted(it.streams_active)),
        some("calls begun, 1 h", |it| counted(it.calls_per_hour)),
        (day(status), |it| counted(it.calls_per_day)),
    ]
}

/// The breaker, where it does not just stand there closed.
fn breaker(backend: &Backend) -> Option<String> {
    let breaker = backend.breaker.as_ref()?;
    let tells = breaker.state != "closed" || breaker.opens_last_hour > 0;
    tells.then(|| breaker.state.clone())
}

fn counted(number: u64) -> Option<String> {
    (number > 0).then(|| count(number))
}

/// Milliseconds of which there are few: `0.4 ms`.
fn short(ms: f64) -> String {
    match ms < 10.0 {
        true => format!("{} ms", trimmed(ms)),
        false => value("ms", Some(ms)),
    }
}

/// The day's row says since when, where it is not yet a day.
fn day(status: &Status) -> String {
    let read = |text: &str| text.parse::<jiff::Timestamp>().ok();
    let hours = read(&status.day_since)
        .zip(read(&status.at))
        .map(|(since, now)| (now.as_second() - since.as_second()) / 3600);
    match hours {
        // Its first hour is the one that began less than 24 hours ago.
        Some(0..23) => match read(&status.day_since) {
            Some(since) => format!("calls begun, since {}", since.strftime("%H:%M")),
            None => "calls begun, 24 h".to_owned(),
        },
        _ => "calls begun, 24 h".to_owned(),
    }
}

/// How callers' first choices are distributed, the most frequent first.
fn choices(backend: &Backend) -> Option<String> {
    let mut keys: Vec<_> = backend.menu_choices.iter().collect();
    keys.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
    let all: u64 = keys.iter().map(|(_, times)| **times).sum();
    let share = |times: u64| value("share", Some(times as f64 / all as f64));
    let said: Vec<_> = keys
        .into_iter()
        .map(|(key, times)| format!("{key} {}", share(*times)))
        .collect();
    (all > 0).then(|| format!("{} of {}", said.join(", "), count(all)))
}
