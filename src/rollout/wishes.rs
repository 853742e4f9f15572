//! What the configuration file wishes for, against what runs.
//!
//! The file is read again at every start and reload, mostly for other reasons.
//! So a wish applies only when its value *changed* since it was last seen, and
//! what was last seen is part of the rollout: an operator's order outlives every
//! reload that does not mean to touch it.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::Draft;
use super::words::{DRAWN_ANEW, shown};
use super::{Action, Entry, List, Listed, Rollout};
use crate::model::{Percentage, Wall};

/// The part of the split that a configuration file wishes for. Each field (and
/// each list entry) applies when its value *changed* since the last load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `[split] enabled`.
    pub enabled: bool,
    /// `[split] percentage`.
    pub percentage: Percentage,
    /// `[split] enabled_tenants` and `disabled_tenants`.
    pub tenants: BTreeMap<String, List>,
    /// What is hashed and how, in words ([`Scheme::told`](crate::split::Scheme::told)).
    /// No wish: whoever loads the file makes sure that it is meant before it comes here.
    pub scheme: Option<String>,
    /// First digits of the hash of the configuration in force. No wish either: it is noted
    /// with the first file that is seen, and from then on by [`Rollout::reloaded`].
    pub config: Option<String>,
}

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
        let mut seen = self.seen.clone().unwrap_or_else(|| Wishes {
            config: wishes.config.clone(),
            ..Wishes::default()
        });
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
            entry.seen = Some(seen.clone());
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
                config: seen.config,
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
            let latched = match self.stopped {
                true => "while the emergency stop is in force",
                false => "while everything is latched to legacy",
            };
            return Answer::Refused(format!(
                "{what} in the file is refused {latched}: `switchback \
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
mod tests;
