//! What a stage puts where as it begins: its share, who is picked by hand, who calls too
//! much for it and waits for a later one.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::Engine;
use super::number;
use crate::model::{Backend, Tick};
use crate::rollout::plan::Volume;
use crate::rollout::{Entering, Listed, Plan, Stage};
use crate::split::tenants::Names;
use crate::split::{By, Subject, Tenant};

/// For so long calls must have been counted before anybody can tell who calls much.
pub(super) const WATCH: Duration = Duration::from_secs(24 * 3600);

/// How often who calls much is looked up anew.
const LEARN_EVERY: Duration = Duration::from_secs(60);

/// Who calls too much for a class, by name.
#[derive(Debug)]
pub(super) struct Heavy {
    due: Tick,
    low: Vec<String>,
    mix: Vec<String>,
}

impl Heavy {
    pub(super) const fn new(now: Tick) -> Self {
        Self {
            due: now,
            low: Vec::new(),
            mix: Vec::new(),
        }
    }

    fn for_class(&self, volume: Volume) -> &[String] {
        match volume {
            Volume::Low => &self.low,
            Volume::Mix => &self.mix,
            Volume::All => &[],
        }
    }
}

impl Engine {
    /// The stage at this place as it begins; `back`, as it is gone back to.
    pub(super) fn entering(
        &self,
        plan: &Plan,
        position: usize,
        back: bool,
        now: Tick,
    ) -> Option<Entering> {
        let stage = plan.stages.get(position)?;
        let picked = plan.picked(position);
        let mut tenants = BTreeMap::new();
        for (id, listed) in self.rollout.all_listed() {
            // A pick of a later stage; who is on new stays there when a stage begins.
            if back && listed == Listed::Picked && !picked.contains(id) {
                tenants.insert(id.to_owned(), None);
            }
        }
        self.keep_for_later(stage, back, now, &mut tenants);
        for id in picked {
            tenants.insert(id.to_owned(), Some(Listed::Picked));
        }
        Some(Entering {
            stage: stage.name.clone(),
            number: number(position),
            percentage: stage.percentage,
            tenants,
        })
    }

    /// The stage before the one that runs; None: there is none, or nobody knows.
    pub(super) fn stage_before(&self, now: Tick) -> Option<Entering> {
        let plan = self.settings.plan.as_deref()?;
        let standing = self.rollout.stage()?;
        // Of a stage that is not in the plan any more only its share is known.
        let position = match plan.position(&standing.stage) {
            Some(position) => position.checked_sub(1)?,
            None => {
                let share = self.rollout.percentage();
                let mut stages = plan.stages.iter();
                stages.rposition(|stage| stage.percentage < share)?
            }
        };
        self.entering(plan, position, true, now)
    }

    fn keep_for_later(
        &self,
        stage: &Stage,
        back: bool,
        now: Tick,
        tenants: &mut BTreeMap<String, Option<Listed>>,
    ) {
        let kept = self.rollout.all_listed();
        let kept = kept.filter(|(_, listed)| *listed == Listed::Later);
        let unknown = self.stages.volumes.watched(now) < WATCH;
        if stage.volume != Volume::All && unknown {
            // Nobody knows better than whoever listed them.
            return;
        }
        if !back {
            tenants.extend(kept.map(|(id, _)| (id.to_owned(), None)));
        }
        for id in self.stages.heavy.for_class(stage.volume) {
            let free = matches!(self.rollout.listed(id), None | Some(Listed::Later));
            if free && (back || !self.may_be_on_new(id)) {
                tenants.insert(id.clone(), Some(Listed::Later));
            }
        }
    }

    /// May calls of this tenant go to new now? Where calls are drawn one by one, some of
    /// everybody's do.
    fn may_be_on_new(&self, id: &str) -> bool {
        if self.split.scheme.by != By::Tenant {
            return !self.split.latched
                && self.split.percentage.basis_points() > 0
                && !self.split.disabled_tenants.contains(id);
        }
        let subject = Subject {
            tenant: Tenant::Known(id),
            call: None,
            caller: None,
        };
        self.split.place(&subject).backend == Backend::New
    }

    /// Once a minute, where a stage asks for it: who calls much? Whom nobody can name
    /// cannot be listed.
    pub(in crate::engine) fn learn_volumes(&mut self, names: &dyn Names, now: Tick) {
        if now < self.stages.heavy.due {
            return;
        }
        self.stages.heavy.due = now + LEARN_EVERY;
        let asks = |class: Volume| {
            let plan = self.settings.plan.as_deref();
            plan.is_some_and(|plan| plan.stages.iter().any(|stage| stage.volume == class))
        };
        let known = self.stages.volumes.watched(now) >= WATCH;
        let of = |class: Volume| {
            if !known || !asks(class) {
                return Vec::new();
            }
            let over = self.stages.volumes.over(class);
            over.into_iter().filter_map(|key| names.name(key)).collect()
        };
        let (low, mix) = (of(Volume::Low), of(Volume::Mix));
        (self.stages.heavy.low, self.stages.heavy.mix) = (low, mix);
    }
}
