//! What the configuration file wishes for, against what runs.
//!
//! The file is read again at every start and reload, mostly for other reasons.
//! So a wish applies only when its value *changed* since it was last seen, and
//! what was last seen is part of the rollout: an operator's order outlives every
//! reload that does not mean to touch it.

use std::collections::{BTreeMap, BTreeSet};

use super::decide::Draft;
use super::entry::{DRAWN_ANEW, shown};
use super::{Action, Entry, List, Listed, Rollout, Wishes};
use crate::model::{Percentage, Wall};

/// What follows from a load of the configuration file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WishOutcome {
    /// At most two entries, in the order they are to be applied: first what goes
    /// toward legacy, which waits for nothing, then what goes toward new, which is
    /// recorded first. Where that record fails its wishes count as not yet seen,
    /// so that the next reload brings them again.
    pub entries: Vec<Entry>,
    /// Wishes that were not granted, each with the reason and what helps. They
    /// count as seen: a later reload does not grant them unasked.
    pub refused: Vec<String>,
}

/// One change of the file.
#[derive(Clone, Debug)]
enum Wish {
    Enabled(bool),
    Percentage(Percentage),
    Tenant(String, Option<List>),
}

/// What becomes of it.
enum Answer {
    /// It is so already, or something newer stands in its way.
    Nothing,
    Lowers,
    Raises,
    Refused(String),
}

impl Rollout {
    /// What follows from the wishes of a file that was just loaded. Changes
    /// nothing: [`Rollout::apply`] of the entries does.
    ///
    /// Where no file was ever seen the state is new, or lost: then what goes
    /// toward new applies only with `[state] on_empty = "file"`. What goes toward
    /// legacy (the split switched off, tenants disabled) always applies.
    pub fn wishes(&self, wishes: &Wishes, on_empty_file: bool, at: Wall) -> WishOutcome {
        self.wishes_within(wishes, on_empty_file, None, at)
    }

    /// As [`Rollout::wishes`], where the plan's calendar is `closed` for that reason:
    /// then nothing is raised.
    pub fn wishes_within(
        &self,
        wishes: &Wishes,
        on_empty_file: bool,
        closed: Option<&str>,
        at: Wall,
    ) -> WishOutcome {
        let mut outcome = WishOutcome::default();
        let mut lowering = Draft::of(self);
        let mut raises = Vec::new();
        // What is seen with the first entry: all but the raises.
        let mut seen = self.seen.clone().unwrap_or_default();
        for wish in self.changes(wishes) {
            match self.answer(&wish, on_empty_file, closed) {
                Answer::Raises => {
                    raises.push(wish);
                    continue;
                }
                Answer::Lowers => wish.grant(&mut lowering),
                Answer::Refused(why) => outcome.refused.push(why),
                Answer::Nothing => {}
            }
            wish.note(&mut seen);
        }
        let redrawn = self.redraws(wishes);
        if wishes.scheme.is_some() {
            seen.scheme.clone_from(&wishes.scheme);
        }
        let first = self.seen.as_ref() != Some(&seen) || lowering.changes();
        if first {
            let mut entry = lowering.into_entry(Action::File, "file", "", at);
            entry.notes.extend(outcome.refused.iter().cloned());
            entry.notes.extend(redrawn);
            entry.seen = Some(seen);
            outcome.entries.push(entry);
        }
        if !raises.is_empty() {
            let mut lowered = self.clone();
            outcome
                .entries
                .iter()
                .for_each(|entry| lowered.apply(entry));
            let mut raising = Draft::of(&lowered);
            for wish in &raises {
                wish.grant(&mut raising);
            }
            let mut entry = raising.into_entry(Action::File, "file", "", at);
            entry.seen = Some(Wishes {
                scheme: wishes
                    .scheme
                    .clone()
                    .or_else(|| self.scheme().map(str::to_owned)),
                ..wishes.clone()
            });
            outcome.entries.push(entry);
        }
        outcome
    }

    /// That tenants are drawn anew, in a sentence for the journal.
    fn redraws(&self, wishes: &Wishes) -> Option<String> {
        let (was, is) = (self.scheme()?, wishes.scheme.as_deref()?);
        (was != is).then(|| format!("{DRAWN_ANEW}{is}, which was {was}."))
    }

