//! The lines of what requests, calls and health checks tell, each with how it is written
//! and how it is read.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::words::{Hex, Word, backend, is_default, is_yes, named, yes};
use super::{Scribe, millis};
use crate::document::Flaw;
use crate::health;
use crate::measure::{
    Answered, CallEnd, Cause, Ended, Health, Kind, Outcome, Placed, RescueResult, Rescued, Voice,
    Why,
};
use crate::model::Tick;
use crate::split::{Because, Placement};

#[derive(Serialize, Deserialize)]
pub(super) struct PlacedLine {
    backend: Word,
    because: Word,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    call: Option<Hex>,
    #[serde(default, skip_serializing_if = "is_default")]
    begins: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    starts: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    after_latch: bool,
}

impl PlacedLine {
    pub(super) fn of(it: &Placed) -> Self {
        Self {
            backend: it.placement.backend.name().into(),
            because: it.placement.because.name().into(),
            call: Hex::of_call(it.call),
            begins: it.begins,
            starts: it.starts,
            after_latch: it.after_latch,
        }
    }

    pub(super) fn read(&self, at: Tick) -> Result<Placed, String> {
        Ok(Placed {
            at,
            placement: Placement {
                backend: backend(&self.backend)?,
                because: named(&Because::ALL, Because::name, &self.because)?,
            },
            call: Hex::call(self.call),
            begins: self.begins,
            after_latch: self.after_latch,
            starts: self.starts,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct AnsweredLine {
    backend: Word,
    route: u16,
    kind: Word,
    outcome: Word,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    latency_us: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    flaw: Option<Word>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    voice: Option<Spoken>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    speech: Option<bool>,
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    counts: bool,
    generation: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    call: Option<Hex>,
}

#[derive(Serialize, Deserialize)]
struct Spoken {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<Hex>,
    #[serde(default, skip_serializing_if = "is_default")]
    failed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous_ms_ago: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous_failed_ms_ago: Option<u64>,
}

impl AnsweredLine {
    pub(super) fn of(it: &Answered, scribe: &Scribe) -> Self {
        let ago = |tick: Tick| millis(it.at.since(tick));
        Self {
            backend: it.backend.name().into(),
            route: it.route,
            kind: it.kind.name().into(),
            outcome: it.outcome.name().into(),
            latency_us: it.latency_us,
            flaw: it.flaw.map(|flaw| flaw.name().into()),
            voice: it.voice.map(|voice| Spoken {
                tenant: scribe.tenant(voice.tenant),
                failed: voice.failed,
                previous_ms_ago: voice.previous.map(ago),
                previous_failed_ms_ago: voice.previous_failed.map(ago),
            }),
            speech: it.speech,
            counts: it.counts,
            generation: it.generation,
            call: Hex::of_call(it.call),
        }
    }

    pub(super) fn read(&self, at: Tick) -> Result<Answered, String> {
        Ok(Answered {
            at,
            backend: backend(&self.backend)?,
            route: self.route,
            kind: named(&[Kind::Voice, Kind::Event], Kind::name, &self.kind)?,
            outcome: match &*self.outcome {
                "served" => Outcome::Served,
                cause => Outcome::Failed(named(&Cause::ALL, Cause::name, cause)?),
            },
            latency_us: self.latency_us,
            overhead_us: 0,
            flaw: (self.flaw.as_deref())
                .map(|flaw| named(&Flaw::ALL, Flaw::name, flaw))
                .transpose()?,
            voice: self.voice.as_ref().map(|voice| voice.read(at)),
            speech: self.speech,
            choice: None,
            data_us: None,
            counts: self.counts,
            generation: self.generation,
            call: Hex::call(self.call),
        })
    }
}

impl Spoken {
    fn read(&self, at: Tick) -> Voice {
        Voice {
            tenant: Hex::tenant(self.tenant),
            failed: self.failed,
            previous: self.previous_ms_ago.map(|ms| before(at, ms)),
            previous_failed: self.previous_failed_ms_ago.map(|ms| before(at, ms)),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct EndedLine {
    backend: Word,
    end: Word,
    began_ms_ago: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<Hex>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    duration_s: Option<u32>,
    generation: u64,
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    counts: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    failed: bool,
}

impl EndedLine {
    pub(super) fn of(it: &Ended, scribe: &Scribe) -> Self {
        Self {
            backend: it.backend.name().into(),
            end: it.end.name().into(),
            began_ms_ago: millis(it.at.since(it.began)),
            tenant: scribe.tenant(it.tenant),
            duration_s: it.duration_s,
            generation: it.generation,
            counts: it.counts,
            failed: it.failed,
        }
    }

    pub(super) fn read(&self, at: Tick) -> Result<Ended, String> {
        Ok(Ended {
            at,
            began: before(at, self.began_ms_ago),
            backend: backend(&self.backend)?,
            tenant: Hex::tenant(self.tenant),
            end: named(&CallEnd::ALL, CallEnd::name, &self.end)?,
            duration_s: self.duration_s,
            generation: self.generation,
            counts: self.counts,
            failed: self.failed,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct HealthLine {
    backend: Word,
    answer: Word,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    took_us: u32,
}

impl HealthLine {
    pub(super) fn of(it: &Health) -> Self {
        Self {
            backend: it.backend.name().into(),
            answer: it.answer.name().into(),
            status: match it.answer {
                health::Answer::Status(status) => Some(status),
                health::Answer::Well | health::Answer::Missing(_) => None,
            },
            took_us: it.took_us,
        }
    }

    pub(super) fn read(&self, at: Tick) -> Result<Health, String> {
        Ok(Health {
            at,
            backend: backend(&self.backend)?,
            answer: match (&*self.answer, self.status) {
                ("well", _) => health::Answer::Well,
                ("status", Some(status)) => health::Answer::Status(status),
                (cause, _) => health::Answer::Missing(named(&Cause::ALL, Cause::name, cause)?),
            },
            took_us: self.took_us,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct RescuedLine {
    route: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    call: Option<Hex>,
    from: Word,
    why: Word,
    result: Word,
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    counts: bool,
}

impl RescuedLine {
    pub(super) fn of(it: &Rescued) -> Self {
        Self {
            route: it.route,
            call: Hex::of_call(it.call),
            from: it.from.name().into(),
            why: it.why.name().into(),
            result: it.result.name().into(),
            counts: it.counts,
        }
    }

    pub(super) fn read(&self, at: Tick) -> Result<Rescued, String> {
        Ok(Rescued {
            at,
            route: self.route,
            call: Hex::call(self.call),
            from: backend(&self.from)?,
            why: named(&Why::ALL, Why::name, &self.why)?,
            result: named(&RescueResult::ALL, RescueResult::name, &self.result)?,
            counts: self.counts,
        })
    }
}

fn before(at: Tick, ms: u64) -> Tick {
    at - Duration::from_millis(ms)
}
