//! The shipped tables of R1, end to end in simulated time: calls go into the engine,
//! what it does comes out. `--nocapture` shows the measured figures; `LONG=1` runs
//! the full sizes.

use std::collections::BTreeSet;
use std::time::Duration;

use super::bench::{Bench, Random, asked_for, ivr_texml, mins};
use crate::measure::{CallEnd, Cause, Outcome, ReportKind};
use crate::model::{Backend, PerBackend};

/// Plays something that a row must act on, or its neighbour.
type Play = Box<dyn Fn(&mut Bench)>;

/// One row, what makes it trip and what is one less and does not.
struct Case {
    row: &'static str,
    trips: Play,
    spares: Play,
    reverses: bool,
}

fn case<P: Fn(&mut Bench) + 'static>(
    row: &'static str,
    reverses: bool,
    trips: P,
    spares: P,
) -> Case {
    Case {
        row,
        trips: Box::new(trips),
        spares: Box::new(spares),
        reverses,
    }
}

/// A hundred things evenly over the span, so many of them bad, and never more of
/// the first ones than of all.
fn spread(bench: &mut Bench, span: Duration, bad: u64, thing: impl Fn(&mut Bench, bool)) {
    for place in 0..100 {
        thing(bench, (place + 1) * bad / 100 > place * bad / 100);
        bench.tick();
        bench.wait(span * 98 / 10_000 - Duration::from_millis(100));
    }
}

fn errors(minutes: u64, failed: u64) -> impl Fn(&mut Bench) {
    move |bench| spread(bench, mins(minutes), failed, Bench::call)
}

fn slow(minutes: u64, latency_ms: u32) -> impl Fn(&mut Bench) {
    move |bench| {
        spread(bench, mins(minutes), 0, |bench, _| {
            bench.answer(Backend::New, Outcome::Served, latency_ms);
        });
    }
}

fn hang_ups(minutes: u64, abandoned: u64) -> impl Fn(&mut Bench) {
    move |bench| {
        spread(bench, mins(minutes), abandoned, |bench, gone| {
            bench.end(if gone {
                CallEnd::Abandoned
            } else {
                CallEnd::Served
            });
        });
        // Until the last of them has had its ten minutes to end.
        for _ in 0..100 {
            bench.wait(Duration::from_secs(6));
            bench.tick();
        }
    }
}

fn reports(backend: Backend, kind: ReportKind) -> impl Fn(&mut Bench) {
    move |bench| {
        bench.report(None, backend, kind);
        bench.tick();
    }
}

fn memory(share: f64) -> impl Fn(&mut Bench) {
    move |bench| {
        spread(bench, mins(10), 0, |bench, _| {
            bench.report(None, Backend::New, ReportKind::MemoryUsed(share));
        });
    }
}

fn speech(empty: u64) -> impl Fn(&mut Bench) {
    move |bench| {
        spread(bench, mins(30), empty, |bench, empty| {
            bench.speak(!empty);
        });
    }
}

fn down(answered: u64) -> impl Fn(&mut Bench) {
    move |bench| {
        bench.calls(answered, 0);
        for _ in 0..2 {
            bench.answer(Backend::New, Outcome::Failed(Cause::Connect), 200);
        }
        bench.tick();
    }
}

fn busy(calls: u64) -> impl Fn(&mut Bench) {
    move |bench| {
        bench.active = PerBackend {
            legacy: 90,
            new: calls,
        };
        spread(bench, mins(5), 0, |_, _| ());
    }
}

