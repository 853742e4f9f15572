//! Everything that a row may look at, and where in it one backend's numbers are.

use std::time::Duration;

use crate::measure::scorecard::Scorecard;
use crate::measure::totals::Sums;
use crate::model::{Backend, PerBackend, Tick, Wall};
use crate::rules::evidence::Seen;
use crate::rules::long::Longs;
use crate::rules::reading::Source;
use crate::rules::relative::{self, Resolved};
use crate::rules::{Action, Rule};
use crate::split::tenants::Names;

/// Everything that a row may look at.
#[derive(Clone, Copy)]
pub(in crate::rules) struct Sight<'a> {
    pub(in crate::rules) cards: &'a PerBackend<Scorecard>,
    pub(in crate::rules) longs: &'a Longs,
    pub(in crate::rules) baseline: Option<&'a Sums>,
    pub(in crate::rules) seen: Seen,
    pub(in crate::rules) wall: Wall,
    /// From when on gates count.
    pub(in crate::rules) gates: (Tick, Wall),
    pub(in crate::rules) legacy_out: Option<&'static str>,
    pub(in crate::rules) names: &'a dyn Names,
}

impl<'a> Sight<'a> {
    /// Where a row reads one backend.
    pub(in crate::rules) fn source(&self, rule: &Rule, backend: Backend) -> Source<'a> {
        let (card, now) = (&self.cards[backend], self.seen.now);
        let gate = rule.action == Action::Gate;
        match self.longs.get(rule.over, gate, backend) {
            Some(long) if rule.is_long() => Source::Sums {
                card: Some(card),
                sums: &long.sums,
                watched: long.watched,
                now,
            },
            _ => Source::Window {
                card,
                over: rule.over,
                now,
            },
        }
    }

    /// What a relative row's threshold comes to.
    pub(super) fn resolve(&self, rule: &Rule) -> Option<Result<Resolved, String>> {
        rule.against?;
        let (new, legacy) = (
            self.source(rule, Backend::New),
            self.source(rule, Backend::Legacy),
        );
        let baseline = self.baseline.map(|sums| Source::Sums {
            card: None,
            sums,
            watched: Duration::ZERO,
            now: self.seen.now,
        });
        relative::resolve(rule, [&new, &legacy], baseline.as_ref())
    }
}
