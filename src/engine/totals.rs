//! Hours are added up and go into the journal, so that what is judged over days, over a
//! stage or against how legacy was before outlives the process. At a crash the running
//! one is lost, and gates say how much is missing.

use super::{Effect, Engine};
use crate::model::{Tick, Wall};
use crate::rollout::Rollout;

/// Hours that wait for a raise on its way to the disk. On top of them the oldest is lost;
/// a raise does not take so many hours.
const DUE_MAX: usize = 16;

impl Engine {
    /// Once a tick: closes the hour when the calendar's is full, or a stage is warm.
    pub(super) fn keep_hours(&mut self, now: Tick, wall: Wall, effects: &mut Vec<Effect>) {
        self.tell_when_gates_count();
        if self.evidence.hour_is_over(now, wall) {
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
        if let Some(hour) = self.evidence.take_hour(wall, stage) {
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

    use super::super::bench::{Bench, entries, percent};
    use super::*;
    use crate::engine::Event;
    use crate::rollout::{Action, Command};

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
}
