//! Hours are added up and go into the journal, so that what is judged over days, over a
//! stage or against how legacy was before outlives the process. A stop closes the running
//! one, so that it loses nothing. At a crash it is lost, and gates say how much is missing;
//! but not what people report, which closes it early: no gate may pass because somebody
//! pulled a plug.

use std::time::Duration;

use super::{Effect, Engine, ReportKind};
use crate::model::{Tick, Wall};
use crate::rollout::Rollout;

/// So long after a report the hour is closed for it: what is reported together is kept
/// together.
const REPORT_KEPT: Duration = Duration::from_secs(1);

/// Reports close an hour no more often than this: twelve entries an hour of about a
/// kilobyte in the journal, however many reports come. So much of them a crash may lose
/// after the first. In memory they are bounded by
/// [`PIECES_MAX`](crate::measure::totals::PIECES_MAX).
const REPORTS_EVERY: Duration = Duration::from_secs(5 * 60);

/// When the hour is closed because somebody reported something.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reports {
    /// The first one that is in no closed hour.
    since: Option<Tick>,
    /// When they last closed one.
    kept: Option<Tick>,
}

impl Reports {
    /// Takes that something was reported. Only what people say: gauges are of the moment,
    /// and transactions come by the thousand.
    pub(super) fn hear(&mut self, kind: ReportKind, now: Tick) {
        if let ReportKind::CriticalError | ReportKind::Complaint | ReportKind::Incident = kind {
            self.since.get_or_insert(now);
        }
    }

    fn are_due(&self, now: Tick) -> bool {
        let lately = |kept: Tick| now.since(kept) < REPORTS_EVERY;
        self.since
            .is_some_and(|since| now.since(since) >= REPORT_KEPT)
            && !self.kept.is_some_and(lately)
    }
}

/// Hours that wait for a raise on its way to the disk. On top of them the oldest is lost;
/// a raise does not take so many hours.
const DUE_MAX: usize = 16;

impl Engine {
    /// Once a tick: closes the hour when the calendar's is full, a stage is warm, or
    /// something was reported.
    pub(super) fn keep_hours(&mut self, now: Tick, wall: Wall, effects: &mut Vec<Effect>) {
        self.tell_when_gates_count();
        if self.evidence.hour_is_over(now, wall) {
            self.close_hour(now, wall, effects);
        } else if self.reports.are_due(now) {
            self.reports.kept = Some(now);
            self.close_hour(now, wall, effects);
        } else if !self.hours_due.is_empty() {
            self.record_hours(now, wall, effects);
        }
    }

    /// By the calendar: with every tick, since a plan may be edited, and before gates are
    /// judged in a stage that begins or was found running.
    pub(super) fn tell_when_gates_count(&mut self) {
        if let Some(warm) = self.warm_at() {
            self.evidence.gates_count_from(warm);
        }
    }

    /// Closes the running hour. To be called before every step that changes the stage is
    /// decided: no hour lies in two.
    pub(super) fn close_hour(&mut self, now: Tick, wall: Wall, effects: &mut Vec<Effect>) {
        let (stage, _) = stage(&self.rollout);
        self.reports.since = None;
        for hour in self.evidence.take_hour(now, wall, stage) {
            if self.hours_due.len() >= DUE_MAX {
                self.hours_due.pop_front();
            }
            self.hours_due.push_back(hour);
        }
        self.record_hours(now, wall, effects);
    }

    /// An hour in the journal behind a raise that is on its way would say that things
    /// stand as they did before it. It can wait for that.
    fn record_hours(&mut self, now: Tick, wall: Wall, effects: &mut Vec<Effect>) {
        while self.pending.is_none() {
            let Some(hour) = self.hours_due.pop_front() else {
                return;
            };
            let entry = self.rollout.totals_entry(hour, wall);
            self.rollout.apply(&entry);
            self.record(entry, now, effects);
        }
    }

    /// When the warm-up of the stage that runs is over.
    fn warm_at(&self) -> Option<Wall> {
        let standing = self.rollout.stage()?;
        let plan = self.settings.plan.as_ref()?;
        let stage = plan
            .stages
            .iter()
            .find(|stage| stage.name == standing.stage)?;
        let warm_up = i64::try_from(stage.warm_up.as_millis()).unwrap_or(i64::MAX);
        Some(Wall(standing.since.0.saturating_add(warm_up)))
    }
}

