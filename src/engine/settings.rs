//! What the engine obeys, and what a file that is read anew changes.

use std::sync::Arc;

use super::{Effect, Engine, Notice, Severity};
use crate::breaker;
use crate::health;
use crate::measure::scorecard::Mature;
use crate::model::{PerBackend, Tick, Wall};
use crate::rollout::{Emergency, Moment, Plan, Reread, Wishes};
use crate::rules::Rule;
use crate::split::tenants::Directory;
use crate::split::{Scheme, Split};

/// What the engine obeys. Built from a checked configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What is hashed and how.
    pub scheme: Scheme,
    /// The reversal table, then the alert table.
    pub rules: Vec<Rule>,
    /// When a call is old enough for the end measures.
    pub mature: Mature,
    /// When each backend is not asked any more; None: it always is.
    pub breakers: PerBackend<Option<breaker::Settings>>,
    /// How each backend's health is asked for, if it is.
    pub health: PerBackend<Option<health::Settings>>,
    /// What the file wishes for.
    pub wishes: Wishes,
    /// `[state] on_empty = "file"`: with no journal yet, the wishes apply.
    pub file_on_empty: bool,
    /// A route names an `entry`, so live calls can be moved there.
    pub entries: bool,
    /// The plan, if there is one.
    pub plan: Option<Arc<Plan>>,
    /// At which moments something outside is told or asked.
    pub hooks: Vec<Moment>,
    /// Where an emergency stop sends calls that begin.
    pub emergency: Emergency,
    /// The tenant directory, if there is one.
    pub directory: Option<Arc<Directory>>,
    /// First 12 hex digits of the file's hash.
    pub config_hash: String,
}

/// What a reload would lead to.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    /// The split that would be in force.
    pub split: Split,
    /// Wishes of the file that would not be granted.
    pub refused: Vec<String>,
}

/// A configuration in force that the journal does not know of yet.
#[derive(Clone, Debug)]
pub(super) struct Due {
    reread: Reread,
    /// The hash of the one before, and its own.
    was: String,
    is: String,
}

/// Configurations that wait for a raise on its way to the disk. One on top of them is told
/// together with the last.
const DUE_MAX: usize = 16;
/// So many changes wait at most for those told together.
const REREAD_CHANGES: usize = 1000;

impl Engine {
    /// What taking these settings would lead to. Changes nothing.
    pub fn preview(&self, settings: &Settings, wall: Wall) -> Preview {
        let mut rollout = self.rollout.clone();
        let closed = closed(settings, wall);
        let outcome = rollout.wishes_within(
            &settings.wishes,
            settings.file_on_empty,
            closed.as_deref(),
            wall,
        );
        outcome
            .entries
            .iter()
            .for_each(|entry| rollout.apply(entry));
        Preview {
            split: rollout.split(&settings.scheme),
            refused: outcome.refused,
        }
    }

    pub(super) fn reload(
        &mut self,
        settings: Settings,
        reread: Reread,
        now: Tick,
        wall: Wall,
        effects: &mut Vec<Effect>,
    ) {
        let was = self.settings.config_hash.clone();
        let anew = settings.rules != self.settings.rules || settings.mature != self.settings.mature;
        if anew {
            self.evidence.set_rules(settings.rules.clone(), now);
            self.evidence.set_mature(settings.mature, now);
            self.findings.clear();
        }
        self.guard.set(&settings, now);
        let known = self.plan_notes();
        self.settings = settings;
        self.stages.forget_outlook(now);
        self.hand_gates(anew, now);
        let lost = self
            .plan_notes()
            .filter(|lost| known.as_ref() != Some(lost));
        effects.extend(lost.map(|text| {
            Effect::Say(Notice {
                severity: Severity::Warning,
                rule: None,
                text,
            })
        }));
        self.publish(now, effects);
        // In the journal before what follows from it; but what goes toward legacy is in
        // force before anything is written.
        let mut told = Vec::new();
        self.reread(reread.clone(), was);
        self.tell_rereads(now, wall, &mut told);
        let from = effects.len();
        self.wish(Some(&reread), now, wall, effects);
        let is_record = |effect: &Effect| matches!(effect, Effect::Record(_));
        let at = effects.iter().skip(from).position(is_record);
        let at = at.map_or(effects.len(), |at| from + at);
        effects.splice(at..at, told);
    }

    /// The journal knows another configuration to be in force than the one that this start
    /// found. What is different about it nobody knows any more.
    pub(super) fn compare_configuration(
        &mut self,
        now: Tick,
        wall: Wall,
        effects: &mut Vec<Effect>,
    ) {
        let Some(known) = self.rollout.config().map(str::to_owned) else {
            return;
        };
        let reread = Reread {
            actor: "file".to_owned(),
            reason: "the process started with it".to_owned(),
            changed: Vec::new(),
        };
        self.reread(reread, known);
        self.tell_rereads(now, wall, effects);
    }

    /// Another configuration than `was` is in force, and due to be told. The same one is not.
    fn reread(&mut self, reread: Reread, was: String) {
        let is = self.settings.config_hash.clone();
        if is == was && reread.changed.is_empty() {
            return;
        }
        if self.rereads_due.len() < DUE_MAX {
            return self.rereads_due.push_back(Due { reread, was, is });
        }
        if let Some(last) = self.rereads_due.back_mut() {
            let earlier = std::mem::replace(&mut last.reread, reread).changed;
            last.reread.changed.splice(0..0, earlier);
            // What is told of them is bounded; so is what waits.
            last.reread.changed.truncate(REREAD_CHANGES);
            last.is = is;
        }
    }

    /// Behind a raise that is on its way the entry would undo it for whoever reads them
    /// back. It can wait for that, as an hour can, and nothing waits for it.
    pub(super) fn tell_rereads(&mut self, now: Tick, wall: Wall, effects: &mut Vec<Effect>) {
        while self.pending.is_none() {
            let Some(due) = self.rereads_due.pop_front() else {
                return;
            };
            let entry = self.rollout.reloaded(&due.reread, &due.was, &due.is, wall);
            self.rollout.apply(&entry);
            self.record(entry, now, effects);
        }
    }

    /// What changed in the file since it was last read, and by whose order it was read
    /// (None: this is a start).
    pub(super) fn wish(
        &mut self,
        reread: Option<&Reread>,
        now: Tick,
        wall: Wall,
        effects: &mut Vec<Effect>,
    ) {
        let closed = closed(&self.settings, wall);
        let wishes = Wishes {
            config: Some(self.settings.config_hash.clone()),
            ..self.settings.wishes.clone()
        };
        let outcome = self.rollout.wishes_within(
            &wishes,
            self.settings.file_on_empty,
            closed.as_deref(),
            wall,
        );
        for refused in outcome.refused {
            effects.push(Effect::Say(Notice {
                severity: Severity::Warning,
                rule: None,
                text: refused,
            }));
        }
        for mut entry in outcome.entries {
            if let Some(reread) = reread {
                entry = entry.ordered_by(reread);
            }
            if entry.is_raise() {
                self.raise(entry, None, now, effects);
            } else {
                self.lower(entry, None, now, effects);
            }
        }
    }
}

/// Why the plan's calendar, if there is a plan, allows nothing to be raised now.
pub(super) fn closed(settings: &Settings, wall: Wall) -> Option<String> {
    let plan = settings.plan.as_deref()?;
    let closed = plan.calendar.allows(wall).err()?;
    Some(plan.calendar.told(&closed))
}
