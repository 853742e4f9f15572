//! A state in the making: what every order has in common, whatever it asks for.

use super::refusal::{Refusal, conflict};
use super::words::shown;
use super::{Action, Entry, Former, List, Listed, Live, Phase, Rollout, Stamp};
use crate::model::{Percentage, Wall};

/// Longest reason kept, in characters; the rest is cut off, because a rollback
/// must not fail for its prose.
pub(super) const REASON_CHARS: usize = 1000;

/// A reason as it is kept.
pub(super) fn reason(given: &str) -> String {
    given.trim().chars().take(REASON_CHARS).collect()
}

/// A state in the making, beside the one it starts from.
pub(super) struct Draft<'a> {
    pub(super) from: &'a Rollout,
    pub(super) to: Rollout,
    pub(super) touched: Vec<String>,
    notes: Vec<String>,
}

impl<'a> Draft<'a> {
    pub(super) fn of(from: &'a Rollout) -> Self {
        Self {
            from,
            to: from.clone(),
            touched: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Everything to legacy. What ran before a first latch is what may be resumed
    /// to, so a second one does not touch it.
    pub(super) fn latch(&mut self, phase: Phase, live: Live) {
        if !self.from.latched {
            self.to.former = Some(Former {
                percentage: self.from.percentage,
                enabled: self.from.enabled,
            });
        }
        self.to.latched = true;
        self.to.percentage = Percentage::ZERO;
        self.to.phase = phase;
        self.to.moves_live = live == Live::Move;
    }

    /// What a step back of a part says about live calls. While everything is latched
    /// it moves no call, so it does not stop the moving that the latch began.
    pub(super) fn some_live(&mut self, live: Live) {
        self.to.moves_live = match live {
            Live::Move => true,
            Live::Drain => self.from.latched && self.from.moves_live,
        };
    }

    /// Every other change of where calls go says nothing about live calls. They then
    /// finish where they are: the next tenant to be disabled was not meant. While
    /// latched nothing else goes to legacy by it.
    pub(super) fn settle_live(&mut self, action: &Action, moved: bool) {
        let says = matches!(
            action,
            Action::RollbackTenant
                | Action::RollbackPartial
                | Action::RollbackTotal
                | Action::Reverse { .. }
                | Action::DisableTenant { .. }
                | Action::EmergencyStop
        );
        if !says && moved && !self.to.latched {
            self.to.moves_live = false;
        }
        if says && self.to.moves_live {
            self.note(
                "A live call on new whose next call would go to legacy is sent to legacy's entry \
                 at its next voice webhook.",
            );
        } else if self.from.moves_live && !self.to.moves_live {
            self.note("Live calls on new are not moved any more; they finish where they are.");
        }
    }

    pub(super) fn list(&mut self, id: &str, to: Option<Listed>) {
        match to {
            Some(listed) => self.to.tenants.insert(id.to_owned(), listed),
            None => self.to.tenants.remove(id),
        };
        self.touched.push(id.to_owned());
    }

    /// The phase follows from where calls go, unless somebody stopped the rollout.
    pub(super) fn run(&mut self) {
        if self.from.phase.stopped() {
            return;
        }
        self.to.phase = self.to.running_phase();
        // A plan that is over stays so until less than its last stage is on new.
        let less = self.to.percentage < self.from.percentage || !self.to.enabled;
        if self.from.phase == Phase::Complete && self.from.stage.is_some() && !less {
            self.to.phase = Phase::Complete;
        }
    }

    /// Does it differ from where it starts?
    pub(super) fn changes(&self) -> bool {
        self.to != *self.from
    }

    pub(super) fn refuse_latched(&self, what: &str) -> Result<(), Refusal> {
        if !self.from.latched {
            return Ok(());
        }
        let because = self.from.because().unwrap_or("no reason is recorded");
        let latched = match self.from.stopped {
            true => "while the emergency stop is in force",
            false => "while everything is latched to legacy",
        };
        Err(conflict(format!(
            "{what} is refused {latched} ({because}); when the cause \
             is mended, `switchback resume --reason …` clears the latch"
        )))
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// At 0 % the listed tenants are easily forgotten.
    pub(super) fn note_listed(&mut self) {
        const NAMED: usize = 5;
        if self.to.latched || !self.to.enabled || self.to.percentage > Percentage::ZERO {
            return;
        }
        let on_new = || self.to.tenants().filter(|(_, list)| *list == List::Enabled);
        let many = on_new().count();
        if many == 0 {
            return;
        }
        let mut names: Vec<_> = on_new().take(NAMED).map(|(id, _)| shown(id)).collect();
        if many > NAMED {
            names.push(format!("and {} more", many - NAMED));
        }
        let (tenants, stay) = if many == 1 {
            ("tenant", "stays")
        } else {
            ("tenants", "stay")
        };
        let names = names.join(", ");
        self.note(format!(
            "{many} listed {tenants} {stay} on new: {names}. `switchback rollback total` takes \
             everything to legacy."
        ));
    }

    pub(super) fn note_off(&mut self) {
        if !self.to.enabled {
            self.note(
                "The split is switched off, so every new call goes to legacy until `switchback \
                 set` or `enabled` in the file switches it on.",
            );
        }
    }

    pub(super) fn into_entry(
        mut self,
        action: Action,
        actor: &str,
        reason: &str,
        at: Wall,
    ) -> Entry {
        let moved = self.moves_calls();
        self.settle_live(&action, moved);
        let (from, to) = (self.from, &self.to);
        let moved = moved || from.moves_live != to.moves_live;
        Entry {
            stamp: Stamp {
                sequence: from.sequence.saturating_add(1),
                at,
            },
            actor: actor.to_owned(),
            reason: self::reason(reason),
            action,
            before: from.snapshot(&self.touched),
            after: to.snapshot(&self.touched),
            generation: from.generation.saturating_add(u64::from(moved)),
            evidence: None,
            seen: None,
            notes: self.notes,
        }
    }

    /// May the next call of anybody go elsewhere than it went?
    fn moves_calls(&self) -> bool {
        let (from, to) = (self.from, &self.to);
        from.latched != to.latched
            || from.stopped != to.stopped
            || from.enabled != to.enabled
            || from.percentage != to.percentage
            || self.touched.iter().any(|id| {
                from.tenants.get(id).map(|listed| listed.list())
                    != to.tenants.get(id).map(|listed| listed.list())
            })
    }
}
