//! What operators see of the engine: plain values, built at every tick.

use std::time::Duration;

use super::Engine;
use crate::document::FlawSet;
use crate::measure::ReportKind;
use crate::model::{Backend, PerBackend, Percentage, Tick, Wall};
use crate::rollout::{List, Phase, Rollout};
use crate::rules::{Action, Finding, Measure, Priority};

/// What operators see: built by the engine at every tick, read by the admin
/// listener, the CLI and the demo. Immutable.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// Where the rollout stands.
    pub phase: Phase,
    /// Since when.
    pub phase_since: Wall,
    /// The share of new asked for.
    pub percentage: Percentage,
    /// While latched: what ran before, the most that a resume may go back to.
    pub former: Option<Percentage>,
    /// Is the split switched on?
    pub enabled: bool,
    /// All new calls to legacy until a person clears it.
    pub latched: bool,
    /// Why, in one sentence, if latched or held.
    pub because: Option<String>,
    /// Is everything that was decided on disk?
    pub durable: bool,
    /// Generation of the routing in force.
    pub generation: u64,
    /// Tenants on a list, in order.
    pub tenants: Vec<(String, List)>,
    /// Per backend, over the last five minutes unless a field says otherwise.
    pub backends: PerBackend<BackendStatus>,
    /// One for each row of the reversal table, then of the alert table.
    pub rules: Vec<RuleStatus>,
    /// The last reversal or total rollback, and what has been seen since.
    pub verification: Option<Verification>,
    /// Flaws that legacy itself shows in 1 % or more of its answers.
    pub habits: FlawSet,
    /// First lines an operator should read: `nothing has been put on new yet`,
    /// `no call end was ever seen: the status callback does not point here`.
    pub notes: Vec<String>,
    /// First 12 hex digits of the configuration file's hash.
    pub config_hash: String,
    /// The engine's own moment, so that a reader sees that it is alive.
    pub at: Wall,
    /// How long the process runs.
    pub uptime: Duration,
}

/// One backend's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BackendStatus {
    /// Voice webhooks answered or failed since the process began.
    pub webhooks: u64,
    /// Those of them that failed by the backend's fault.
    pub errors: u64,
    /// Share of call voices that failed, last five minutes.
    pub error_rate: Option<f64>,
    /// Milliseconds, last five minutes.
    pub response_time_mean_ms: Option<f64>,
    /// Milliseconds, last five minutes.
    pub response_time_p95_ms: Option<f64>,
    /// Calls begun and not ended, now.
    pub calls_active: u64,
    /// Calls begun since the process began.
    pub calls: u64,
    /// Share of mature calls abandoned, last fifteen minutes.
    pub abandonment_rate: Option<f64>,
}

/// One row of a table as operators see it.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleStatus {
    /// What it found at the last tick.
    pub finding: Finding,
    /// What it looks at.
    pub measure: Measure,
    /// What follows when it trips.
    pub action: Action,
    /// Over which span.
    pub over: Duration,
    /// Distinct calls without which there is no verdict.
    pub calls_min: u32,
    /// Alert rows: how urgent.
    pub priority: Option<Priority>,
    /// It trips now.
    pub firing: bool,
}

/// What has been seen since everything went to legacy.
#[derive(Clone, Debug, PartialEq)]
pub struct Verification {
    /// Why everything went to legacy.
    pub reason: String,
    /// When.
    pub at: Wall,
    /// New calls whose first byte went to new since. Must stay 0.
    pub new_calls_on_new: u64,
    /// Calls still running on new.
    pub live_on_new: u64,
    /// Every reversing row passes or lacks evidence again.
    pub measures_normal: bool,
}

impl Verification {
    /// What goes on after a restart in the middle of it: the count begins anew, the
    /// reason and the moment are the journal's. None where nothing is latched.
    pub(super) fn goes_on(rollout: &Rollout) -> Option<Self> {
        rollout.latched().then(|| Self {
            reason: rollout.because().unwrap_or_default().to_owned(),
            at: rollout.phase_since(),
            new_calls_on_new: 0,
            live_on_new: 0,
            measures_normal: false,
        })
    }
}

/// What came of an order.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// What changed, in one sentence.
    pub said: String,
    /// Is it on disk?
    pub durable: bool,
    /// Generation of the routing in force after it.
    pub generation: u64,
}

/// Something reported from outside: `POST /api/v1/events`.
#[derive(Clone, Debug, PartialEq)]
pub struct Reported {
    /// Makes the report idempotent.
    pub id: Option<String>,
    /// What happened.
    pub kind: ReportKind,
    /// Where; new if not said.
    pub backend: Backend,
    /// In whose words.
    pub message: String,
}

/// The engine's status at this moment.
pub(super) fn build(engine: &mut Engine, now: Tick, wall: Wall) -> Status {
    let backends = PerBackend::from_fn(|backend| backend_status(engine, backend, now));
    let engine = &*engine;
    let rollout = &engine.rollout;
    let rules = engine.settings.rules.iter().zip(&engine.findings);
    Status {
        phase: rollout.phase(),
        phase_since: rollout.phase_since(),
        percentage: rollout.percentage(),
        former: rollout
            .former()
            .filter(|_| rollout.latched())
            .map(|former| former.percentage),
        enabled: rollout.enabled(),
        latched: engine.split.latched,
        because: rollout.because().map(str::to_owned),
        durable: engine.is_durable(now),
        generation: engine.split.generation,
        tenants: rollout
            .tenants()
            .map(|(id, list)| (id.to_owned(), list))
            .collect(),
        backends,
        rules: rules
            .map(|(rule, finding)| RuleStatus {
                finding: finding.clone(),
                measure: rule.measure,
                action: rule.action,
                over: rule.over,
                calls_min: rule.calls_min,
                priority: rule.priority,
                firing: engine.alarms.firing(&rule.name),
            })
            .collect(),
        verification: engine.verification.clone(),
        habits: engine.habits,
        notes: notes(engine, &backends, now),
        config_hash: engine.settings.config_hash.clone(),
        at: wall,
        uptime: now.since(engine.began),
    }
}

/// After this many calls without a single end, the status callback is missing.
const CALLS_WITHOUT_END: u64 = 50;

fn notes(engine: &Engine, backends: &PerBackend<BackendStatus>, now: Tick) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |text: &str| notes.push(text.to_owned());
    if engine.rollout.sequence() <= 1 && engine.rollout.phase() == Phase::Idle {
        note(
            "Everything goes to legacy: nothing was ever put on new here. Begin with `switchback set 5 --reason \"…\"`.",
        );
    }
    if !engine.is_durable(now) {
        note(
            "What was decided is not all on disk. Raises are refused until it is; look at the state directory's disk.",
        );
    }
    let begun = backends.legacy.calls + backends.new.calls;
    if begun >= CALLS_WITHOUT_END && engine.ends_seen == 0 {
        note(
            "No call's end was ever seen, so abandonment is unknown: point the provider's status callback at the proxy.",
        );
    }
    notes
}

fn backend_status(engine: &mut Engine, backend: Backend, now: Tick) -> BackendStatus {
    let numbers = engine.evidence.numbers(backend, now);
    BackendStatus {
        webhooks: numbers.webhooks,
        errors: numbers.errors,
        error_rate: numbers.error_rate,
        response_time_mean_ms: numbers.response_time_mean_ms,
        response_time_p95_ms: numbers.response_time_p95_ms,
        calls_active: engine.active[backend],
        calls: numbers.calls,
        abandonment_rate: numbers.abandonment_rate,
    }
}
