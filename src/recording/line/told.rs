//! The lines of what was told from outside, and of what the engine was like when it looked.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Scribe;
use super::words::{Hex, Word, backend, unknown};
use crate::measure::ReportKind;
use crate::model::{PerBackend, Percentage, TenantKey, Tick};
use crate::recording::{Report, State};

#[derive(Serialize, Deserialize)]
pub(super) struct ReportLine {
    backend: Word,
    kind: Word,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<Hex>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<Hex>,
}

impl ReportLine {
    pub(super) fn of(report: &Report, scribe: &Scribe) -> Self {
        let (kind, value) = report_words(report.kind);
        Self {
            backend: report.backend.name().into(),
            kind: kind.into(),
            value,
            tenant: report.tenant.and_then(|key| scribe.tenant(key)),
            id: report.id.map(Hex),
        }
    }

    pub(super) fn read(&self) -> Result<Report, String> {
        Ok(Report {
            backend: backend(&self.backend)?,
            kind: report_kind(&self.kind, self.value)?,
            tenant: self.tenant.map(|hex| TenantKey(hex.0)),
            id: self.id.map(|id| id.0),
        })
    }
}

/// The word for what was reported, and its value if it has one.
const fn report_words(kind: ReportKind) -> (&'static str, Option<f64>) {
    match kind {
        ReportKind::CriticalError => ("critical-error", None),
        ReportKind::Complaint => ("complaint", None),
        ReportKind::Incident => ("incident", None),
        ReportKind::LesserIncident(priority) => ("lesser-incident", Some(priority as f64)),
        ReportKind::MemoryUsed(share) => ("memory-used", Some(share)),
        ReportKind::CpuUsed(share) => ("cpu-used", Some(share)),
        ReportKind::Transactions(many) => ("transactions", Some(many as f64)),
    }
}

fn report_kind(kind: &str, value: Option<f64>) -> Result<ReportKind, String> {
    let share = || {
        let share = value.filter(|share| (0.0..=1.0).contains(share));
        share.ok_or_else(|| format!("{kind} lacks its share"))
    };
    Ok(match kind {
        "critical-error" => ReportKind::CriticalError,
        "complaint" => ReportKind::Complaint,
        "incident" => ReportKind::Incident,
        "memory-used" => ReportKind::MemoryUsed(share()?),
        "cpu-used" => ReportKind::CpuUsed(share()?),
        "lesser-incident" => match value {
            Some(priority) if (2.0..=5.0).contains(&priority) => {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let priority = priority as u8;
                ReportKind::LesserIncident(priority)
            }
            _ => return Err(format!("{kind} lacks its priority")),
        },
        "transactions" => {
            let many = value.filter(|many| (0.0..=f64::from(u32::MAX)).contains(many));
            // In range by the line above, and written from a whole number.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let many = many.ok_or("transactions lack their number")? as u32;
            ReportKind::Transactions(many)
        }
        _ => return Err(unknown(kind)),
    })
}

#[derive(Serialize, Deserialize)]
pub(super) struct TickLine {
    tick_us: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    active: Option<Active>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Active {
    legacy: u64,
    new: u64,
}

impl TickLine {
    pub(super) fn of(now: Tick, active: Option<PerBackend<u64>>) -> Self {
        Self {
            tick_us: now.0,
            active: active.map(|it| Active {
                legacy: it.legacy,
                new: it.new,
            }),
        }
    }

    pub(super) fn read(&self) -> (Tick, Option<PerBackend<u64>>) {
        let active = self.active.map(|it| PerBackend {
            legacy: it.legacy,
            new: it.new,
        });
        (Tick(self.tick_us), active)
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct StateLine {
    epoch_us: u64,
    spent: u64,
    generation: u64,
    percentage: f64,
    latched: bool,
    config: Word,
}

impl StateLine {
    pub(super) fn of(state: &State) -> Self {
        Self {
            epoch_us: state.epoch.0,
            spent: state.spent,
            generation: state.generation,
            percentage: state.percentage.as_f64(),
            latched: state.latched,
            config: state.config.to_string().into(),
        }
    }

    pub(super) fn read(&self) -> Result<State, String> {
        let percentage = self.percentage;
        Ok(State {
            epoch: Tick(self.epoch_us),
            spent: self.spent,
            generation: self.generation,
            percentage: Percentage::new(percentage)
                .ok_or_else(|| format!("{percentage} is no percentage"))?,
            latched: self.latched,
            config: Arc::from(&*self.config),
        })
    }
}
