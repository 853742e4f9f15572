//! What the API shows, as JSON.
//!
//! Types of their own, so that renaming a field inside breaks nobody's script.
//! They can be read back as well: the command line shows what the API said, and a
//! field that an older Switchback does not send yet takes its default.

mod data;
mod plan;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

use crate::desk;
use crate::document::Flaw;
use crate::engine;
use crate::measure::{MENU_KEYS, RescueResult};
use crate::model::{Percentage, Wall};
use crate::rollout::{List, shown};
use crate::rules::{Priority, STAGE, Unit};

pub use self::plan::{Forecast, Plan, Stage};

pub use data::{Backup, Backups, Restore};

/// `GET /api/v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// `idle`, `soaking`, `held`, `reversed`, `rolled-back`, `complete`.
    pub phase: String,
    /// Since when, RFC 3339.
    pub phase_since: String,
    /// The share of new asked for, 0 to 100.
    #[serde(serialize_with = "plainly")]
    pub percentage: f64,
    /// Where it stands in its plan; null without one.
    pub plan: Option<Plan>,
    /// An emergency stop is in force that lets nobody through: who calls anew hears the
    /// last resort.
    pub stopped: bool,
    /// While latched: the percentage before, the most that a resume may name.
    pub former_percentage: Option<f64>,
    /// Is the split switched on?
    pub enabled: bool,
    /// All new calls to legacy until a person clears it.
    pub latched: bool,
    /// Why, if latched or held.
    pub because: Option<String>,
    /// Is everything that was decided on disk?
    pub durable: bool,
    /// Generation of the routing in force.
    pub generation: u64,
    /// Which backends are failing, and what happens because of it.
    pub condition: Condition,
    /// Both backends.
    pub backends: Backends,
    /// Webhooks that new failed, by what their callers got instead.
    pub rescues: Rescues,
    /// The reversal table, then the alert table.
    pub rules: Vec<Rule>,
    /// What has been seen since everything went to legacy.
    pub verification: Option<Verification>,
    /// Tenants on a list.
    pub tenants: Tenants,
    /// Flaws that legacy itself shows so often that they are only a warning.
    pub habits: Vec<String>,
    /// First lines an operator should read.
    pub notes: Vec<String>,
    /// First 12 hex digits of the configuration file's hash.
    pub config_hash: String,
    /// Where the day of `calls_per_day` and `menu_choices` begins, RFC 3339: up to 24
    /// hours ago, and not before the process began.
    pub day_since: String,
    /// When the engine made this, RFC 3339.
    pub at: String,
    /// How long the process runs, in seconds.
    pub uptime_s: u64,
}

/// Which backends are failing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Condition {
    /// `none`, `new`, `legacy`, `both`.
    pub state: String,
    /// What happens because of it, in a sentence or two.
    pub says: String,
}

/// What callers got when a backend failed them: webhooks since the process began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rescues {
    /// Legacy answered instead of new.
    pub served: u64,
    /// The caller was sent to legacy's entry.
    pub moved: u64,
    /// Legacy failed too, and new answered late after all.
    pub late: u64,
    /// Nobody answered: the last resort.
    pub last_resort: u64,
    /// Nobody answered, and the failure was passed on.
    pub failed: u64,
    /// Nobody was asked: an emergency stop let nobody through.
    pub stopped: u64,
}

impl Rescues {
    fn new(counts: &[(RescueResult, u64)]) -> Self {
        let mut shown = Self::default();
        for (result, count) in counts {
            let field = match result {
                RescueResult::Served => &mut shown.served,
                RescueResult::Moved => &mut shown.moved,
                RescueResult::Late => &mut shown.late,
                RescueResult::LastResort => &mut shown.last_resort,
                RescueResult::Failed => &mut shown.failed,
                RescueResult::Stopped => &mut shown.stopped,
            };
            *field = *count;
        }
        shown
    }
}

/// One thing for each backend.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Backends {
    /// The generation that has always answered.
    pub legacy: Backend,
    /// The generation being rolled out.
    pub new: Backend,
}

