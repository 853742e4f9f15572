//! Rows whose threshold is made of legacy's value, or of what it was before.

use super::day::{Day, begins, mins, row};
use super::{Action, Against, Base, Finding, How, Measure, Rule, Side, Verdict};
use crate::measure::totals::Sums;
use crate::measure::{Cause, Observation, Outcome, ReportKind};
use crate::model::Backend;

const FAILED: Outcome = Outcome::Failed(Cause::Status);

fn against(measure: Measure, how: How, by: f64, base: Base) -> Rule {
    Rule {
        against: Some(Against { base, how }),
        ..row(measure, by, 5, Action::Reverse)
    }
}

fn errors(by: f64, base: Base) -> Rule {
    against(Measure::ErrorRate, How::Times, by, base)
}

/// What a row says of (good, failed) calls on new and on legacy.
fn of(rule: &Rule, new: (u64, u64), legacy: (u64, u64), baseline: Option<Sums>) -> Finding {
    let mut day = Day::with(std::slice::from_ref(rule));
    day.history.baseline = baseline;
    day.calls(Backend::New, new.0, Outcome::Served);
    day.calls(Backend::New, new.1, FAILED);
    day.calls(Backend::Legacy, legacy.0, Outcome::Served);
    day.calls(Backend::Legacy, legacy.1, FAILED);
    day.judge().remove(0)
}

fn was(good: u64, failed: u64) -> Option<Sums> {
    Some(Sums {
        good,
        failed,
        calls: good + failed,
        ..Sums::default()
    })
}

#[test]
fn as_good_as_legacy_means_no_more_than_a_tenth_worse_or_what_chance_does() {
    let rule = errors(1.0, Base::Legacy);
    let legacy = (3600, 400);
    let finding = of(&rule, (891, 109), legacy, None);
    assert_eq!(finding.verdict, Verdict::Pass, "1.09 times is as good");
    assert!((finding.threshold - 0.1).abs() < 1e-9);
    assert!(
        finding
            .because
            .contains("the table allows 10 % (1x legacy)"),
        "{}",
        finding.because
    );
    let finding = of(&rule, (176, 24), legacy, None);
    assert_eq!(finding.verdict, Verdict::Inconclusive, "1.2 times of 200");
    assert!(finding.because.contains("may be chance"));
    let finding = of(&rule, (3520, 480), legacy, None);
    assert_eq!(finding.verdict, Verdict::Trip, "1.2 times of 4000");
    assert_eq!(finding.withheld, None, "that legacy is as bad is no excuse");
}

#[test]
fn twice_the_baseline_is_beyond_twice_and_no_chance() {
    let rule = errors(2.0, Base::Baseline);
    let baseline = || was(9900, 100);
    let nobody = (0, 0);
    for (new, verdict) in [
        ((970, 30), Verdict::Trip),
        ((975, 25), Verdict::Inconclusive),
        ((980, 20), Verdict::Pass),
        ((18, 1), Verdict::Inconclusive),
    ] {
        let finding = of(&rule, new, nobody, baseline());
        assert_eq!(finding.verdict, verdict, "{}", finding.because);
        assert!((finding.threshold - 0.02).abs() < 1e-9);
    }
    let finding = of(&rule, (900, 100), nobody, None);
    assert_eq!(finding.verdict, Verdict::Inconclusive);
    assert!(
        finding
            .because
            .ends_with("no baseline: legacy was not watched before the first stage"),
        "{}",
        finding.because
    );
}

#[test]
fn a_legacy_with_hardly_a_call_left_is_what_it_was_before_and_one_with_few_is_nothing() {
    let rule = errors(2.0, Base::Legacy);
    let (new, before) = ((500, 500), || was(9900, 100));
    assert_eq!(of(&rule, new, (0, 0), before()).verdict, Verdict::Trip);
    // Rescues bring a trickle of calls to it: one for more than ten of new's.
    assert_eq!(
        of(&rule, (95, 96), (19, 0), before()).verdict,
        Verdict::Trip
    );
    let few = of(&rule, (95, 95), (19, 0), before());
    assert_eq!(few.verdict, Verdict::Inconclusive);
    assert!(
        few.because
            .contains("too little of legacy to compare with: 19 calls of the 20 needed"),
        "{}",
        few.because
    );
    assert_eq!(of(&rule, new, (20, 0), before()).verdict, Verdict::Trip);
    assert_eq!(of(&rule, new, (0, 0), None).verdict, Verdict::Inconclusive);
}

