//! What the API is told, as JSON, and its translation into orders.
//!
//! Everything is checked here, once: unknown fields are refused by name, a
//! percentage is a percentage, a reason is there. What comes out is plain words
//! of the rollout.

use axum::http::HeaderMap;
use serde::{Deserialize, Deserializer};

use super::problem::{Answer, Problem};
use crate::engine::{ReportKind, Reported};
use crate::model::{Backend, Percentage, mask};
use crate::rollout::{Command, Level, List};
use crate::split::Live;
use crate::split::tenants::e164;

/// Bytes of a reason or a message; more is refused. They stand in every journal
/// entry and on every screen.
const TEXT_MAX: usize = 1000;

/// Bytes of an id given by whoever asks; more is refused.
const ID_MAX: usize = 256;

/// `POST /api/v1/hold`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plain {
    /// Why.
    pub(super) reason: String,
}

/// `POST /api/v1/reload`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reload {
    /// Why.
    pub(super) reason: String,
    /// Only say what would change.
    #[serde(default)]
    pub(super) dry_run: bool,
    /// Also take what moves callers.
    #[serde(default)]
    pub(super) force: bool,
}

/// `POST /api/v1/percentage`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetPercentage {
    percentage: f64,
    /// Why.
    pub(super) reason: String,
}

impl SetPercentage {
    /// The command asked for.
    pub(super) fn command(&self) -> Answer<Command> {
        Ok(Command::Percentage(percentage(self.percentage)?))
    }
}

/// `POST /api/v1/resume`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Resume {
    percentage: Option<f64>,
    /// Why.
    pub(super) reason: String,
}

impl Resume {
    /// The command asked for.
    pub(super) fn command(&self) -> Answer<Command> {
        let percentage = self.percentage.map(percentage).transpose()?;
        Ok(Command::Resume { percentage })
    }
}

/// `POST /api/v1/rollback`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rollback {
    level: String,
    tenant: Option<String>,
    percentage: Option<f64>,
    live: Option<String>,
    /// Why.
    pub(super) reason: String,
}

impl Rollback {
    /// The command asked for.
    pub(super) fn command(self) -> Answer<Command> {
        let live = match self.live.as_deref() {
            None => Live::default(),
            Some(word) => Live::from_name(word).ok_or_else(|| {
                Problem::invalid(
                    "`live` is `drain` (live calls finish where they are) or `move` (their next \
                     voice webhook sends them to legacy's entry)",
                )
            })?,
        };
        let level = match (self.level.as_str(), self.tenant, self.percentage) {
            ("tenant", Some(tenant), None) => Level::Tenant(tenant_id(tenant)?),
            ("partial", None, Some(percent)) => Level::Partial(percentage(percent)?),
            ("total", None, None) => Level::Total,
            ("tenant", ..) => {
                return Err(Problem::invalid(
                    "level `tenant` needs `tenant` and takes no `percentage`",
                ));
            }
            ("partial", ..) => {
                return Err(Problem::invalid(
                    "level `partial` needs `percentage` and takes no `tenant`",
                ));
            }
            ("total", ..) => {
                return Err(Problem::invalid(
                    "level `total` takes neither `tenant` nor `percentage`",
                ));
            }
            _ => {
                return Err(Problem::invalid(
                    "`level` is `tenant`, `partial` or `total`",
                ));
            }
        };
        Ok(Command::Rollback(level, live))
    }
}

/// `POST /api/v1/tenants/{id}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetTenant {
    // Taking a tenant off the lists must be said (null), not forgotten.
    #[serde(deserialize_with = "said")]
    list: Option<String>,
    /// Why.
    pub(super) reason: String,
}

impl SetTenant {
    /// The command asked for.
    pub(super) fn command(&self, id: String) -> Answer<Command> {
        let list = match self.list.as_deref() {
            None => None,
            Some("enabled") => Some(List::Enabled),
            Some("disabled") => Some(List::Disabled),
            Some(_) => {
                return Err(Problem::invalid("`list` is `enabled`, `disabled` or null"));
            }
        };
        let id = tenant_id(id)?;
        Ok(Command::Tenant { id, list })
    }
}

