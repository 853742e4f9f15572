//! What operators see of the engine: plain values, built at every tick.

use std::time::Duration;

use super::{Condition, Engine, GuardStatus, Watch};
use crate::document::FlawSet;
use crate::measure::{Choices, ReportKind, RescueResult};
use crate::model::{Backend, PerBackend, Percentage, Tick, Wall};
use crate::rollout::forecast::Forecast;
use crate::rollout::plan::Advance;
use crate::rollout::{List, Phase, Rollout, Step, Taken};
use crate::rules::{Action, Finding, Measure, Priority, Rule};
use crate::split::Live;

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
    /// Each backend's breaker and health.
    pub guards: PerBackend<GuardStatus>,
    /// Which backends are failing, and what happens because of it.
    pub condition: Condition,
    /// One for each row of the reversal table, then of the alert table.
    pub rules: Vec<RuleStatus>,
    /// Where it stands in its plan; None without one.
    pub plan: Option<PlanStatus>,
    /// An emergency stop lets nobody through.
    pub stopped: bool,
    /// Webhooks that were rescued, or could not be, since the process began.
    pub rescues: Vec<(RescueResult, u64)>,
    /// The last reversal or total rollback, and what has been seen since.
    pub verification: Option<Verification>,
    /// Flaws that legacy itself shows in 1 % or more of its answers.
    pub habits: FlawSet,
    /// First lines an operator should read: `nothing has been put on new yet`,
    /// `no call end was ever seen: the status callback does not point here`.
    pub notes: Vec<String>,
    /// First 12 hex digits of the configuration file's hash.
    pub config_hash: String,
    /// Where the day of [`BackendStatus::calls_per_day`] begins: up to 24 hours ago,
    /// and not before the process began.
    pub day_since: Wall,
    /// The engine's own moment, so that a reader sees that it is alive.
    pub at: Wall,
    /// How long the process runs.
    pub uptime: Duration,
}

/// Where a rollout stands in its plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlanStatus {
    /// Who takes the next step.
    pub advance: Advance,
    /// Every stage, in its order.
    pub stages: Vec<StageStatus>,
    /// The number of the stage that runs, among these; 0: none does, or the plan does not
    /// know it any more.
    pub number: u16,
    /// The name of the stage that runs.
    pub stage: Option<String>,
    /// The name of the stage that comes next; None: the end of the plan.
    pub next: Option<String>,
    /// When it began.
    pub since: Option<Wall>,
    /// How long it has run.
    pub soaked: Duration,
    /// How long it must.
    pub soak: Duration,
    /// Distinct calls begun on new in it.
    pub calls: u64,
    /// How many there must be.
    pub calls_min: u64,
    /// Its gates, as they stand now.
    pub gates: Vec<RuleStatus>,
    /// What is missing before the next stage, in words, one each; empty: it may begin.
    pub waits_for: Vec<String>,
    /// When the calendar next allows a step toward new, if it does not now.
    pub opens: Option<Wall>,
    /// How soon each rule would notice a fault at the traffic of the stage that runs, or
    /// of the next where none does.
    pub forecast: Vec<Forecast>,
}

/// One stage as operators see it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StageStatus {
    /// Its name.
    pub name: String,
    /// Its share of new.
    pub percentage: Percentage,
    /// How long it runs at least.
    pub soak: Duration,
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
    /// Share of mature ended calls that failed, last fifteen minutes.
    pub failed_call_rate: Option<f64>,
    /// Seconds that mature calls lasted in the mean, last fifteen minutes.
    pub call_duration_mean_s: Option<f64>,
    /// Share of speech results that were not empty, last fifteen minutes.
    pub speech_recognition_rate: Option<f64>,
    /// Calls begun in the last hour.
    pub calls_per_hour: u64,
    /// Calls begun since [`Status::day_since`].
    pub calls_per_day: u64,
    /// Milliseconds that the backend's data took in the mean, as it says itself, last
    /// five minutes.
    pub data_query_mean_ms: Option<f64>,
    /// Milliseconds that opening a connection took in the mean, last hour.
    pub connect_mean_ms: Option<f64>,
    /// Websockets open now.
    pub streams_active: u64,
    /// How often each menu key was a caller's first choice since
    /// [`Status::day_since`].
    pub menu_choices: Choices,
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
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verification {
    /// Why everything went to legacy.
    pub reason: String,
    /// When.
    pub since: Wall,
    /// What becomes of calls that were live on new.
    pub live: Live,
    /// New calls whose first byte went to new since. Must stay 0.
    pub new_calls_on_new: u64,
    /// Calls still running on new.
    pub live_on_new: u64,
    /// Calls that ran there when it began.
    pub live_on_new_at_start: u64,
    /// No reversing row is over its threshold now.
    pub measures_normal: bool,
    /// The steps taken, in their order.
    pub steps: Vec<Taken>,
    /// New calls reached new all the same.
    pub escalated: bool,
    /// Everything is proven.
    pub done: bool,
}