/// The number of the stage that runs, and since when; 0: none does, since the rollout
/// stands where it stands.
pub(super) fn stage(rollout: &Rollout) -> (u16, Wall) {
    match rollout.stage() {
        Some(stage) => (stage.number, stage.since),
        None => (0, rollout.phase_since()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::bench::{Bench, entries, ivr_texml, percent};
    use super::*;
    use crate::engine::Event;
    use crate::model::Backend;
    use crate::rollout::{Action, Command};
    use crate::rules::{self, Rule, Verdict};

    const HOUR_MS: u64 = 3_600_000;

    /// A bench at the beginning of one of the calendar's hours, and when that is.
    fn at_the_hour() -> (Bench, i64) {
        let mut bench = Bench::at(25, Vec::new());
        let hour = i64::try_from(HOUR_MS).unwrap();
        let left = hour - bench.wall.0.rem_euclid(hour);
        bench.wait(Duration::from_millis(left.unsigned_abs()));
        let began = bench.wall.0;
        bench.tick();
        (bench, began)
    }

    fn pass(bench: &mut Bench, millis: u64) {
        bench.wait(Duration::from_millis(millis));
        bench.tick();
    }

    fn hours(bench: &Bench) -> Vec<(i64, i64, u64)> {
        let totals = entries(&bench.said).into_iter();
        totals
            .filter_map(|entry| match &entry.action {
                Action::Totals(hour) => Some((hour.from.0, hour.to.0, hour.sides.new.good)),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn an_hour_is_recorded_when_the_calendars_is_full_and_folds_to_what_runs() {
        let (mut bench, began) = at_the_hour();
        pass(&mut bench, 1000);
        bench.calls(3, 0);
        pass(&mut bench, HOUR_MS - 2000);
        assert_eq!(hours(&bench), []);
        pass(&mut bench, 1000);
        assert_eq!(hours(&bench).len(), 1);
        let (_, to, good) = hours(&bench)[0];
        let late = to - began - i64::try_from(HOUR_MS).unwrap();
        assert_eq!(
            (late / 1000, good),
            (0, 3),
            "closed within a second of its end"
        );
        let totals = bench.engine.rollout.totals();
        assert_eq!(totals.hours.len(), 1);
        let fold = Rollout::fold(&entries(&bench.said));
        assert_eq!(fold, bench.engine.rollout);
        pass(&mut bench, HOUR_MS);
        assert_eq!(hours(&bench).len(), 1, "nothing happened and no stage runs");
    }

    #[test]
    fn an_hour_waits_for_a_raise_that_is_on_its_way() {
        let (mut bench, _) = at_the_hour();
        pass(&mut bench, 1000);
        bench.calls(3, 0);
        pass(&mut bench, HOUR_MS - 2000);
        bench.give(Command::Percentage(percent(50)));
        assert!(bench.engine.is_waiting());
        pass(&mut bench, 2000);
        assert_eq!(hours(&bench), []);
        let sequence = bench.engine.rollout.sequence();
        bench.handle(Event::Recorded { sequence });
        pass(&mut bench, 1000);
        assert_eq!(hours(&bench).len(), 1);
        assert_eq!(bench.engine.rollout.percentage(), percent(50));
        let fold = Rollout::fold(&entries(&bench.said));
        assert_eq!(fold, bench.engine.rollout);
    }

    /// Alerts on the first complaint of a day.
    fn complained() -> Rule {
        Rule {
            name: "complaints".to_owned(),
            measure: rules::Measure::Complaints,
            threshold: 0.0,
            calls_min: 0,
            failed_min: 0,
            ..over_a_day()
        }
    }

    /// What a process finds that begins with this one's journal.
    fn found(bench: &Bench) -> (Verdict, u64) {
        let rollout = Rollout::fold(&entries(&bench.said));
        let mut next = Bench::on(bench.engine.settings.clone(), rollout, None);
        next.wall = bench.wall;
        next.tick();
        let finding = &next.engine.findings[0];
        (finding.verdict, finding.samples)
    }

    fn complain(bench: &mut Bench) {
        bench.report(None, Backend::New, ReportKind::Complaint);
        bench.tick();
    }

    #[test]
    fn a_stop_keeps_the_running_hour_and_a_crash_does_not() {
        let mut bench = Bench::at(25, vec![over_a_day()]);
        pass(&mut bench, 1000);
        bench.calls(10, 90);
        bench.tick();
        assert_eq!(bench.engine.findings[0].verdict, Verdict::Trip);
        assert_ne!(found(&bench).0, Verdict::Trip, "as after a crash");
        bench.handle(Event::Ending);
        assert_eq!(found(&bench), (Verdict::Trip, 100));
        let fold = Rollout::fold(&entries(&bench.said));
        assert_eq!(fold, bench.engine.rollout);
    }

    #[test]
    fn a_stop_keeps_what_new_did_since_an_epoch_began_a_moment_ago_and_nothing_older() {
        let mut bench = Bench::at(25, vec![over_a_day()]);
        pass(&mut bench, 1000);
        bench.calls(100, 0);
        pass(&mut bench, 1_800_000);
        bench.give(Command::Percentage(percent(50)));
        bench.record_all();
        pass(&mut bench, 1000);
        bench.calls(10, 90);
        bench.tick();
        bench.handle(Event::Ending);
        let kept: Vec<_> = hours(&bench).iter().map(|(.., good)| *good).collect();
        assert_eq!(kept, [100, 10]);
        assert_eq!(found(&bench), (Verdict::Trip, 100));
    }

    #[test]
    fn a_complaint_outlives_a_crash_a_second_later() {
        for (millis, kept) in [(700, false), (1000, true)] {
            let mut bench = Bench::at(25, vec![complained()]);
            pass(&mut bench, 1_200_000);
            complain(&mut bench);
            assert_eq!(bench.engine.findings[0].verdict, Verdict::Trip);
            pass(&mut bench, millis);
            let found = found(&bench).0;
            assert_eq!(found == Verdict::Trip, kept, "{found:?}");
            pass(&mut bench, 60_000);
            assert_eq!(bench.engine.findings[0].verdict, Verdict::Trip, "runs on");
        }
    }

    #[test]
    fn however_many_complain_the_hour_is_closed_for_it_once_in_five_minutes() {
        let (mut bench, _) = at_the_hour();
        for _ in 0..3200 {
            pass(&mut bench, 900);
            complain(&mut bench);
        }
        assert_eq!(hours(&bench).len(), 12);
        let (_, last, _) = hours(&bench)[11];
        let lost = bench.wall.0 - last;
        assert!(lost <= 300_000, "a crash loses no more: {lost}");
        let told = hours(&bench);
        let gaps = told.windows(2).all(|pair| pair[0].1 == pair[1].0);
        assert!(gaps, "one begins where the other ends: {told:?}");
    }

    #[test]
    fn what_is_measured_and_not_said_closes_no_hour() {
        let (mut bench, _) = at_the_hour();
        for kind in [
            ReportKind::Transactions(9),
            ReportKind::MemoryUsed(0.5),
            ReportKind::LesserIncident(3),
        ] {
            bench.report(None, Backend::New, kind);
            pass(&mut bench, 400_000);
        }
        assert_eq!(hours(&bench), []);
    }

    /// Alerts when more than one call of ten failed in a day.
    fn over_a_day() -> Rule {
        let mut rows = ivr_texml().into_iter();
        let row = rows
            .find(|row| row.name == "error_rate-above-10%-5m")
            .unwrap();
        Rule {
            over: Duration::from_hours(24),
            early: None,
            action: rules::Action::Alert,
            ..row
        }
    }

    #[test]
    fn a_restart_judges_new_from_when_it_was_judged_before_it() {
        for (to, verdict) in [(25, Verdict::Trip), (30, Verdict::Inconclusive)] {
            let mut bench = Bench::at(25, vec![over_a_day()]);
            pass(&mut bench, 1000);
            bench.calls(10, 90);
            pass(&mut bench, HOUR_MS);
            bench.give(Command::Percentage(percent(to)));
            bench.record_all();
            bench.tick();
            assert_eq!(
                bench.engine.findings[0].verdict, verdict,
                "before, at {to} %"
            );
            let rollout = Rollout::fold(&entries(&bench.said));
            let wall = bench.wall;
            let mut bench = Bench::on(bench.engine.settings.clone(), rollout, None);
            bench.wall = wall;
            bench.tick();
            assert_eq!(
                bench.engine.findings[0].verdict, verdict,
                "after, at {to} %"
            );
        }
    }
}
