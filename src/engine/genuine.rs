//! When people are told that a route no longer knows its provider: a wrong key must
//! not silently kill the line, and a forger must not work unseen.
//!
//! Trouble begins with the first webhook that is rejected, refused or left out for
//! want of a signature, in a minute without any. People are told once it has gone on for a full minute and more than a
//! fifth of the last minute's webhooks, at least five, were bad; and again when it was
//! less for three minutes.
//!
//! Where a route has verified any, that is critical. Where it never has since the
//! start, the key may be wrong from the first day (or since a restart that came after
//! the provider's change), and then every caller is turned away or nothing is proved;
//! but whoever finds the URL can cause it too, so it is a warning.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Notice, Severity};
use crate::measure::trail::Trail;
use crate::measure::window::Slot;
use crate::measure::{Checked, Found};
use crate::model::Tick;

/// Routes watched at most. Every route of a configuration has its number for the
/// life of the process; one past so many is counted in metrics only.
const ROUTES_MAX: usize = 1024;

/// The last minute, in slots of ten seconds; the running one makes it up to ten
/// seconds shorter.
const SLOT: Duration = Duration::from_secs(10);
const SLOTS: usize = 6;
const MINUTE: Duration = Duration::from_secs(60);

/// Bad ones without which nobody is told.
const BAD_MIN: u64 = 5;
/// More than one webhook in so many is trouble, less is peace.
const ONE_IN: u64 = 5;
/// How long peace must last.
const PEACE: Duration = Duration::from_secs(180);
/// A route that nothing comes to for so long is in no trouble any more.
const SILENCE: Duration = Duration::from_secs(3600);

/// Every route's last minute.
#[derive(Debug, Default)]
pub(super) struct Genuine {
    /// Bounded by [`ROUTES_MAX`].
    routes: BTreeMap<u16, Route>,
    /// Paths by the routes' numbers.
    paths: Vec<String>,
}

#[derive(Debug)]
struct Route {
    last_minute: Trail<Looked>,
    /// It has verified a webhook: its key was right once.
    verified: bool,
    /// Since when there are bad ones, without a minute between that had none.
    trouble: Option<Tick>,
    /// Since when there are fewer than a fifth.
    peace: Option<Tick>,
    heard: Tick,
    told: bool,
}

/// How webhooks were found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Looked {
    all: u64,
    /// Rejected, refused for whatever was found, or left out because it is not signed.
    bad: u64,
    refused: u64,
}

impl Genuine {
    /// What routes are called, by their numbers.
    pub(super) fn name(&mut self, paths: Vec<String>) {
        self.paths = paths;
    }

    /// A webhook's signature was looked at.
    pub(super) fn heard(&mut self, checked: &Checked) {
        if !self.routes.contains_key(&checked.route) && self.routes.len() >= ROUTES_MAX {
            return;
        }
        let route = self
            .routes
            .entry(checked.route)
            .or_insert_with(|| Route::new(checked.at));
        route.heard(checked);
    }

    /// Looks at every route, and says what to tell; once a tick.
    pub(super) fn update(&mut self, now: Tick) -> Vec<Notice> {
        let mut notices = Vec::new();
        for (number, route) in &mut self.routes {
            let name = || name(&self.paths, *number);
            if let Some((severity, text)) = route.update(now, name) {
                notices.push(Notice {
                    severity,
                    rule: None,
                    text,
                });
            }
        }
        notices
    }

    /// What stands now, a sentence for each route in trouble.
    pub(super) fn notes(&self) -> impl Iterator<Item = String> {
        let told = self.routes.iter().filter(|(_, route)| route.told);
        told.map(|(number, route)| {
            let name = name(&self.paths, *number);
            trouble(&name, route.last_minute.total(), route.verified)
        })
    }
}

impl Route {
    fn new(now: Tick) -> Self {
        Self {
            last_minute: Trail::new(SLOT, SLOTS, now),
            verified: false,
            trouble: None,
            peace: None,
            heard: now,
            told: false,
        }
    }

