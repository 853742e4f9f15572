//! Proof of flip. After everything went to legacy it is not enough to have said so:
//! new calls on new are counted and must stay 0, live calls on new are counted down,
//! and the measures must come back to normal. Each step is told once, in the journal
//! and in the status; a new call on new all the same is told loudly.
//!
//! The steps taken are the rollout's ([`rollout::Proof`](crate::rollout::Proof)), so
//! that they outlive a restart. Here is what this process sees between them.

use std::time::Duration;

use super::{Effect, Engine, Notice, Severity};
use crate::model::{Tick, Wall};
use crate::rollout::{Command, Entry, Level, Proof, Step};
use crate::rules::{Action, Verdict};
use crate::split::Live;

/// For so long no new call may reach new before that counts as proven.
const QUIET: Duration = Duration::from_secs(10);

/// For so long no reversing row may be over its threshold.
const NORMAL: Duration = Duration::from_secs(60);

/// New calls on new are told at most so often, with their number: a notice and a
/// journal entry each, some 9,000 a day at the very worst.
const AGAIN: Duration = Duration::from_secs(10);

/// What is seen since everything went to legacy.
#[derive(Debug)]
pub(super) struct Watch {
    /// Why everything went to legacy.
    pub(super) reason: String,
    /// When.
    pub(super) since: Wall,
    /// New calls whose first byte went to new since.
    pub(super) new_calls: u64,
    /// Calls live on new now.
    pub(super) live: u64,
    /// No reversing row is over its threshold now.
    pub(super) normal: bool,
    /// Since when no new call reached new.
    quiet_since: Tick,
    /// How many there were by then.
    quiet_at: u64,
    normal_since: Option<Tick>,
    /// How many new calls people were told of, and when.
    told: u64,
    told_at: Option<Tick>,
    /// How many stand in the journal.
    recorded: u64,
}

/// A step that may be taken now: what it counts, and its words.
type Due = (Step, u64, String);

impl Watch {
    /// One more new call has reached new.
    pub(super) const fn new_call(&mut self) {
        self.new_calls += 1;
    }

    fn see(&mut self, live: u64, normal: bool, now: Tick) {
        self.live = live;
        if self.new_calls > self.quiet_at {
            self.quiet_at = self.new_calls;
            self.quiet_since = now;
        }
        self.normal = normal;
        self.normal_since = self
            .normal_since
            .filter(|_| normal)
            .or_else(|| normal.then_some(now));
    }

    /// What people must be told now.
    fn alarm(&mut self, now: Tick) -> Option<Notice> {
        let again = self.told_at.is_none_or(|told| now.since(told) >= AGAIN);
        if self.new_calls == self.told || !again {
            return None;
        }
        (self.told, self.told_at) = (self.new_calls, Some(now));
        Some(Notice {
            severity: Severity::Critical,
            rule: None,
            text: format!(
                "{}, although everything is latched to legacy. It must be none: take the new \
                 backend off the line by other means, and report this.",
                calls(self.told, "new call has", "new calls have") + " reached new"
            ),
        })
    }

    /// The next step that may be taken, if one may.
    fn due(&mut self, proof: &Proof, live: &str, now: Tick, wall: Wall) -> Option<Due> {
        let open = |step| !proof.has(step);
        let lasted = |since: Tick, span| now.since(since) >= span;
        let seconds = |span: Duration| span.as_secs();
        if open(Step::Started) {
            let words = format!(
                "{} live on new; {live}",
                calls(self.live, "call is", "calls are")
            );
            return Some((Step::Started, self.live, words));
        }
        if self.told > self.recorded {
            self.recorded = self.told;
            let words = calls(self.told, "new call has", "new calls have") + " reached new";
            return Some((Step::Escalated, self.told, words));
        }
        if open(Step::NoNewCalls) && lasted(self.quiet_since, QUIET) {
            let words = format!("no new call has reached new for {} s", seconds(QUIET));
            return Some((Step::NoNewCalls, 0, words));
        }
        if open(Step::Drained) && self.live == 0 {
            // By the calendar, because it goes on over restarts.
            let took = wall.0.saturating_sub(self.since.0) / 1000;
            let took = u64::try_from(took).unwrap_or_default();
            let words = format!("no call is live on new any more, after {took} s");
            return Some((Step::Drained, took, words));
        }
        if open(Step::MeasuresNormal) && self.normal_since.is_some_and(|at| lasted(at, NORMAL)) {
            let words = format!(
                "no reversing row has been over its threshold for {} s",
                seconds(NORMAL)
            );
            return Some((Step::MeasuresNormal, 0, words));
        }
        let proven = Step::PROOF.into_iter().all(|step| proof.has(step));
        (proven && open(Step::Verified))
            .then(|| (Step::Verified, 0, "everything went to legacy".to_owned()))
    }
}