/// `POST /api/v1/events`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Report {
    id: Option<String>,
    kind: String,
    backend: Option<String>,
    call: Option<String>,
    tenant: Option<String>,
    value: Option<f64>,
    message: String,
}

impl Report {
    /// What was reported. Call and tenant become part of the message, masked.
    pub(super) fn reported(self) -> Answer<Reported> {
        let id = self.id.map(|id| short("id", id)).transpose()?;
        let kind = report_kind(&self.kind, self.value)?;
        let backend = match self.backend.as_deref() {
            None => Backend::New,
            Some(name) => Backend::from_name(name)
                .ok_or_else(|| Problem::invalid("`backend` is `legacy` or `new`"))?,
        };
        let mut message = text("message", &self.message)?;
        for (word, value) in [("call", self.call), ("tenant", self.tenant)] {
            if let Some(value) = value {
                message.push_str(&format!(" ({word} {})", mask(&short(word, value)?)));
            }
        }
        Ok(Reported {
            id,
            kind,
            backend,
            message,
        })
    }
}

/// The singular is the word; the measure it feeds and a hyphen are understood.
fn report_kind(kind: &str, value: Option<f64>) -> Answer<ReportKind> {
    let share = || {
        let share = value.filter(|share| (0.0..=1.0).contains(share));
        share.ok_or_else(|| Problem::invalid("`value` is needed here: a share from 0 to 1"))
    };
    let kind = match kind.replace('-', "_").as_str() {
        "memory_used" => return Ok(ReportKind::MemoryUsed(share()?)),
        "cpu_used" => return Ok(ReportKind::CpuUsed(share()?)),
        "critical_error" | "critical_errors" => ReportKind::CriticalError,
        "complaint" | "complaints" => ReportKind::Complaint,
        "incident" | "incidents" => ReportKind::Incident,
        _ => {
            return Err(Problem::invalid(
                "`kind` is `critical_error`, `complaint`, `incident`, `memory_used` or `cpu_used`",
            ));
        }
    };
    if value.is_some() {
        return Err(Problem::invalid(
            "`value` belongs to `memory_used` and `cpu_used` only; report each event by itself",
        ));
    }
    Ok(kind)
}

/// A reason or a message: there, not too long, on one line.
pub(super) fn text(field: &str, text: &str) -> Answer<String> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Problem::invalid(format!(
            "`{field}` is empty; say in a few words what it is about, people will read it later"
        )));
    }
    if text.len() > TEXT_MAX {
        return Err(Problem::invalid(format!(
            "`{field}` is longer than {TEXT_MAX} bytes"
        )));
    }
    // It stands in logs, on terminals and in the journal: one line, no escapes.
    Ok(text.replace(char::is_control, " "))
}

/// Who asks: through which door, and by which name if a sane one is given.
pub(super) fn actor(headers: &HeaderMap) -> String {
    let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let door = match said("user-agent") {
        Some(agent) if agent.starts_with("switchback/") => "cli",
        _ => "api",
    };
    let sane = |name: &&str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
        (1..=64).contains(&name.len()) && name.bytes().all(plain)
    };
    match said("x-switchback-actor").filter(sane) {
        Some(name) => format!("operator via {door} ({name})"),
        None => format!("operator via {door}"),
    }
}

fn percentage(percent: f64) -> Answer<Percentage> {
    Percentage::new(percent).ok_or_else(|| {
        Problem::invalid("`percentage` is a number from 0 to 100, at most 0.01 fine")
    })
}

/// A tenant's id. Where numbers are tenants they are looked up in E.164, so one that is
/// pasted with its punctuation must not end on a list where nobody finds it.
fn tenant_id(id: String) -> Answer<String> {
    short("tenant", e164(&id).into_owned())
}

fn short(field: &str, value: String) -> Answer<String> {
    if value.is_empty() || value.len() > ID_MAX || value.contains(char::is_control) {
        return Err(Problem::invalid(format!(
            "`{field}` is 1 to {ID_MAX} bytes without control characters"
        )));
    }
    Ok(value)
}

fn said<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(from)
}
