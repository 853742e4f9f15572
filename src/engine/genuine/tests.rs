//! When a route's operator is told that its webhooks are not genuine.

use super::*;

const START: Tick = Tick::from_secs(7200);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A route's webhooks and a clock.
struct Watch {
    genuine: Genuine,
    now: Tick,
    told: Vec<(Severity, String)>,
}

impl Watch {
    /// A route that has verified a webhook, two minutes ago.
    fn verified() -> Self {
        let mut watch = Self::new();
        watch.come(1, Found::Verified, false);
        watch.wait(120);
        watch
    }

    fn new() -> Self {
        let mut genuine = Genuine::default();
        genuine.name(vec!["/ivr".to_owned()]);
        Self {
            genuine,
            now: START,
            told: Vec::new(),
        }
    }

    fn come(&mut self, count: u64, found: Found, refused: bool) {
        for _ in 0..count {
            self.genuine.heard(&Checked {
                at: self.now,
                route: 0,
                found,
                // What is not signed is left out only once a route has verified any.
                counts: found == Found::Verified || found == Found::Absent && !refused,
                refused,
            });
        }
    }

    fn tick(&mut self) {
        let told = self.genuine.update(self.now);
        self.told
            .extend(told.into_iter().map(|it| (it.severity, it.text)));
    }

    fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now = self.now + secs(1);
            self.tick();
        }
    }

    /// So many good and bad ones every ten seconds, for so many of them.
    fn tens(&mut self, tens: u64, good: u64, bad: u64) {
        for _ in 0..tens {
            self.come(good, Found::Verified, false);
            self.come(bad, Found::Rejected, true);
            self.wait(10);
        }
    }

    fn criticals(&self) -> usize {
        let critical = |it: &&(Severity, String)| it.0 == Severity::Critical;
        self.told.iter().filter(critical).count()
    }
}