    fn heard(&mut self, checked: &Checked) {
        // What is not signed is bad only where it is left out for that: the tables would
        // go blind unseen, if a provider signs some of what it sends and not the rest.
        let left_out = checked.found == Found::Absent && !checked.counts;
        let bad = checked.refused || checked.found == Found::Rejected || left_out;
        self.heard = self.heard.max(checked.at);
        if !self.verified && matches!(checked.found, Found::Verified | Found::Replayed) {
            // What came before the key was right says nothing about it now.
            *self = Self {
                verified: true,
                told: self.told,
                ..Self::new(checked.at)
            };
        }
        self.last_minute.change(checked.at, |slot| {
            slot.all += 1;
            slot.bad += u64::from(bad);
            slot.refused += u64::from(checked.refused);
        });
        if bad {
            self.trouble.get_or_insert(checked.at);
        }
    }

    fn update(&mut self, now: Tick, name: impl Fn() -> String) -> Option<(Severity, String)> {
        self.last_minute.advance(now);
        let seen = self.last_minute.total();
        if seen.bad == 0 {
            self.trouble = None;
        }
        // Silence is neither: it does not end peace, and does not begin it.
        match seen.all {
            0 => {}
            _ if seen.bad * ONE_IN < seen.all => {
                self.peace.get_or_insert(now);
            }
            _ => self.peace = None,
        }
        if !self.told {
            let long = self.trouble.is_some_and(|since| now.since(since) >= MINUTE);
            self.told = long && seen.bad >= BAD_MIN && seen.bad * ONE_IN > seen.all;
            let severity = if self.verified {
                Severity::Critical
            } else {
                Severity::Warning
            };
            return self
                .told
                .then(|| (severity, trouble(&name(), seen, self.verified)));
        }
        let over = if self.peace.is_some_and(|since| now.since(since) >= PEACE) {
            "its webhooks verify again"
        } else if now.since(self.heard) >= SILENCE {
            "nothing has come to it for an hour"
        } else {
            return None;
        };
        self.told = false;
        let text = format!(
            "Webhooks on {} that do not verify are over: {over}.",
            name()
        );
        Some((Severity::Info, text))
    }
}

/// Which route, what is wrong, in figures, and what to look at.
fn trouble(route: &str, seen: Looked, verified: bool) -> String {
    let Looked { all, bad, refused } = seen;
    if all == 0 {
        return format!(
            "Webhooks on {route} did not verify and none has come since: check the key or token in its `verify`."
        );
    }
    let percent = bad * 100 / all;
    let suspicion = if verified {
        "Some verified before, so either the key or token in its `verify` no longer fits the provider's, or \
         the provider signs only a part of what it sends (then use mode = \"if-present\"), or somebody \
         forges webhooks"
    } else {
        "None has verified since the start, so the key or token in its `verify` is probably not the provider's \
         (or `public_url` is not the URL it was given)"
    };
    format!(
        "{bad} of {all} webhooks on {route} in the last minute did not verify ({percent} %), and {refused} of \
         them were refused; none of them counts in any window. {suspicion}. {DO}"
    )
}

/// What to do at three in the morning, in the order that helps callers first.
const DO: &str = "Correct it, or set mode = \"report\" so that all pass meanwhile, then `switchback reload` (a \
                  secret by `env` changes with a restart only).";

fn name(paths: &[String], number: u16) -> String {
    paths.get(usize::from(number)).map_or_else(
        || format!("the route with number {number}"),
        |path| format!("the route {path}"),
    )
}

impl Slot for Looked {
    fn add(&mut self, other: &Self) {
        self.all += other.all;
        self.bad += other.bad;
        self.refused += other.refused;
    }
    fn subtract(&mut self, other: &Self) {
        self.all -= other.all;
        self.bad -= other.bad;
        self.refused -= other.refused;
    }
}

#[cfg(test)]
mod tests;