fn reversal_table() -> Vec<Case> {
    let critical = |backend| reports(backend, ReportKind::CriticalError);
    vec![
        case(
            "error_rate-above-5%-15m",
            false,
            errors(15, 6),
            errors(15, 5),
        ),
        case(
            "error_rate-above-10%-5m",
            true,
            errors(5, 11),
            errors(5, 10),
        ),
        case(
            "response_time_mean-above-3s-10m",
            false,
            slow(10, 3001),
            slow(10, 3000),
        ),
        case(
            "response_time_mean-above-5s-5m",
            true,
            slow(5, 5001),
            slow(5, 5000),
        ),
        case(
            "abandonment_rate-above-15%-30m",
            false,
            hang_ups(30, 16),
            hang_ups(30, 15),
        ),
        case(
            "abandonment_rate-above-25%-15m",
            true,
            hang_ups(15, 26),
            hang_ups(15, 25),
        ),
        case(
            "critical_errors-above-0-1h",
            true,
            critical(Backend::New),
            critical(Backend::Legacy),
        ),
    ]
}

fn alert_table() -> Vec<Case> {
    vec![
        case("error rate high", false, errors(5, 6), errors(5, 5)),
        case(
            "response time degraded",
            false,
            slow(5, 2001),
            slow(5, 2000),
        ),
        case("memory usage high", false, memory(0.81), memory(0.80)),
        case(
            "call abandonment high",
            false,
            hang_ups(15, 16),
            hang_ups(15, 15),
        ),
        case("speech recognition low", false, speech(26), speech(25)),
        case("system down", false, down(0), down(1)),
        case("concurrent calls high", false, busy(16), busy(15)),
    ]
}

#[test]
fn every_row_acts_and_its_neighbour_is_spared() {
    let mut played = BTreeSet::new();
    for Case {
        row,
        trips,
        spares,
        reverses,
    } in reversal_table().into_iter().chain(alert_table())
    {
        let mut bench = Bench::at(50, ivr_texml());
        trips(&mut bench);
        assert!(bench.told(row), "{row} trips and nobody is told");
        let expected = if reverses { vec![row] } else { vec![] };
        assert_eq!(bench.reversals(), expected, "{row}");
        assert_eq!(bench.engine.split().latched, reverses, "{row}");

        let mut bench = Bench::at(50, ivr_texml());
        spares(&mut bench);
        assert!(!bench.told(row), "{row}: its neighbour is told");
        assert_eq!(bench.reversals(), [""; 0], "{row}: its neighbour reverses");
        assert!(played.insert(row), "{row} is played twice");
    }
    let rules = ivr_texml();
    let rows: BTreeSet<_> = rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(played, rows, "every row of the preset is played");
}

#[test]
fn a_quiet_hour_on_new_alarms_nobody() {
    let mut bench = Bench::at(50, ivr_texml());
    for _ in 0..12 {
        errors(5, 1)(&mut bench);
    }
    assert_eq!(bench.reversals(), [""; 0]);
    assert!(ivr_texml().iter().all(|rule| !bench.told(&rule.name)));
}

/// New calls so rare as this, of which so many in a thousand fail after a quarter of
/// an hour in which one in a hundred did.
#[derive(Clone, Copy, Debug)]
struct Fault {
    calls_per_minute: f64,
    permille: u64,
    tenants: u64,
}

impl Fault {
    /// Calls on new from the fault's beginning to the reversal.
    fn calls_until_reversal(self, seed: u64) -> u64 {
        const PATIENCE: u64 = 10_000;
        let mut random = Random(seed);
        let mut bench = Bench::at(50, ivr_texml());
        bench.tenants = self.tenants;
        let healthy = bench.now + mins(15);
        while bench.now < healthy {
            self.call(&mut bench, &mut random, 10);
            assert_eq!(bench.reversals(), [""; 0], "while healthy, seed {seed}");
        }
        (1..PATIENCE)
            .find(|_| {
                self.call(&mut bench, &mut random, self.permille);
                bench.engine.split().latched
            })
            .unwrap_or(PATIENCE)
    }

    /// The next call comes when chance will have it.
    fn call(self, bench: &mut Bench, random: &mut Random, permille: u64) {
        let gap = -(1.0 - random.unit()).ln() * 60.0 / self.calls_per_minute;
        bench.wait(Duration::from_secs_f64(gap));
        bench.call(random.permille(permille));
        bench.tick();
    }