impl Verification {
    fn of(watch: &Watch, rollout: &Rollout) -> Self {
        let proof = rollout.proof();
        let started = proof.get(Step::Started);
        Self {
            reason: watch.reason.clone(),
            since: watch.since,
            live: rollout.live(),
            new_calls_on_new: watch.new_calls,
            live_on_new: watch.live,
            live_on_new_at_start: started.map_or(watch.live, |taken| taken.count),
            measures_normal: watch.normal,
            steps: proof.steps().to_vec(),
            escalated: watch.new_calls > 0,
            done: proof.has(Step::Verified),
        }
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
    /// Of which tenant, by the id that orders name it by.
    pub tenant: Option<String>,
    /// In whose words.
    pub message: String,
}

/// The engine's status at this moment.
pub(super) fn build(engine: &mut Engine, now: Tick, wall: Wall) -> Status {
    let backends = PerBackend::from_fn(|backend| backend_status(engine, backend, now));
    let guards = PerBackend::from_fn(|backend| engine.guard.status(backend, now, wall));
    let plan = engine.plan_status(now, wall);
    let day_since = engine.evidence.day_since();
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
        guards,
        condition: engine.condition.clone(),
        plan,
        stopped: engine.split.stopped,
        rescues: RescueResult::ALL
            .into_iter()
            .map(|result| (result, engine.rescues[result as usize]))
            .collect(),
        rules: rules
            .map(|(rule, finding)| RuleStatus {
                firing: engine.alarms.firing(&rule.name),
                ..row(rule, finding)
            })
            .collect(),
        verification: engine
            .watch
            .as_ref()
            .map(|watch| Verification::of(watch, rollout)),
        habits: engine.habits,
        notes: notes(engine, &backends, now),
        config_hash: engine.settings.config_hash.clone(),
        day_since: ago(wall, now.since(day_since)),
        at: wall,
        uptime: now.since(engine.began),
    }
}

/// A row and what it found.
pub(super) fn row(rule: &Rule, finding: &Finding) -> RuleStatus {
    RuleStatus {
        finding: finding.clone(),
        measure: rule.measure,
        action: rule.action,
        over: rule.over,
        calls_min: rule.calls_min,
        priority: rule.priority,
        firing: false,
    }
}

/// After this many calls without a single end, the status callback is missing.
const CALLS_WITHOUT_END: u64 = 50;

fn notes(engine: &Engine, backends: &PerBackend<BackendStatus>, now: Tick) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |text: &str| notes.push(text.to_owned());
    if engine.rollout.sequence() <= 1 && engine.rollout.phase() == Phase::Idle {
        let begin = match engine.settings.plan {
            Some(_) => "advance",
            None => "set 5",
        };
        note(&format!(
            "Everything goes to legacy: nothing was ever put on new here. Begin with `switchback {begin} --reason \"…\"`."
        ));
    }
    if !engine.is_durable(now) {
        note(
            "What was decided is not all on disk. Raises are refused until it is; look at the state directory's disk.",
        );
    }
    if let Some(lost) = engine.plan_notes() {
        note(&lost);
    }
    for unseen in no_ends(engine, backends) {
        note(&unseen);
    }
    for trouble in engine
        .genuine
        .notes()
        .chain(engine.lost.notes(&engine.split))
    {
        note(&trouble);
    }
    notes
}

/// Where calls begin and none of their ends is ever told. Asked of each backend:
/// one may set its callback in its own documents and the other not.
fn no_ends(engine: &Engine, backends: &PerBackend<BackendStatus>) -> Vec<String> {
    const LACKS: &str = "so abandonment, failed calls and durations are unknown";
    const DO: &str = "point the provider's status callback (Vapi: end-of-call-report) at the proxy";
    let begun = backends.legacy.calls + backends.new.calls;
    if engine.ends_seen.legacy + engine.ends_seen.new == 0 {
        let lacking = begun >= CALLS_WITHOUT_END;
        let text = || format!("No call's end was ever seen, {LACKS}: {DO}.");
        return lacking.then(text).into_iter().collect();
    }
    // Those of the last hour may all be talking: after a step to new its first fifty
    // calls come within seconds.
    let lacks = |backend: &Backend| {
        let side = &backends[*backend];
        let old = side.calls.saturating_sub(side.calls_per_hour);
        old >= CALLS_WITHOUT_END && engine.ends_seen[*backend] == 0
    };
    let text =
        |backend| format!("No end of a call on {backend} was ever seen, {LACKS} there: {DO}.");
    Backend::ALL.into_iter().filter(lacks).map(text).collect()
}

/// The calendar's moment so long before this one.
pub(super) fn ago(wall: Wall, span: Duration) -> Wall {
    Wall(
        wall.0
            .saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)),
    )
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
        failed_call_rate: numbers.failed_call_rate,
        call_duration_mean_s: numbers.call_duration_mean_s,
        speech_recognition_rate: numbers.speech_recognition_rate,
        calls_per_hour: numbers.shown.calls_per_hour,
        calls_per_day: numbers.shown.calls_per_day,
        data_query_mean_ms: numbers.shown.data_query_mean_ms,
        connect_mean_ms: numbers.shown.connect_mean_ms,
        streams_active: numbers.shown.streams_active,
        menu_choices: numbers.shown.choices,
    }
}