/// One backend's numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Backend {
    /// Voice webhooks since the process began.
    pub webhooks: u64,
    /// Those of them that failed by the backend's fault.
    pub errors: u64,
    /// Share of call voices that failed, last five minutes; null without any.
    pub error_rate: Option<f64>,
    /// Last five minutes; null without any.
    pub response_time_mean_ms: Option<f64>,
    /// Last five minutes; null without any.
    pub response_time_p95_ms: Option<f64>,
    /// Calls begun and not ended, now.
    pub calls_active: u64,
    /// Calls begun since the process began.
    pub calls: u64,
    /// Share of mature calls abandoned, last fifteen minutes; null without any.
    pub abandonment_rate: Option<f64>,
    /// Share of mature ended calls that failed, last fifteen minutes; null without any.
    pub failed_call_rate: Option<f64>,
    /// Seconds that mature calls lasted, last fifteen minutes; null without any.
    pub call_duration_mean_s: Option<f64>,
    /// Share of speech results that were not empty, last fifteen minutes; null without any.
    pub speech_recognition_rate: Option<f64>,
    /// Calls begun in the last hour.
    pub calls_per_hour: u64,
    /// Calls begun since `day_since`.
    pub calls_per_day: u64,
    /// Time that data took, as the backend says, last five minutes; null without any.
    pub data_query_mean_ms: Option<f64>,
    /// Time that opening a connection took, last hour; null without any.
    pub connect_mean_ms: Option<f64>,
    /// Websockets open now.
    pub streams_active: u64,
    /// How often each key was a caller's first choice since `day_since`; without those
    /// that nobody chose.
    pub menu_choices: BTreeMap<String, u64>,
    /// What keeps callers from a backend that fails; null where it is switched off.
    pub breaker: Option<Breaker>,
    /// What its health check says; null where there is none.
    pub health: Option<Health>,
}

/// One backend's breaker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Breaker {
    /// `closed`, `open`, `half-open`.
    pub state: String,
    /// Times it opened in the last hour.
    pub opens_last_hour: u32,
    /// Why it is not closed.
    pub because: Option<String>,
}

/// What a backend's health check says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// `up`, `down`, `unknown`.
    pub state: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// What the last checks said.
    pub because: String,
}

/// One row of a table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// What it looks at.
    pub measure: String,
    /// The unit of `value`, `threshold` and `legacy`: `share` (0 to 1), `ms`, `s`, `number`.
    pub unit: String,
    /// What follows when it trips: `alert`, `hold`, `step-back`, `disable-tenant`,
    /// `reverse`; `gate`: the plan waits.
    pub action: String,
    /// The span it looks over, in seconds; null: since the stage began.
    pub over_s: Option<u64>,
    /// New's value; null without any sample.
    pub value: Option<f64>,
    /// What the value is held against.
    pub threshold: f64,
    /// Legacy's value over the same span.
    pub legacy: Option<f64>,
    /// Distinct calls (or events) behind the value.
    pub samples: u64,
    /// Distinct calls without which there is no verdict.
    pub calls_min: u64,
    /// Distinct failed calls among them.
    pub failed: u64,
    /// Evidence of the sequential test; 1 trips.
    pub early: Option<f64>,
    /// `pass`, `trip`, `inconclusive`.
    pub verdict: String,
    /// At the present traffic it cannot reach its minimum.
    pub blind: bool,
    /// Why it does not act although it would trip.
    pub withheld: Option<String>,
    /// It trips now.
    pub firing: bool,
    /// Alert rows: `low`, `medium`, `high`, `critical`.
    pub priority: Option<String>,
    /// Rows that judge each tenant alone: those that trip, worst first.
    pub tenants: Vec<String>,
    /// In words.
    pub because: String,
}

/// What has been seen since everything went to legacy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Verification {
    /// Why everything went to legacy.
    pub reason: String,
    /// When, RFC 3339.
    pub since: String,
    /// What becomes of calls that were live on new: `drain` or `move`.
    pub live: String,
    /// New calls whose first byte went to new since. Must stay 0.
    pub new_calls_on_new: u64,
    /// Calls still running on new.
    pub live_on_new: u64,
    /// Calls that ran there when it began.
    pub live_on_new_at_start: u64,
    /// No reversing row is over its threshold now.
    pub measures_normal: bool,
    /// The steps taken, in their order.
    pub steps: Vec<Step>,
    /// New calls reached new all the same: somebody must look.
    pub escalated: bool,
    /// Everything is proven.
    pub done: bool,
}