#[test]
fn so_much_slower_than_legacy_is_a_mean_or_a_quantile() {
    let plus = against(Measure::ResponseTimeMean, How::Plus, 500.0, Base::Legacy);
    let twice = against(Measure::ResponseTimeP95, How::Times, 2.0, Base::Legacy);
    for (rule, latency, verdict) in [
        (&plus, 750, Verdict::Trip),
        (&plus, 650, Verdict::Pass),
        (&twice, 450, Verdict::Trip),
        (&twice, 390, Verdict::Pass),
    ] {
        let mut day = Day::with(std::slice::from_ref(rule));
        for place in 0..400 {
            let spread = place % 5;
            day.answer(Backend::Legacy, 1, Outcome::Served, 198 + spread);
            day.answer(Backend::New, 1, Outcome::Served, latency - 2 + spread);
        }
        let finding = day.judge().remove(0);
        assert_eq!(finding.verdict, verdict, "{}", finding.because);
    }
}

#[test]
fn a_drop_of_transactions_against_before_is_seen_once_it_is_no_chance() {
    let rule = Rule {
        side: Side::Below,
        ..against(Measure::Transactions, How::Times, 0.9, Base::Baseline)
    };
    let after = |waited: u64, made: Option<u32>| {
        let mut day = Day::with(std::slice::from_ref(&rule));
        day.wait(mins(waited));
        day.history.baseline = Some(Sums {
            begun: 1000,
            transactions: 800,
            ..Sums::default()
        });
        for _ in 0..200 {
            day.evidence.observe(&Observation::Placed(begins(day.now)));
        }
        if let Some(made) = made {
            day.report(Backend::New, ReportKind::Transactions(made));
        }
        day.judge().remove(0)
    };
    let said = |made| after(15, made);
    let young = after(14, Some(100));
    assert_eq!(
        young.verdict,
        Verdict::Inconclusive,
        "they come after the calls"
    );
    assert!(
        young.because.starts_with("watched for less than 15 min"),
        "{}",
        young.because
    );
    assert_eq!(said(Some(100)).verdict, Verdict::Trip);
    assert_eq!(said(Some(130)).verdict, Verdict::Inconclusive);
    let well = said(Some(150));
    assert_eq!((well.verdict, well.value), (Verdict::Pass, Some(0.75)));
    assert_eq!(
        well.because,
        "0.8 transactions for each of 200 calls in the last 5 min; \
         the table asks for 0.7 (0.9x baseline)"
    );
    assert_eq!(said(None).verdict, Verdict::Inconclusive, "nobody reports");
}

#[test]
fn a_relative_row_has_no_sequential_test() {
    let rule = Rule {
        early: Some(super::Early::default()),
        ..errors(0.1, Base::Legacy)
    };
    let finding = of(&rule, (0, 10), (20, 80), None);
    assert_eq!(
        (finding.verdict, finding.early),
        (Verdict::Inconclusive, None)
    );
}

#[test]
fn a_crash_loop_is_a_stay_that_was_too_short() {
    let rule = Rule {
        side: Side::Below,
        over: mins(60),
        ..row(Measure::Uptime, 1800.0, 60, Action::Reverse)
    };
    for (minutes, verdict) in [(29, Verdict::Trip), (30, Verdict::Pass)] {
        let mut day = Day::with(std::slice::from_ref(&rule));
        assert_eq!(day.verdict(), Verdict::Inconclusive, "nothing is known");
        for (up, lasts) in [(true, 5), (false, 1), (true, minutes)] {
            day.evidence.is_up(Backend::New, Some(up));
            assert_eq!(day.verdict(), Verdict::Pass, "one crash is no loop");
            day.wait(mins(lasts));
        }
        day.evidence.is_up(Backend::New, Some(false));
        let finding = day.judge().remove(0);
        assert_eq!(finding.verdict, verdict);
        let said = format!("it went down 1 time in the last 1 h, after {minutes} min");
        assert!(finding.because.starts_with(&said), "{}", finding.because);
    }
}