impl Engine {
    /// Begins to watch, or goes on after a restart in the middle of it: the steps and
    /// the new calls on new are the journal's, the waits begin anew.
    pub(super) fn begin_verification(&mut self, reason: String, since: Wall, now: Tick) {
        let normal = self.measures_normal();
        let before = self.rollout.proof().get(Step::Escalated);
        let new_calls = before.map_or(0, |taken| taken.count);
        self.watch = Some(Watch {
            reason,
            since,
            new_calls,
            live: self.active.new,
            normal,
            quiet_since: now,
            quiet_at: new_calls,
            normal_since: normal.then_some(now),
            told: new_calls,
            told_at: None,
            recorded: new_calls,
        });
    }

    /// Looks how far the proof has come, and tells each step.
    pub(super) fn verify(&mut self, now: Tick, wall: Wall, effects: &mut Vec<Effect>) {
        let normal = self.measures_normal();
        let Some(mut watch) = self.watch.take() else {
            return;
        };
        watch.see(self.active.new, normal, now);
        effects.extend(watch.alarm(now).map(Effect::Say));
        // A step in the journal behind a resume that is on its way would say that
        // the latch still stands. It can wait for that.
        if self.pending.is_none() {
            for _ in Step::ALL {
                let live = self.becoming();
                let due = watch.due(self.rollout.proof(), live, now, wall);
                let Some((step, count, words)) = due else {
                    break;
                };
                let entry = self.rollout.verification(step, count, &words, wall);
                self.rollout.apply(&entry);
                self.record(entry, now, effects);
            }
        }
        self.watch = Some(watch);
    }

    /// No reversing row trips or is over its threshold, by new's value or by that of
    /// legacy, which answers everything now. Without a value nothing is over.
    fn measures_normal(&self) -> bool {
        let rows = self.settings.rules.iter().zip(&self.findings);
        rows.filter(|(rule, _)| rule.action == Action::Reverse)
            .all(|(rule, finding)| {
                let mut values = [finding.value, finding.legacy].into_iter().flatten();
                finding.verdict != Verdict::Trip
                    && !values.any(|value| rule.is_beyond_at(finding.threshold, value))
            })
    }

    /// What becomes of live calls, in words.
    fn becoming(&self) -> &'static str {
        match (self.rollout.live(), self.settings.entries) {
            (Live::Drain, _) => "they finish where they are",
            (Live::Move, true) => "they are sent to legacy's entry at their next voice webhook",
            (Live::Move, false) => "they finish where they are, since no route names an `entry`",
        }
    }

    /// What whoever ordered a step back should know besides, which the rollout alone
    /// cannot tell.
    pub(super) fn remark(&self, command: &Command, entry: &mut Entry) {
        let asks_to_move = matches!(
            command,
            Command::Rollback(_, Live::Move)
                | Command::Reverse {
                    live: Live::Move,
                    ..
                }
        );
        if asks_to_move && !self.settings.entries {
            entry.notes.push(
                "But no route names an `entry`, so nothing can be moved: live calls finish where \
                 they are."
                    .to_owned(),
            );
        }
        if let Command::Rollback(Level::Tenant(id), _) = command {
            entry.notes.extend(self.unlisted(id));
        }
    }

    /// The directory knows no such tenant.
    fn unlisted(&self, id: &str) -> Option<String> {
        let directory = self.settings.directory.as_deref()?;
        let is_listed = directory.tenants().any(|tenant| tenant == id);
        (!is_listed)
            .then(|| "The directory does not list it; look whether the name is right.".to_owned())
    }
}

/// `1 call is`, `2 calls are`.
fn calls(count: u64, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    }
}