/// A step of the verification that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Step {
    /// `started`, `no-new-calls`, `drained`, `measures-normal`, `verified`, `escalated`.
    pub step: String,
    /// When, RFC 3339.
    pub at: String,
}

/// Tenants on a list, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tenants {
    /// Always new.
    pub enabled: Vec<String>,
    /// Always legacy.
    pub disabled: Vec<String>,
}

/// What came of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Done {
    /// What changed, in one sentence.
    pub said: String,
    /// Is it on disk?
    pub durable: bool,
    /// Generation of the routing in force after it.
    pub generation: u64,
}

/// What a reload changed, or would change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reloaded {
    /// Nothing was changed: this is what would be.
    pub dry_run: bool,
    /// What changed.
    pub changed: Vec<String>,
    /// What the present state does not allow.
    pub refused: Vec<String>,
    /// What changed in the file but needs a restart.
    pub needs_restart: Vec<String>,
    /// Tenants whose next call goes to another backend.
    pub tenants_moved: Option<u64>,
    /// Up to twenty of them, masked where a name is a number.
    pub tenants: Vec<String>,
    /// Live calls that would be placed elsewhere if they began now.
    pub live_calls_moved: Option<u64>,
    /// What changes under calls that run.
    pub touched: Vec<String>,
}

impl From<&engine::Status> for Status {
    fn from(status: &engine::Status) -> Self {
        let on = |list| {
            let tenants = status.tenants.iter().filter(move |(_, on)| *on == list);
            tenants.map(|(tenant, _)| tenant.clone()).collect()
        };
        let habits = Flaw::ALL
            .into_iter()
            .filter(|flaw| status.habits.has(*flaw));
        Self {
            phase: status.phase.name().to_owned(),
            phase_since: rfc3339(status.phase_since),
            percentage: status.percentage.as_f64(),
            plan: status.plan.as_ref().map(Plan::from),
            stopped: status.stopped,
            former_percentage: status.former.map(Percentage::as_f64),
            enabled: status.enabled,
            latched: status.latched,
            because: status.because.clone(),
            durable: status.durable,
            generation: status.generation,
            condition: Condition {
                state: status.condition.name().to_owned(),
                says: status.condition.says.clone(),
            },
            backends: Backends {
                legacy: Backend::new(&status.backends.legacy, &status.guards.legacy),
                new: Backend::new(&status.backends.new, &status.guards.new),
            },
            rescues: Rescues::new(&status.rescues),
            rules: status.rules.iter().map(Rule::from).collect(),
            verification: status.verification.as_ref().map(Verification::from),
            tenants: Tenants {
                enabled: on(List::Enabled),
                disabled: on(List::Disabled),
            },
            habits: habits.map(|flaw| flaw.name().to_owned()).collect(),
            notes: status.notes.clone(),
            config_hash: status.config_hash.clone(),
            day_since: rfc3339(status.day_since),
            at: rfc3339(status.at),
            uptime_s: status.uptime.as_secs(),
        }
    }
}

impl Backend {
    fn new(backend: &engine::BackendStatus, guard: &engine::GuardStatus) -> Self {
        Self {
            breaker: guard.breaker.map(|state| Breaker {
                state: state.name().to_owned(),
                opens_last_hour: guard.opens_last_hour,
                because: guard.because.clone(),
            }),
            health: guard.health.as_ref().map(|health| Health {
                state: health.state.name().to_owned(),
                since: rfc3339(health.since),
                because: health.because.clone(),
            }),
            webhooks: backend.webhooks,
            errors: backend.errors,
            error_rate: backend.error_rate,
            response_time_mean_ms: backend.response_time_mean_ms,
            response_time_p95_ms: backend.response_time_p95_ms,
            calls_active: backend.calls_active,
            calls: backend.calls,
            abandonment_rate: backend.abandonment_rate,
            failed_call_rate: backend.failed_call_rate,
            call_duration_mean_s: backend.call_duration_mean_s,
            speech_recognition_rate: backend.speech_recognition_rate,
            calls_per_hour: backend.calls_per_hour,
            calls_per_day: backend.calls_per_day,
            data_query_mean_ms: backend.data_query_mean_ms,
            connect_mean_ms: backend.connect_mean_ms,
            streams_active: backend.streams_active,
            menu_choices: MENU_KEYS
                .into_iter()
                .zip(backend.menu_choices)
                .filter(|(_, times)| *times > 0)
                .map(|(key, times)| (char::from(key).to_string(), times))
                .collect(),
        }
    }
}