    /// What differs from the file last seen; everything where none was.
    fn changes(&self, wishes: &Wishes) -> Vec<Wish> {
        let seen = self.seen.as_ref();
        let mut changes = Vec::new();
        if seen.is_none_or(|seen| seen.enabled != wishes.enabled) {
            changes.push(Wish::Enabled(wishes.enabled));
        }
        if seen.is_none_or(|seen| seen.percentage != wishes.percentage) {
            changes.push(Wish::Percentage(wishes.percentage));
        }
        let nobody = BTreeMap::new();
        let before = seen.map_or(&nobody, |seen| &seen.tenants);
        let ids: BTreeSet<_> = before.keys().chain(wishes.tenants.keys()).collect();
        for id in ids {
            let wish = wishes.tenants.get(id);
            if before.get(id) != wish {
                changes.push(Wish::Tenant(id.clone(), wish.copied()));
            }
        }
        changes
    }

    fn answer(&self, wish: &Wish, on_empty_file: bool, closed: Option<&str>) -> Answer {
        let raises = match wish {
            Wish::Enabled(to) if *to == self.enabled => {
                // The former state is what a resume goes back to: a split that the
                // file switches off now must not come back on with it.
                let back = self.former.is_some_and(|former| former.enabled);
                if *to || !back {
                    return Answer::Nothing;
                }
                false
            }
            Wish::Enabled(to) => *to,
            Wish::Percentage(to) if *to == self.percentage => return Answer::Nothing,
            Wish::Percentage(to) => *to > self.percentage,
            Wish::Tenant(id, to) => match self.answer_tenant(id, *to) {
                Ok(raises) => raises,
                Err(answer) => return answer,
            },
        };
        if !raises {
            return Answer::Lowers;
        }
        let what = wish.said();
        if self.latched {
            return Answer::Refused(format!(
                "{what} in the file is refused while everything is latched to legacy: `switchback \
                 resume --reason …` clears the latch, then order it by hand."
            ));
        }
        if self.seen.is_none() && !on_empty_file {
            return Answer::Refused(format!(
                "{what} in the file is not applied, because the state directory tells of no \
                 rollout: `switchback set` begins one, or `[state] on_empty = \"file\"`."
            ));
        }
        if let Some(closed) = closed {
            return Answer::Refused(format!(
                "{what} in the file is refused by the plan's calendar ({closed}): order it by hand \
                 when that allows it, or now with `--hotfix`."
            ));
        }
        Answer::Raises
    }

    /// Would it raise? Or what stands in the way.
    fn answer_tenant(&self, id: &str, to: Option<List>) -> Result<bool, Answer> {
        let now = self.tenants.get(id).copied();
        let planned = matches!(now, Some(Listed::Picked | Listed::Later));
        // What a stage put on a list the file may make its own, and then it stays.
        if now.map(Listed::list) == to && !planned {
            return Err(Answer::Nothing);
        }
        if now == Some(Listed::RolledBack) {
            return Err(Answer::Refused(format!(
                "{} in the file is refused, because it was rolled back: `switchback tenant clear \
                 ID --reason …` first.",
                Wish::Tenant(id.to_owned(), to).said()
            )));
        }
        // A line taken out of the file takes back what that line said, not what an
        // operator ordered since.
        let said = self.seen.as_ref().and_then(|seen| seen.tenants.get(id));
        if to.is_none() && (planned || now.map(Listed::list) != said.copied()) {
            return Err(Answer::Nothing);
        }
        Ok(Listed::nearness(to.map(Listed::from)) > Listed::nearness(now))
    }
}

impl Wish {
    fn grant(&self, draft: &mut Draft<'_>) {
        match self {
            Self::Enabled(to) => {
                draft.to.enabled = *to;
                if let Some(former) = &mut draft.to.former {
                    former.enabled &= *to;
                }
            }
            Self::Percentage(to) => draft.to.percentage = *to,
            Self::Tenant(id, to) => draft.list(id, to.map(Listed::from)),
        }
        draft.run();
    }

    fn note(&self, seen: &mut Wishes) {
        match self {
            Self::Enabled(to) => seen.enabled = *to,
            Self::Percentage(to) => seen.percentage = *to,
            Self::Tenant(id, Some(list)) => {
                seen.tenants.insert(id.clone(), *list);
            }
            Self::Tenant(id, None) => {
                seen.tenants.remove(id);
            }
        }
    }

