//! What the API shows, as JSON.
//!
//! Types of their own, so that renaming a field inside breaks nobody's script.
//! They can be read back as well: the command line shows what the API said, and a
//! field that an older Switchback does not send yet takes its default.

mod backend;
mod data;
mod done;
mod plan;
mod rule;
mod verification;

pub use backend::{Backend, Backends, Breaker, Health};
pub use data::{Backup, Backups, Restore};
pub use done::{Done, Reloaded};
pub use plan::{Forecast, Plan, Stage};
pub use rule::Rule;
pub use verification::{Step, Verification};

use serde::{Deserialize, Serialize, Serializer};

use crate::document::Flaw;
use crate::engine;
use crate::measure::RescueResult;
use crate::model::{Percentage, Wall};
use crate::rollout::List;

/// `GET /api/v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// `idle`, `soaking`, `held`, `reversed`, `rolled-back`, `complete`.
    pub phase: String,
    /// Since when, RFC 3339; null: nothing was ever decided.
    pub phase_since: Option<String>,
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

/// Tenants on a list, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tenants {
    /// Always new.
    pub enabled: Vec<String>,
    /// Always legacy.
    pub disabled: Vec<String>,
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
            phase_since: (status.phase_since != Wall::default())
                .then(|| rfc3339(status.phase_since)),
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

/// `2026-11-20T08:00:00Z`; a moment outside the calendar's nine thousand years is
/// shown as the empty string.
fn rfc3339(at: Wall) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(|_| String::new(), |at| at.to_string())
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
