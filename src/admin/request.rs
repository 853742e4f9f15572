//! What the API is told, as JSON, and its translation into orders.
//!
//! Everything is checked here, once: unknown fields are refused by name, a
//! percentage is a percentage, a reason is there. What comes out is plain words
//! of the rollout.

use std::borrow::Cow;

use axum::http::HeaderMap;
use serde::{Deserialize, Deserializer};

use super::problem::{Answer, Problem};
use crate::engine::{ReportKind, Reported};
use crate::model::{Backend, Percentage, mask, mask_numbers};
use crate::rollout::{Command, Level, List, Waives};
use crate::split::Live;
use crate::split::tenants::e164;

/// Bytes of a reason or a message; more is refused. They stand in every journal
/// entry and on every screen.
const TEXT_MAX: usize = 1000;

/// Most transactions in one report; more is refused, because it is a mistake.
const TRANSACTIONS_MAX: u32 = 1_000_000;

/// Bytes of an id given by whoever asks; more is refused.
const ID_MAX: usize = 256;

/// `POST /api/v1/hold`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plain {
    /// Why.
    pub(super) reason: String,
}

/// `POST /api/v1/advance`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Advance {
    /// Why.
    pub(super) reason: String,
    /// Pass over windows, hours and freezes.
    #[serde(default)]
    hotfix: bool,
    /// Pass over soak, evidence, gates and blind rows.
    #[serde(default)]
    insist: bool,
}

impl Advance {
    /// What is knowingly passed over.
    pub(super) const fn waives(&self) -> Waives {
        Waives {
            window: self.hotfix,
            evidence: self.insist,
        }
    }
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
    /// Pass over windows and freezes.
    #[serde(default)]
    pub(super) hotfix: bool,
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
    /// Pass over windows and freezes.
    #[serde(default)]
    pub(super) hotfix: bool,
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
    backup: Option<String>,
    confirm: Option<String>,
    /// Why.
    pub(super) reason: String,
}

impl Rollback {
    /// Is it level 4, which moves no calls?
    pub(super) fn is_of_data(&self) -> bool {
        self.level == "data"
    }

    /// The backup that is to be restored, once it is confirmed.
    pub(super) fn backup(self) -> Answer<String> {
        if self.tenant.is_some() || self.percentage.is_some() || self.live.is_some() {
            return Err(Problem::invalid(
                "level `data` takes `backup` and `confirm`, neither `tenant`, `percentage` nor `live`",
            ));
        }
        let backup = self.backup.ok_or_else(|| {
            Problem::invalid(
                "level `data` needs `backup`; GET /api/v1/backups lists those there are",
            )
        })?;
        if self.confirm.as_deref() != Some("CONFIRM") {
            return Err(Problem::invalid(
                "level `data` needs `confirm` with the word CONFIRM: what was written since that \
                 backup is lost",
            ));
        }
        Ok(backup)
    }