#[test]
fn a_wrong_key_is_told_once_after_a_full_minute_with_figures_and_what_to_check() {
    let mut watch = Watch::verified();
    watch.tens(5, 0, 1);
    watch.come(1, Found::Rejected, true);
    watch.wait(9);
    assert_eq!(watch.told, [], "59 seconds of trouble");
    watch.come(1, Found::Rejected, true);
    watch.wait(1);
    watch.tens(30, 0, 1);
    let [(Severity::Critical, text)] = watch.told.as_slice() else {
        panic!("one critical notice: {:?}", watch.told);
    };
    for word in ["/ivr", "100 %", "refused", "`verify`", "forges"] {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
    assert_eq!(watch.genuine.notes().count(), 1);
}

#[test]
fn more_than_a_fifth_is_told_and_exactly_a_fifth_is_not() {
    for (good, bad, told) in [(7, 2, 1), (8, 2, 0), (4, 1, 0), (0, 1, 1)] {
        let mut watch = Watch::verified();
        watch.tens(20, good, bad);
        assert_eq!(watch.criticals(), told, "{bad} of {}", good + bad);
    }
}

#[test]
fn five_bad_ones_in_the_minute_are_told_and_four_are_not() {
    for (every, told) in [(10, 1), (15, 0)] {
        let mut watch = Watch::verified();
        for _ in 0..20 {
            watch.come(1, Found::Rejected, false);
            watch.wait(every);
        }
        assert_eq!(watch.criticals(), told, "one every {every} s");
    }
}

#[test]
fn a_burst_that_is_over_within_the_minute_is_not_told() {
    let mut watch = Watch::verified();
    watch.come(1000, Found::Rejected, true);
    watch.wait(300);
    assert_eq!(watch.told, []);
}

#[test]
fn a_key_that_was_never_right_is_told_once_as_a_warning_with_what_to_do() {
    let mut watch = Watch::new();
    watch.tens(30, 0, 10);
    let [(Severity::Warning, text)] = watch.told.as_slice() else {
        panic!("one warning: {:?}", watch.told);
    };
    for word in ["None has verified", "`public_url`", "`switchback reload`"] {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
    assert_eq!(watch.genuine.notes().count(), 1);
    watch.tens(18, 10, 0);
    assert_eq!(watch.told.len(), 1, "not yet over");
    watch.tens(1, 10, 0);
    let (severity, text) = watch.told.last().unwrap();
    assert_eq!((watch.told.len(), *severity), (2, Severity::Info), "{text}");
}

#[test]
fn a_provider_that_signs_nothing_is_told_of_only_where_that_is_refused() {
    for (refused, told) in [(false, 0), (true, 1)] {
        let mut watch = Watch::new();
        for _ in 0..20 {
            watch.come(10, Found::Absent, refused);
            watch.wait(10);
        }
        assert_eq!(watch.told.len(), told, "refused: {refused}");
    }
}

#[test]
fn what_came_before_the_first_verified_one_is_held_against_nobody() {
    let mut watch = Watch::new();
    watch.tens(3, 0, 10);
    watch.tens(30, 10, 0);
    assert_eq!(watch.told, []);
}

#[test]
fn unsigned_webhooks_are_bad_only_where_they_are_refused_or_left_out() {
    for (counts, refused, told) in [(false, true, 1), (false, false, 1), (true, false, 0)] {
        let mut watch = Watch::verified();
        for _ in 0..20 {
            for _ in 0..2 {
                watch.genuine.heard(&Checked {
                    at: watch.now,
                    route: 0,
                    found: Found::Absent,
                    counts,
                    refused,
                });
            }
            watch.wait(10);
        }
        assert_eq!(
            watch.criticals(),
            told,
            "counts: {counts}, refused: {refused}"
        );
    }
}

#[test]
fn a_providers_own_retry_is_no_attack() {
    let mut watch = Watch::verified();
    for _ in 0..20 {
        watch.come(5, Found::Replayed, false);
        watch.wait(10);
    }
    assert_eq!(watch.told, []);
}

#[test]
fn it_is_over_after_three_minutes_of_less_than_a_fifth_and_not_a_second_sooner() {
    let mut watch = Watch::verified();
    watch.tens(12, 0, 2);
    assert_eq!(watch.criticals(), 1);
    watch.tens(60, 8, 2);
    assert_eq!(watch.told.len(), 1, "exactly a fifth is no peace");
    // Less than a fifth from here on; the tick above was the last with a fifth.
    watch.come(50, Found::Verified, false);
    watch.tick();
    for _ in 0..179 {
        watch.come(1, Found::Verified, false);
        watch.wait(1);
    }
    assert_eq!(watch.told.len(), 1);
    watch.wait(1);
    let (severity, text) = watch.told.last().unwrap();
    assert_eq!((watch.told.len(), *severity), (2, Severity::Info));
    assert!(text.contains("verify again"), "{text}");
    assert_eq!(watch.genuine.notes().count(), 0);
    watch.tens(12, 0, 2);
    assert_eq!(watch.criticals(), 2, "and once more when it comes back");
}

#[test]
fn silence_is_no_peace_but_an_hour_of_it_is_the_end() {
    let mut watch = Watch::verified();
    watch.tens(12, 0, 2);
    watch.wait(3580);
    assert_eq!(watch.told.len(), 1);
    let note = watch.genuine.notes().next().unwrap();
    assert!(note.contains("none has come since"), "{note}");
    watch.wait(20);
    assert_eq!(watch.told.len(), 2);
}

#[test]
fn a_route_past_the_bound_is_not_watched() {
    let mut genuine = Genuine::default();
    for route in 0..=u16::try_from(ROUTES_MAX).unwrap() {
        genuine.heard(&Checked {
            at: START,
            route,
            found: Found::Verified,
            counts: true,
            refused: false,
        });
    }
    assert_eq!(genuine.routes.len(), ROUTES_MAX);
}