impl From<&engine::RuleStatus> for Rule {
    fn from(rule: &engine::RuleStatus) -> Self {
        let finding = &rule.finding;
        Self {
            name: finding.rule.clone(),
            measure: rule.measure.name().to_owned(),
            unit: unit(rule.measure.unit()).to_owned(),
            action: rule.action.name().to_owned(),
            over_s: (rule.over != STAGE).then_some(rule.over.as_secs()),
            value: finding.value,
            threshold: finding.threshold,
            legacy: finding.legacy,
            samples: finding.samples,
            calls_min: u64::from(rule.calls_min),
            failed: finding.failed,
            early: finding.early,
            verdict: finding.verdict.name().to_owned(),
            blind: finding.blind,
            withheld: finding.withheld.map(str::to_owned),
            firing: rule.firing,
            priority: rule.priority.map(|urgent| priority(urgent).to_owned()),
            tenants: finding.tenants.iter().map(|id| shown(id)).collect(),
            because: finding.because.clone(),
        }
    }
}

impl From<&engine::Verification> for Verification {
    fn from(seen: &engine::Verification) -> Self {
        let steps = seen.steps.iter().map(|taken| Step {
            step: taken.step.name().to_owned(),
            at: rfc3339(taken.at),
        });
        Self {
            reason: seen.reason.clone(),
            since: rfc3339(seen.since),
            live: seen.live.name().to_owned(),
            new_calls_on_new: seen.new_calls_on_new,
            live_on_new: seen.live_on_new,
            live_on_new_at_start: seen.live_on_new_at_start,
            measures_normal: seen.measures_normal,
            steps: steps.collect(),
            escalated: seen.escalated,
            done: seen.done,
        }
    }
}

impl From<engine::Done> for Done {
    fn from(done: engine::Done) -> Self {
        Self {
            said: done.said,
            durable: done.durable,
            generation: done.generation,
        }
    }
}

impl Reloaded {
    /// What the engine said, with whether it was only asked.
    pub fn new(reloaded: desk::Reloaded, dry_run: bool) -> Self {
        Self {
            dry_run,
            changed: reloaded.changed,
            refused: reloaded.refused,
            needs_restart: reloaded.needs_restart,
            tenants_moved: reloaded.tenants_moved,
            tenants: reloaded.tenants,
            live_calls_moved: reloaded.live_calls_moved,
            touched: reloaded.touched,
        }
    }
}

/// `2026-11-20T08:00:00Z`; a moment outside the calendar's nine thousand years is
/// shown as the empty string.
fn rfc3339(at: Wall) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(|_| String::new(), |at| at.to_string())
}

const fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Share => "share",
        Unit::Millis => "ms",
        Unit::Seconds => "s",
        Unit::Number => "number",
    }
}

const fn priority(priority: Priority) -> &'static str {
    match priority {
        Priority::Low => "low",
        Priority::Medium => "medium",
        Priority::High => "high",
        Priority::Critical => "critical",
    }
}

/// 25, not 25.0: a whole percentage is written as people write it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::trivially_copy_pass_by_ref,
    reason = "0 to 100 fits; serde passes a reference"
)]
fn plainly<S: Serializer>(percent: &f64, to: S) -> Result<S::Ok, S::Error> {
    if percent.fract() == 0.0 {
        to.serialize_i64(*percent as i64)
    } else {
        to.serialize_f64(*percent)
    }
}
