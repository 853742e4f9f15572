//! What happens while a backend is failing, or both are.
//!
//! | failing  | what happens                                                         |
//! |----------|----------------------------------------------------------------------|
//! | neither  | nothing                                                              |
//! | new      | new calls go straight to legacy and count as failed for new          |
//! | legacy   | its callers hear the last resort; nothing goes back to it by itself  |
//! | both     | callers hear the last resort, and people are told that it is critical |
//!
//! A backend counts as failing while its health check says that it is down, while its
//! breaker is not closed, or while a row that reverses finds it over its threshold.

use std::time::Duration;

use super::guard::{Guard, Side};
use super::{Effect, Engine, Notice, Severity};
use crate::breaker::{self, Breaker};
use crate::model::{Backend, PerBackend, Tick};
use crate::rules::evidence::ONE_TENANT;
use crate::rules::{Action, Finding, Rule, Verdict, words};

/// For so long it must not be so before "both are failing" is over, so that a breaker
/// that tries again every few seconds is told once.
const QUIET: Duration = Duration::from_secs(3);

/// Which backends are failing, and what happens because of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Why new counts as failing, if it does.
    pub new_bad: Option<String>,
    /// Why legacy does.
    pub legacy_bad: Option<String>,
    /// What happens now, in a sentence or two.
    pub says: String,
}

impl Condition {
    /// `none`, `new`, `legacy` or `both`.
    pub const fn name(&self) -> &'static str {
        match (&self.new_bad, &self.legacy_bad) {
            (None, None) => "none",
            (Some(_), None) => "new",
            (None, Some(_)) => "legacy",
            (Some(_), Some(_)) => "both",
        }
    }
}

impl Engine {
    /// Which backends are failing, by what the guards and the rows say together.
    pub(super) fn look_at_both(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        let mut rows = self.settings.rules.iter().zip(&self.findings);
        // One tenant's evidence says nothing about the backend.
        let over = |(rule, finding): &(&Rule, &Finding)| {
            rule.action == Action::Reverse
                && (finding.verdict == Verdict::Trip
                    || finding.withheld.is_some_and(|why| why != ONE_TENANT))
        };
        let new = rows.find(over).map(|(rule, finding)| {
            let beyond = finding.value.filter(|value| rule.is_beyond(*value));
            beyond.map_or_else(
                || finding.because.clone(),
                |value| words::beyond(rule, value),
            )
        });
        let legacy = self.evidence.legacy_over().map(str::to_owned);
        let rows = PerBackend { legacy, new };
        self.condition = self.guard.condition(rows, self.split.latched, now);
        let notice = self.guard.tell(&self.condition, now);
        effects.extend(notice.map(Effect::Say));
    }
}

impl Guard {
    /// Which backends are failing. `rows`: what the reversing rows say of each that is
    /// over their threshold; `latched`: no call that begins reaches new anyway.
    pub(super) fn condition(
        &self,
        rows: PerBackend<Option<String>>,
        latched: bool,
        now: Tick,
    ) -> Condition {
        let PerBackend { legacy, new } = &self.sides;
        // A breaker of new keeps calls away for as long as it is not closed. Where it
        // does not, because they go to legacy anyway, or are legacy's, what nobody has
        // asked for a minute is not failing: nobody knows.
        let keeps = |breaker: &Breaker| !latched || breaker.is_out(now);
        let mut condition = Condition {
            new_bad: new.bad(keeps, rows.new),
            legacy_bad: legacy.bad(|breaker| breaker.is_out(now), rows.legacy),
            says: String::new(),
        };
        condition.says = self.says(&condition, latched);
        condition
    }

    fn says(&self, condition: &Condition, latched: bool) -> String {
        let breaker = self.sides.new.breaker.as_ref().map(Breaker::state);
        match (&condition.new_bad, &condition.legacy_bad) {
            (None, None) => "Neither backend is failing.".to_owned(),
            (Some(new), None) => {
                let then = match breaker {
                    _ if latched => "No call that begins reaches it anyway.",
                    Some(breaker::State::Open) => {
                        "New calls go straight to legacy and count as failed for new, \
                         so that the table sees the outage."
                    }
                    Some(breaker::State::HalfOpen) => {
                        "One new call at a time tries it; the others go straight to legacy \
                         and count as failed for new."
                    }
                    Some(breaker::State::Closed) | None => {
                        "Legacy answers what may be rescued, and the table decides whether \
                         everything goes back."
                    }
                };
                format!("New is failing: {new}. {then}")
            }
            (None, Some(legacy)) => format!(
                "Legacy is failing: {legacy}. Nobody else can answer its calls: callers \
                 whom it does not answer hear the last resort. Nothing goes back to it by \
                 itself unless new is measurably worse."
            ),
            (Some(new), Some(legacy)) => format!(
                "Both backends are failing. New: {new}. Legacy: {legacy}. Callers whom neither \
                 answers hear the last resort. Going back helps nobody unless new is \
                 measurably worse: people must look at both."
            ),
        }
    }

    /// Tells people once that both are failing, and once that it is over.
    pub(super) fn tell(&mut self, condition: &Condition, now: Tick) -> Option<Notice> {
        let notice = |severity, text: &str| Notice {
            severity,
            rule: None,
            text: text.to_owned(),
        };
        // Where rows alone say so, theirs is the notice.
        let guards = Backend::ALL.map(|backend| self.sides[backend].bad(|_| true, None));
        if condition.name() == "both" && guards.iter().any(Option::is_some) {
            let told = self.both.replace(now).is_some();
            return (!told).then(|| notice(Severity::Critical, &condition.says));
        }
        self.both.take_if(|last| now.since(*last) >= QUIET)?;
        let text = format!(
            "It is over that both backends are failing. {}",
            condition.says
        );
        Some(notice(Severity::Info, &text))
    }
}

impl Side {
    /// Why the backend counts as failing: what its health says, else its breaker where
    /// that counts, and what the rows say.
    fn bad(&self, counts: impl Fn(&Breaker) -> bool, row: Option<String>) -> Option<String> {
        let health = self.health.as_ref().filter(|_| self.is_down());
        let breaker = self.breaker.as_ref().filter(|it| counts(it));
        let breaker = breaker.and_then(|breaker| {
            let because = breaker.because()?;
            Some(format!(
                "its breaker is {} ({because})",
                breaker.state().name()
            ))
        });
        let known = match health {
            Some(health) => Some(format!("it is down ({})", health.because())),
            None => breaker,
        };
        let reasons: Vec<String> = known.into_iter().chain(row).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }
}