    /// Over so many hundred seeds: median, nine in ten, most.
    fn measure(self, hundreds: usize) -> [u64; 3] {
        let mut calls: Vec<_> = (0..hundreds as u64 * 100)
            .map(|seed| self.calls_until_reversal(seed))
            .collect();
        calls.sort_unstable();
        let [median, p90, most] = [50, 90, 100].map(|of| calls[of * hundreds - 1]);
        println!("{self:?}: reversed after {median} calls in the median, p90 {p90}, most {most}");
        [median, p90, most]
    }
}

#[test]
fn a_total_outage_at_two_calls_a_minute_is_reversed_within_eight_calls() {
    for tenants in [1, 6] {
        let fault = Fault {
            calls_per_minute: 2.0,
            permille: 1000,
            tenants,
        };
        let [median, ..] = fault.measure(2);
        assert!(median <= 8, "{fault:?}: {median} calls in the median");
    }
}

#[test]
fn a_fault_of_thirty_percent_is_reversed_whatever_the_traffic() {
    let rates: &[f64] = if asked_for("LONG", 0) > 0 {
        &[2.0, 20.0, 60.0]
    } else {
        &[2.0]
    };
    for &calls_per_minute in rates {
        let fault = Fault {
            calls_per_minute,
            permille: 300,
            tenants: 1,
        };
        let [.., most] = fault.measure(1);
        assert!(most < 10_000, "{fault:?} is never seen");
    }
}

/// Reversals while new fails at half of what the table allows, `each` calls in
/// every tick and a tick every `gap`.
fn reversals_at_half(calls: u64, each: u64, gap: Duration, seed: u64) -> u64 {
    let mut random = Random(seed);
    let mut reversals = 0;
    let mut bench = Bench::at(50, ivr_texml());
    for _ in 0..calls / each {
        for _ in 0..each {
            bench.call(random.permille(50));
        }
        bench.wait(gap);
        bench.tick();
        if bench.engine.split().latched {
            reversals += 1;
            bench = Bench::at(50, ivr_texml());
        }
        bench.said.clear();
    }
    reversals
}

#[test]
fn no_reversal_in_a_million_calls_that_fail_at_half_the_threshold() {
    let calls = 1_000_000;
    let reversals = reversals_at_half(calls, 50, Duration::ZERO, 1);
    println!(
        "{calls} calls failing at 5 % (the table allows 10 %), 500 a second: {reversals} reversals"
    );
    assert_eq!(reversals, 0);
}

/// As thin as the outage above: here the sequential test speaks alone.
#[test]
fn no_reversal_at_two_calls_a_minute_that_fail_at_half_the_threshold() {
    let calls = match asked_for("LONG", 0) {
        0 => 20_000,
        _ => 1_000_000,
    };
    let reversals = reversals_at_half(calls, 1, Duration::from_secs(30), 7);
    println!("{calls} calls failing at 5 %, 2 a minute: {reversals} reversals");
    assert_eq!(reversals, 0);
}

/// Not a promise but a figure to know: a window of 40 to 300 calls that fail at 5 %
/// is above 10 % now and then, and the row says "above 10 %", not "surely above".
#[test]
fn what_the_row_does_at_half_its_threshold_depends_on_the_traffic() {
    let (calls, rates): (u64, &[u64]) = if asked_for("LONG", 0) > 0 {
        (100_000, &[2, 4, 6, 8, 16, 30, 60, 120, 240])
    } else {
        (5_000, &[2, 6])
    };
    for &rate in rates {
        let gap = Duration::from_millis(60_000 / rate);
        let reversals = reversals_at_half(calls, 1, gap, 3);
        println!("{calls} calls failing at 5 %, {rate} a minute: {reversals} reversals");
        // Below 20 calls in five minutes only the sequential test speaks.
        assert!(rate > 3 || reversals == 0, "at {rate} calls a minute");
    }
}
