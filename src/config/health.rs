//! `[backend.X] health` and `breaker`: how a backend is asked how it is, and when it
//! is not asked for anything any more.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::text::Span;
use super::walk::Section;
use super::{Config, gate};
use crate::breaker;
use crate::health::Settings;
use crate::model::Backend;

/// How often a backend is asked: more often would be a load, less often no news.
const INTERVAL: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60);
/// Over what a breaker's share is taken.
const OVER: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
const OPEN_FOR: RangeInclusive<Duration> = Duration::from_millis(100)..=breaker::OPEN_MOST;
/// A longer path is none that anybody asks for health at.
const PATH_MOST: usize = 1024;

/// Reads `health`; None where there is none, or none that holds.
pub(super) fn read(backend: &Section<'_>) -> Option<Settings> {
    let table = backend.get("health")?.table("`health`")?;
    let path = table
        .need("path", "\"/healthz\"")
        .and_then(|value| value.read("\"/healthz\"", path));
    let given = Settings::of(path.clone().unwrap_or_default());
    let settings = Settings {
        every: duration(&table, "interval", INTERVAL, given.every),
        timeout: duration(&table, "timeout", TIMEOUT, given.timeout.min(given.every)),
        expect: whole(&table, "expect", 200..=599, given.expect),
        fall: whole(&table, "fall", 1..=100, given.fall),
        rise: whole(&table, "rise", 1..=100, given.rise),
        path: given.path,
    };
    if let Some(timeout) = table.get("timeout")
        && settings.timeout > settings.every
    {
        let every = Span(settings.every);
        timeout.refuse(
            format!("is longer than `interval` ({every})"),
            "one check at a time is under way: give it less time than lies between two",
        );
    }
    table.finish(&[], &[]);
    path?;
    Some(Settings {
        // Where `interval` alone was shortened.
        timeout: settings.timeout.min(settings.every),
        ..settings
    })
}

/// Reads `breaker`; None: switched off.
pub(super) fn breaker(backend: &Section<'_>) -> Option<breaker::Settings> {
    let given = breaker::Settings::default();
    let Some(value) = backend.get("breaker") else {
        return Some(given);
    };
    if !value.is_table() {
        value.choice(&[("off", ())])?;
        return None;
    }
    let table = value.table("`breaker`")?;
    let share = table.get("share").and_then(|value| {
        let share = value.share()?;
        if share <= 0.0 {
            value.refuse(
                "is nothing at all",
                "a breaker that opens on no failures never closes: write for example \"50%\"",
            );
        }
        Some(share)
    });
    let settings = breaker::Settings {
        consecutive: whole(&table, "consecutive", 1..=1000, given.consecutive),
        share: share.unwrap_or(given.share),
        least: whole(&table, "least", 1..=1_000_000, given.least),
        over: duration(&table, "over", OVER, given.over),
        open_for: duration(&table, "open_for", OPEN_FOR, given.open_for),
        close_after: whole(&table, "close_after", 1..=1000, given.close_after),
    };
    table.finish(&[], &[]);
    Some(settings)
}

/// A health check as people say it: `GET /healthz every 5s, 200 within 2s; down after
/// 3, up after 2`.
pub(super) fn told(health: Option<&Settings>) -> String {
    let Some(it) = health else {
        return "none".to_owned();
    };
    format!(
        "GET {} every {}, {} within {}; down after {}, up after {}",
        it.path,
        Span(it.every),
        it.expect,
        Span(it.timeout),
        it.fall,
        it.rise
    )
}

/// A breaker as people say it.
pub(super) fn breaker_told(breaker: Option<&breaker::Settings>) -> String {
    let Some(it) = breaker else {
        return "off".to_owned();
    };
    format!(
        "{} failures in a row or {}% of {} in {}; open for {}, closed after {}",
        it.consecutive,
        (it.share * 1e6).round() / 1e4,
        it.least,
        Span(it.over),
        Span(it.open_for),
        it.close_after
    )
}

impl Config {
    /// For each backend, when it is not asked: its breaker, its health check, its cap.
    pub fn guards(&self) -> Vec<String> {
        let told = |backend| {
            let upstream = &self.proxy.backends[backend];
            format!(
                "backend {backend}: breaker: {}; health: {}; cap: {}",
                breaker_told(self.breakers[backend].as_ref()),
                told(upstream.health.as_ref()),
                gate::told(upstream.cap.as_ref()),
            )
        };
        Backend::ALL.into_iter().map(told).collect()
    }
}

/// A path as it stands in a request's first line, its query with it.
fn path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err(format!("a path begins with a slash: \"/{text}\""));
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) || text.contains('#') {
        return Err("a path is written in visible ASCII, other characters as %XX".into());
    }
    if text.len() > PATH_MOST {
        return Err(format!("a path has at most {PATH_MOST} characters"));
    }
    Ok(text.to_owned())
}

fn duration(
    table: &Section<'_>,
    key: &'static str,
    range: RangeInclusive<Duration>,
    usual: Duration,
) -> Duration {
    let value = table.get(key);
    value
        .and_then(|value| value.duration(range))
        .unwrap_or(usual)
}

fn whole<T: TryFrom<i64>>(
    table: &Section<'_>,
    key: &'static str,
    range: RangeInclusive<i64>,
    usual: T,
) -> T {
    let value = table.get(key);
    value
        .and_then(|value| value.integer(range))
        .and_then(|number| T::try_from(number).ok())
        .unwrap_or(usual)
}
