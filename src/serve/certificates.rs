//! Keeps certificates fresh: looks at their files, takes what has changed, and says
//! in time which of them end.
//!
//! Contents are compared, because a cluster swaps a link above the files and no notice
//! from the file system comes of that. A thread of its own, because files may lie on
//! slow disks and nobody should wait for those.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::clock;
use crate::metrics::Metrics;
use crate::model::{Backend, Tick};
use crate::proxy::Routing;
use crate::proxy::settings::Settings;
use crate::proxy::tls::{Certificate, Refused};

/// How often files are compared with what is served.
const LOOK: Duration = Duration::from_secs(30);
/// How often it is seen that a reload has brought other files, or that all is over.
const NOTICE: Duration = Duration::from_secs(1);
/// Certificate and key are two files and are written one after the other: what does
/// not fit is looked at again after this time before anything is said.
const HALFWAY: Duration = Duration::from_millis(1500);
/// Less than this before its end somebody should be told, in seconds.
const SOON: i64 = 14 * DAY;
const DAY: i64 = 24 * 60 * 60;
/// How often that is repeated.
const REMIND: Duration = Duration::from_secs(24 * 60 * 60);

/// Starts the thread. It ends with whoever holds the routing.
pub(super) fn start(
    routing: &Arc<ArcSwap<Routing>>,
    metrics: &Arc<Metrics>,
) -> std::io::Result<()> {
    let (routing, metrics) = (Arc::downgrade(routing), Arc::downgrade(metrics));
    std::thread::Builder::new()
        .name("certificates".to_owned())
        .spawn(move || watch(&routing, &metrics))
        .map(drop)
}

fn watch(routing: &Weak<ArcSwap<Routing>>, metrics: &Weak<Metrics>) {
    let mut watch = Watch::default();
    let mut looked: Option<(Tick, Weak<Settings>)> = None;
    loop {
        let (Some(routing), Some(metrics)) = (routing.upgrade(), metrics.upgrade()) else {
            return;
        };
        let settings = routing.load().settings.clone();
        drop(routing);
        let now = clock::tick();
        let same = looked.as_ref().is_some_and(|(at, of)| {
            std::ptr::eq(of.as_ptr(), Arc::as_ptr(&settings)) && now.since(*at) < LOOK
        });
        if !same {
            looked = Some((now, Arc::downgrade(&settings)));
            watch.renew(&settings);
            metrics.certificates(&watch.expiries(&settings, now, clock::wall().0 / 1000));
        }
        drop((settings, metrics));
        std::thread::sleep(NOTICE);
    }
}

/// What was said already.
#[derive(Debug, Default)]
struct Watch {
    /// What is wrong with the files, by where they are named.
    wrong: HashMap<String, String>,
    /// When the end of a certificate was last spoken of.
    reminded: HashMap<String, Tick>,
}

impl Watch {
    /// Takes what has changed.
    fn renew(&mut self, settings: &Settings) {
        if let Some(tls) = &settings.tls {
            let all = |refused: Vec<Refused>| {
                let all: Vec<_> = refused.iter().map(ToString::to_string).collect();
                all.join("; ")
            };
            self.take("listen.tls", || tls.renew().map_err(all));
        }
        for backend in Backend::ALL {
            if let Some(tls) = &settings.backends[backend].tls {
                let whose = format!("backend.{backend}.tls");
                self.take(&whose, || {
                    tls.renew().map_err(|refused| refused.to_string())
                });
            }
        }
    }

    fn take(&mut self, whose: &str, renew: impl Fn() -> Result<bool, String>) {
        let renewed = renew().or_else(|_| {
            std::thread::sleep(HALFWAY);
            renew()
        });
        match renewed {
            Ok(changed) => {
                let mended = self.wrong.remove(whose).is_some();
                if changed {
                    tracing::info!(whose, "Certificates have changed and are in force.");
                } else if mended {
                    tracing::info!(whose, "The files of certificates are well again.");
                }
            }
            Err(why) if self.wrong.get(whose) != Some(&why) => {
                tracing::error!(
                    whose,
                    "Changed certificates are refused; those from before stay in force. {why}"
                );
                self.wrong.insert(whose.to_owned(), why);
            }
            Err(_) => {}
        }
    }

    /// When each certificate ends; says which of them end soon. `wall`: seconds since
    /// 1970.
    fn expiries(&mut self, settings: &Settings, now: Tick, wall: i64) -> Vec<(String, i64)> {
        let mut ends = Vec::new();
        for (place, certificate) in certificates(settings) {
            let left = certificate.not_after - wall;
            let file = certificate.path.display();
            if self.is_due(&place, left, now) {
                let days = left / DAY;
                if left <= 0 {
                    tracing::error!(place, %file, "A certificate has expired: those who check it do not connect. Replace the file.");
                } else {
                    tracing::warn!(place, %file, days, "A certificate ends soon. Replace the file; it is taken without a restart.");
                }
            }
            ends.push((place, certificate.not_after));
        }
        ends
    }
}

impl Watch {
    /// Should somebody be told that so many seconds are left? Once a day is enough.
    fn is_due(&mut self, place: &str, left: i64, now: Tick) -> bool {
        if left >= SOON {
            self.reminded.remove(place);
            return false;
        }
        let last = self.reminded.get(place);
        let due = last.is_none_or(|at| now.since(*at) >= REMIND);
        if due {
            self.reminded.insert(place.to_owned(), now);
        }
        due
    }
}

/// Every certificate that is shown to anybody, by its place in the configuration.
fn certificates(settings: &Settings) -> Vec<(String, Certificate)> {
    let shown = settings.tls.iter().flat_map(|tls| tls.certificates());
    let shown = (shown.enumerate()).map(|(index, it)| (format!("listen-{index}"), it));
    let asked = Backend::ALL.into_iter().filter_map(|backend| {
        let tls = settings.backends[backend].tls.as_ref()?;
        Some((format!("backend-{backend}"), tls.certificate()?))
    });
    shown.chain(asked).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_last_two_weeks_of_a_certificate_somebody_is_told_once_a_day() {
        let mut watch = Watch::default();
        let at = |hours: u64| Tick::from_secs(hours * 3600);
        for (hour, left, told) in [
            (0, SOON, false),
            (1, SOON - 1, true),
            (2, SOON - 3600, false),
            (25, SOON - DAY, true),
            // Replaced, and the next one ends as well.
            (26, 90 * DAY, false),
            (27, DAY, true),
            (28, -1, false),
            (51, -DAY, true),
        ] {
            assert_eq!(watch.is_due("listen-0", left, at(hour)), told, "{hour}");
        }
        assert!(watch.is_due("backend-new", 1, at(51)), "each for itself");
    }

    #[test]
    fn what_is_wrong_with_files_is_remembered_until_they_are_well() {
        let mut watch = Watch::default();
        watch.take("listen.tls", || Err("no key".to_owned()));
        assert_eq!(watch.wrong["listen.tls"], "no key");
        watch.take("listen.tls", || Ok(false));
        assert!(watch.wrong.is_empty());
    }

    #[test]
    fn a_pair_seen_half_written_is_looked_at_again_before_anything_is_said() {
        let mut watch = Watch::default();
        let looks = std::cell::Cell::new(0);
        watch.take("listen.tls", || {
            looks.set(looks.get() + 1);
            if looks.get() == 1 {
                Err("half".to_owned())
            } else {
                Ok(true)
            }
        });
        assert!(watch.wrong.is_empty());
    }
}