    /// The command asked for.
    pub(super) fn command(self) -> Answer<Command> {
        if self.backup.is_some() || self.confirm.is_some() {
            return Err(Problem::invalid(
                "`backup` and `confirm` belong to level `data`",
            ));
        }
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
                    "`level` is `tenant`, `partial`, `total` or `data`",
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
    /// Pass over windows and freezes.
    #[serde(default)]
    pub(super) hotfix: bool,
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
        let call = self.call.map(|call| short("call", call)).transpose()?;
        let tenant = self.tenant.map(tenant_id).transpose()?;
        for (word, value) in [("call", &call), ("tenant", &tenant)] {
            if let Some(value) = value {
                message.push_str(&format!(" ({word} {})", mask(value)));
            }
        }
        Ok(Reported {
            id,
            kind,
            backend,
            tenant,
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
        "incident" | "incidents" => return incident(value),
        "transaction" | "transactions" => return transactions(value),
        _ => {
            return Err(Problem::invalid(
                "`kind` is `critical_error`, `complaint`, `incident`, `transactions`, \
                 `memory_used` or `cpu_used`",
            ));
        }
    };
    if value.is_some() {
        return Err(Problem::invalid(
            "`value` belongs to `incident`, `transactions`, `memory_used` and `cpu_used` only; \
             report each event by itself",
        ));
    }
    Ok(kind)
}

/// A hotfix passes over windows and freezes, and nothing else.
pub(super) const fn hotfix(asked: bool) -> Waives {
    Waives {
        window: asked,
        evidence: false,
    }
}

/// An incident by its priority: only the first, or one without any, counts in a row.
fn incident(priority: Option<f64>) -> Answer<ReportKind> {
    match priority.map_or(Some(1), |priority| whole(priority, 5)) {
        Some(1) => Ok(ReportKind::Incident),
        Some(lesser) => Ok(ReportKind::LesserIncident(
            u8::try_from(lesser).unwrap_or(u8::MAX),
        )),
        None => Err(Problem::invalid(
            "`value` of an incident is its priority: 1 (the highest) to 5",
        )),
    }
}

fn transactions(count: Option<f64>) -> Answer<ReportKind> {
    count
        .map_or(Some(1), |count| whole(count, TRANSACTIONS_MAX))
        .map(ReportKind::Transactions)
        .ok_or_else(|| {
            Problem::invalid(format!(
                "`value` says how many transactions there were: 1 to {TRANSACTIONS_MAX}"
            ))
        })
}

/// A whole number from 1 to `most`.
fn whole(value: f64, most: u32) -> Option<u32> {
    let fits = value.fract() == 0.0 && (1.0..=f64::from(most)).contains(&value);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fits.then_some(value as u32)
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
    // It stands in logs, on terminals and in the journal, from which nothing can be taken
    // back: one line, no escapes, nobody's number.
    let line = text.replace(char::is_control, " ");
    let words: Vec<_> = line.split(' ').map(without_numbers).collect();
    Ok(words.join(" "))
}

/// A word with what may be a telephone number in it masked. The number of a ticket, as
/// `CHG0031234`, is what people will look for.
fn without_numbers(word: &str) -> Cow<'_, str> {
    let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let letters = bare.bytes().take_while(u8::is_ascii_uppercase).count();
    let (_, digits) = bare.split_at(letters);
    let digits = digits.strip_prefix('-').unwrap_or(digits);
    // No telephone number begins with two letters, nor is it so short.
    let is_ticket =
        letters >= 2 && digits.len() < 10 && digits.bytes().all(|it| it.is_ascii_digit());
    if is_ticket {
        word.into()
    } else {
        mask_numbers(word).into()
    }
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
        Some(name) => format!("operator via {door} ({})", mask_numbers(name)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_keeps_its_ticket_and_loses_its_number() {
        for (said, kept) in [
            ("  two\nlines ", "two lines"),
            ("asked by +14155550142.", "asked by +…42"),
            (
                "asked by (415) 555-0142, twice",
                "asked by (415) 555-0142, twice",
            ),
            ("asked by 415-555-0142", "asked by …42"),
            (
                "CHG0031234: and (INC-0012345)",
                "CHG0031234: and (INC-0012345)",
            ),
            ("of 2026-11-20 at 12:30", "of 2026-11-20 at 12:30"),
            ("TEL14155550142 x14155550142", "TEL…42 x…42"),
            ("llamó é14155550142", "llamó é…42"),
        ] {
            assert_eq!(text("reason", said).ok().as_deref(), Some(kept));
        }
    }

    #[test]
    fn an_actor_who_is_a_number_is_masked() {
        for (name, actor) in [
            ("ana@example.com", "operator via api (ana@example.com)"),
            ("14155550142", "operator via api (…42)"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-switchback-actor", name.parse().unwrap());
            assert_eq!(super::actor(&headers), actor);
        }
    }

    #[test]
    fn an_incident_has_a_priority_and_transactions_a_number() {
        for (kind, value, expected) in [
            ("incident", None, Some(ReportKind::Incident)),
            ("incident", Some(1.0), Some(ReportKind::Incident)),
            ("incident", Some(2.0), Some(ReportKind::LesserIncident(2))),
            ("incidents", Some(5.0), Some(ReportKind::LesserIncident(5))),
            ("incident", Some(6.0), None),
            ("incident", Some(0.0), None),
            ("incident", Some(1.5), None),
            ("transaction", None, Some(ReportKind::Transactions(1))),
            (
                "transactions",
                Some(40.0),
                Some(ReportKind::Transactions(40)),
            ),
            (
                "transactions",
                Some(1e6),
                Some(ReportKind::Transactions(1_000_000)),
            ),
            ("transactions", Some(1e6 + 1.0), None),
            ("transactions", Some(-1.0), None),
            ("complaint", Some(1.0), None),
        ] {
            let found = report_kind(kind, value).ok();
            assert_eq!(found, expected, "{kind} with {value:?}");
        }
    }
}