    fn said(&self) -> String {
        match self {
            Self::Enabled(to) => format!("`enabled = {to}`"),
            Self::Percentage(to) => format!("`percentage = {}`", to.as_f64()),
            Self::Tenant(id, Some(List::Enabled)) => {
                format!("tenant {} in `enabled_tenants`", shown(id))
            }
            Self::Tenant(id, Some(List::Disabled)) => {
                format!("tenant {} in `disabled_tenants`", shown(id))
            }
            Self::Tenant(id, None) => format!("tenant {} on no list", shown(id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::properties::{order, percent, rollout_with};
    use crate::rollout::{Command, Level, Phase};
    use crate::split::Live;

    fn file(enabled: bool, percentage: u16, tenants: &[(&str, List)]) -> Wishes {
        Wishes {
            enabled,
            percentage: percent(percentage),
            tenants: tenants
                .iter()
                .map(|(id, list)| ((*id).to_owned(), *list))
                .collect(),
            scheme: None,
        }
    }

    /// Loads a file and takes over what follows.
    fn load(rollout: &mut Rollout, wishes: &Wishes) -> WishOutcome {
        let outcome = rollout.wishes(wishes, true, Wall(0));
        outcome
            .entries
            .iter()
            .for_each(|entry| rollout.apply(entry));
        outcome
    }

    #[test]
    fn an_empty_state_takes_only_steps_toward_legacy_from_the_file() {
        let mut rollout = Rollout::default();
        let wishes = file(
            true,
            25,
            &[("acme", List::Enabled), ("zeta", List::Disabled)],
        );
        let outcome = rollout.wishes(&wishes, false, Wall(0));
        assert_eq!(outcome.entries.len(), 1);
        assert!(!outcome.entries[0].is_raise());
        assert_eq!(outcome.refused.len(), 2, "{:?}", outcome.refused);
        outcome
            .entries
            .iter()
            .for_each(|entry| rollout.apply(entry));
        assert_eq!(rollout.phase(), Phase::Idle);
        assert_eq!(rollout.percentage(), Percentage::ZERO);
        assert_eq!(
            rollout.tenants().collect::<Vec<_>>(),
            [("zeta", List::Disabled)]
        );

        let again = rollout.wishes(&wishes, false, Wall(0));
        assert_eq!(again, WishOutcome::default(), "seen once, it stays quiet");
        let later = load(&mut rollout, &file(true, 30, &[("zeta", List::Disabled)]));
        assert_eq!(later.entries.len(), 2, "what was seen, and the raise");
        assert_eq!(rollout.percentage(), percent(30), "a later change applies");
    }

    #[test]
    fn on_empty_file_takes_the_file_as_it_is() {
        let mut rollout = Rollout::default();
        let outcome = load(&mut rollout, &file(true, 25, &[("acme", List::Enabled)]));
        assert!(outcome.refused.is_empty());
        assert!(outcome.entries.last().unwrap().is_raise());
        assert_eq!(rollout.phase(), Phase::Soaking);
        assert_eq!(rollout.percentage(), percent(25));
        assert_eq!(
            load(&mut rollout, &file(true, 25, &[("acme", List::Enabled)])),
            WishOutcome::default()
        );
    }

    #[test]
    fn an_order_outlives_a_reload_that_does_not_touch_its_value() {
        let mut rollout = rollout_with(&file(true, 25, &[]));
        let entry = rollout.decide(&order(Command::Percentage(percent(50))), Wall(1));
        rollout.apply(&entry.unwrap());
        load(&mut rollout, &file(true, 25, &[("acme", List::Disabled)]));
        assert_eq!(rollout.percentage(), percent(50), "25 was seen before");
        load(&mut rollout, &file(true, 20, &[("acme", List::Disabled)]));
        assert_eq!(rollout.percentage(), percent(20), "20 is a new wish");
    }

    #[test]
    fn a_step_down_and_a_step_up_in_one_file_are_two_entries_down_first() {
        let mut rollout = rollout_with(&file(true, 50, &[]));
        let outcome = rollout.wishes(&file(true, 10, &[("acme", List::Enabled)]), true, Wall(2));
        let raises: Vec<_> = outcome.entries.iter().map(Entry::is_raise).collect();
        assert_eq!(raises, [false, true]);
        rollout.apply(&outcome.entries[0]);
        assert_eq!(rollout.percentage(), percent(10));
        // The record of the second failed: the next reload brings it again.
        let again = rollout.wishes(&file(true, 10, &[("acme", List::Enabled)]), true, Wall(3));
        assert_eq!(again.entries.len(), 1);
        assert!(again.entries[0].is_raise());
    }

    #[test]
    fn while_latched_the_file_raises_nothing_and_each_wish_is_named() {
        let mut rollout = rollout_with(&file(true, 50, &[("zeta", List::Disabled)]));
        let total = order(Command::Rollback(Level::Total, Live::Drain));
        rollout.apply(&rollout.decide(&total, Wall(1)).unwrap());
        let outcome = load(&mut rollout, &file(true, 60, &[("acme", List::Enabled)]));
        assert_eq!(outcome.refused.len(), 3, "{:?}", outcome.refused);
        assert!(outcome.refused.iter().all(|why| why.contains("resume")));
        assert!(outcome.entries.iter().all(|entry| !entry.is_raise()));
        assert!(rollout.latched());
        let resume = order(Command::Resume { percentage: None });
        rollout.apply(&rollout.decide(&resume, Wall(2)).unwrap());
        let after = load(&mut rollout, &file(true, 60, &[("acme", List::Enabled)]));
        assert_eq!(
            after,
            WishOutcome::default(),
            "refused wishes do not come true with the next reload"
        );
    }

    #[test]
    fn a_tenant_rolled_back_stays_so_until_it_is_cleared() {
        let mut rollout = rollout_with(&file(true, 50, &[("acme", List::Enabled)]));
        let back = order(Command::Rollback(
            Level::Tenant("acme".to_owned()),
            Live::Drain,
        ));
        rollout.apply(&rollout.decide(&back, Wall(1)).unwrap());
        for wishes in [
            file(true, 50, &[]),
            file(true, 50, &[("acme", List::Enabled)]),
        ] {
            let outcome = load(&mut rollout, &wishes);
            assert_eq!(outcome.refused.len(), 1);
            assert!(outcome.refused[0].contains("tenant clear"));
            assert_eq!(
                rollout.tenants().collect::<Vec<_>>(),
                [("acme", List::Disabled)]
            );
        }
        let clear = order(Command::Tenant {
            id: "acme".to_owned(),
            list: None,
        });
        rollout.apply(&rollout.decide(&clear, Wall(2)).unwrap());
        assert_eq!(rollout.tenants().count(), 0);
    }

    #[test]
    fn a_line_taken_out_takes_back_what_it_said_and_nothing_else() {
        let mut rollout = rollout_with(&file(
            true,
            50,
            &[("acme", List::Enabled), ("zeta", List::Disabled)],
        ));
        let disable = order(Command::Tenant {
            id: "acme".to_owned(),
            list: Some(List::Disabled),
        });
        rollout.apply(&rollout.decide(&disable, Wall(1)).unwrap());
        load(&mut rollout, &file(true, 50, &[]));
        assert_eq!(
            rollout.tenants().collect::<Vec<_>>(),
            [("acme", List::Disabled)],
            "zeta was the file's, acme is the operator's"
        );
    }

    #[test]
    fn a_split_switched_off_during_a_latch_does_not_come_back_with_resume() {
        let mut rollout = rollout_with(&file(true, 50, &[("acme", List::Enabled)]));
        let total = order(Command::Rollback(Level::Total, Live::Drain));
        rollout.apply(&rollout.decide(&total, Wall(1)).unwrap());
        load(&mut rollout, &file(false, 50, &[("acme", List::Enabled)]));
        let resume = order(Command::Resume { percentage: None });
        rollout.apply(&rollout.decide(&resume, Wall(2)).unwrap());
        assert!(!rollout.enabled());
        assert_eq!(rollout.phase(), Phase::Idle);
    }

    #[test]
    fn what_is_hashed_and_how_is_noted_and_moves_nothing_by_itself() {
        let drawn = |scheme: &str| Wishes {
            scheme: Some(scheme.to_owned()),
            ..file(true, 25, &[])
        };
        let mut rollout = rollout_with(&file(true, 25, &[]));
        assert_eq!(rollout.scheme(), None, "a file from before it was noted");
        let outcome = load(&mut rollout, &drawn("tenant java31"));
        assert_eq!(outcome.entries.len(), 1);
        assert!(!outcome.entries[0].is_raise());
        assert_eq!(outcome.entries[0].notes, [""; 0], "nothing was drawn anew");
        assert_eq!(rollout.scheme(), Some("tenant java31"));
        assert_eq!(load(&mut rollout, &drawn("tenant java31")).entries, []);
        let again = load(&mut rollout, &drawn("call xxh3 0a1b2c3d"));
        assert_eq!(
            again.entries[0].notes,
            ["Drawn anew: call xxh3 0a1b2c3d, which was tenant java31."]
        );
        let said = again.entries[0].said();
        assert!(!said.contains("nothing of it changes"), "{said}");
        assert_eq!(rollout.scheme(), Some("call xxh3 0a1b2c3d"));
        // What knows of none takes none away.
        load(&mut rollout, &file(true, 25, &[]));
        assert_eq!(rollout.scheme(), Some("call xxh3 0a1b2c3d"));
    }
}
