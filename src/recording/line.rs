//! One line of a recording: its JSON shape, apart from the types the engine works with.
//!
//! Spans are in whole milliseconds before the line's own moment; a field this version does
//! not know is passed over.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{Moment, Report, State, What};
use crate::document::Flaw;
use crate::health;
use crate::measure::{
    Answered, CallEnd, Cause, Ended, Health, Kind, Observation, Outcome, Placed, ReportKind,
    RescueResult, Rescued, Voice, Why,
};
use crate::model::{Backend, CallKey, PerBackend, Percentage, TenantKey, Tick, Wall, mask_numbers};
use crate::split::{Because, Placement};

/// One of our own when it is written, somebody's when it is read.
type Word = Cow<'static, str>;

/// Sixteen hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hex(u64);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16)
            .map(Self)
            .map_err(|_| serde::de::Error::custom("a hash of 16 hexadecimal digits is expected"))
    }
}

#[derive(Serialize, Deserialize)]
struct Line {
    time: String,
    #[serde(flatten)]
    said: Said,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
enum Said {
    Placed {
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
    },
    Answered {
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
    },
    Ended {
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
    },
    Health {
        backend: Word,
        answer: Word,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        took_us: u32,
    },
    Rescued {
        route: u16,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        call: Option<Hex>,
        from: Word,
        why: Word,
        result: Word,
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        counts: bool,
    },
    Report {
        backend: Word,
        kind: Word,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<f64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tenant: Option<Hex>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Hex>,
    },
    Tick {
        tick_us: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        active: Option<Active>,
    },
    State {
        epoch_us: u64,
        spent: u64,
        generation: u64,
        percentage: f64,
        latched: bool,
        config: Word,
    },
    Lost {
        lines: u64,
    },
    /// Of another version.
    #[serde(other)]
    Unknown,
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

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Active {
    legacy: u64,
    new: u64,
}

const fn yes() -> bool {
    true
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_yes(it: &bool) -> bool {
    *it
}

fn is_default<T: Default + PartialEq>(it: &T) -> bool {
    *it == T::default()
}

/// Writes lines, with the secret that keys what must not be read.
#[derive(Debug)]
pub(super) struct Scribe {
    seed: u64,
}

impl Scribe {
    pub(super) const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// A hash that says nothing to who lacks the secret.
    pub(super) fn hash(&self, bytes: &[u8]) -> u64 {
        xxh3_64_with_seed(bytes, self.seed)
    }

    /// A tenant's key is a hash that anybody can make of a number; this one is not.
    fn tenant(&self, key: TenantKey) -> Option<Hex> {
        (key != TenantKey::NONE).then(|| Hex(self.hash(&key.0.to_le_bytes())))
    }

    pub(super) fn state(&self, into: &mut Vec<u8>, moment: &Moment<'_>) {
        let state = moment.state;
        let said = Said::State {
            epoch_us: state.epoch.0,
            spent: state.spent,
            generation: state.generation,
            percentage: state.percentage.as_f64(),
            latched: state.latched,
            config: state.config.to_string().into(),
        };
        write(into, moment.wall, said);
    }

    pub(super) fn tick(
        &self,
        into: &mut Vec<u8>,
        moment: &Moment<'_>,
        active: Option<PerBackend<u64>>,
    ) {
        let active = active.map(|it| Active {
            legacy: it.legacy,
            new: it.new,
        });
        let tick_us = moment.now.0;
        write(into, moment.wall, Said::Tick { tick_us, active });
    }

    pub(super) fn lost(&self, into: &mut Vec<u8>, wall: Wall, lines: u64) {
        write(into, wall, Said::Lost { lines });
    }

    pub(super) fn report(&self, into: &mut Vec<u8>, moment: &Moment<'_>, report: &Report) {
        let (kind, value) = report_words(report.kind);
        let said = Said::Report {
            backend: report.backend.name().into(),
            kind: kind.into(),
            value,
            tenant: report.tenant.and_then(|key| self.tenant(key)),
            id: report.id.map(Hex),
        };
        write(into, moment.wall, said);
    }

    /// One that no row judges has no line.
    pub(super) fn observation(
        &self,
        into: &mut Vec<u8>,
        moment: &Moment<'_>,
        observation: &Observation,
    ) {
        let (at, said) = match observation {
            Observation::Placed(it) => (it.at, placed(it)),
            Observation::Answered(it) => (it.at, self.answered(it)),
            Observation::Ended(it) => (it.at, self.ended(it)),
            Observation::Health(it) => (it.at, checked(it)),
            Observation::Rescued(it) => (it.at, rescued(it)),
            _ => return,
        };
        let ago = i64::try_from(millis(moment.now.since(at))).unwrap_or(i64::MAX);
        write(into, Wall(moment.wall.0.saturating_sub(ago)), said);
    }

    fn answered(&self, it: &Answered) -> Said {
        let ago = |tick: Tick| millis(it.at.since(tick));
        Said::Answered {
            backend: it.backend.name().into(),
            route: it.route,
            kind: it.kind.name().into(),
            outcome: it.outcome.name().into(),
            latency_us: it.latency_us,
            flaw: it.flaw.map(|flaw| flaw.name().into()),
            voice: it.voice.map(|voice| Spoken {
                tenant: self.tenant(voice.tenant),
                failed: voice.failed,
                previous_ms_ago: voice.previous.map(ago),
                previous_failed_ms_ago: voice.previous_failed.map(ago),
            }),
            speech: it.speech,
            counts: it.counts,
            generation: it.generation,
            call: it.call.map(|key| Hex(key.0)),
        }
    }

    fn ended(&self, it: &Ended) -> Said {
        Said::Ended {
            backend: it.backend.name().into(),
            end: it.end.name().into(),
            began_ms_ago: millis(it.at.since(it.began)),
            tenant: self.tenant(it.tenant),
            duration_s: it.duration_s,
            generation: it.generation,
            counts: it.counts,
            failed: it.failed,
        }
    }
}

fn placed(it: &Placed) -> Said {
    Said::Placed {
        backend: it.placement.backend.name().into(),
        because: it.placement.because.name().into(),
        call: it.call.map(|key| Hex(key.0)),
        begins: it.begins,
        starts: it.starts,
        after_latch: it.after_latch,
    }
}

fn checked(it: &Health) -> Said {
    Said::Health {
        backend: it.backend.name().into(),
        answer: it.answer.name().into(),
        status: match it.answer {
            health::Answer::Status(status) => Some(status),
            health::Answer::Well | health::Answer::Missing(_) => None,
        },
        took_us: it.took_us,
    }
}

fn rescued(it: &Rescued) -> Said {
    Said::Rescued {
        route: it.route,
        call: it.call.map(|key| Hex(key.0)),
        from: it.from.name().into(),
        why: it.why.name().into(),
        result: it.result.name().into(),
        counts: it.counts,
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn write(into: &mut Vec<u8>, at: Wall, said: Said) {
    let line = Line {
        time: time(at),
        said,
    };
    // A vector takes everything, and numbers that JSON lacks become null.
    serde_json::to_writer(&mut *into, &line).expect("words and numbers become JSON");
    into.push(b'\n');
}

/// RFC 3339 with milliseconds, in UTC.
pub(super) fn time(at: Wall) -> String {
    Timestamp::from_millisecond(at.0)
        .map(|at| format!("{at:.3}"))
        .unwrap_or_default()
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

/// What a line says, apart from its moment.
pub(super) struct Read {
    pub(super) at: Wall,
    said: Said,
}

/// Reads a line. None: it is of a later version, and says nothing to us.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn decode(line: &[u8]) -> Result<Option<Read>, String> {
    let line: Line = serde_json::from_slice(line).map_err(|error| {
        let why = error.to_string();
        // Each line is a text of its own to its reader; and it may be no recording at all.
        mask_numbers(why.split(" at line ").next().unwrap_or(&why))
    })?;
    let at: Timestamp = (line.time.parse()).map_err(|_| "its `time` is no moment".to_owned())?;
    let at = Wall(at.as_millisecond());
    Ok(match line.said {
        Said::Unknown => None,
        said => Some(Read { at, said }),
    })
}

impl Read {
    /// The process's own clock, if that is what it tells; and the calls in progress.
    pub(super) fn tick(&self) -> Option<(Tick, Option<PerBackend<u64>>)> {
        let Said::Tick { tick_us, active } = &self.said else {
            return None;
        };
        let active = active.map(|it| PerBackend {
            legacy: it.legacy,
            new: it.new,
        });
        Some((Tick(*tick_us), active))
    }

    /// What it says, of a moment that was `at` by the process's own clock.
    ///
    /// # Errors
    ///
    /// It holds a word that nobody knows.
    pub(super) fn what(self, at: Tick) -> Result<What, String> {
        let ago = |ms: u64| at - Duration::from_millis(ms);
        let key = |hex: Option<Hex>| hex.map(|hex| CallKey(hex.0));
        let tenant = |hex: Option<Hex>| hex.map_or(TenantKey::NONE, |hex| TenantKey(hex.0));
        let observation = match self.said {
            Said::Placed {
                backend: side,
                because,
                call,
                begins,
                starts,
                after_latch,
            } => Observation::Placed(Placed {
                at,
                placement: Placement {
                    backend: backend(&side)?,
                    because: named(&Because::ALL, Because::name, &because)?,
                },
                call: key(call),
                begins,
                after_latch,
                starts,
            }),
            Said::Answered {
                backend: side,
                route,
                kind,
                outcome,
                latency_us,
                flaw,
                voice,
                speech,
                counts,
                generation,
                call,
            } => Observation::Answered(Answered {
                at,
                backend: backend(&side)?,
                route,
                kind: named(&[Kind::Voice, Kind::Event], Kind::name, &kind)?,
                outcome: match &*outcome {
                    "served" => Outcome::Served,
                    cause => Outcome::Failed(named(&Cause::ALL, Cause::name, cause)?),
                },
                latency_us,
                overhead_us: 0,
                flaw: (flaw.as_deref())
                    .map(|flaw| named(&Flaw::ALL, Flaw::name, flaw))
                    .transpose()?,
                voice: voice.map(|voice| Voice {
                    tenant: tenant(voice.tenant),
                    failed: voice.failed,
                    previous: voice.previous_ms_ago.map(ago),
                    previous_failed: voice.previous_failed_ms_ago.map(ago),
                }),
                speech,
                choice: None,
                data_us: None,
                counts,
                generation,
                call: key(call),
            }),
            Said::Ended {
                backend: side,
                end,
                began_ms_ago,
                tenant: whose,
                duration_s,
                generation,
                counts,
                failed,
            } => Observation::Ended(Ended {
                at,
                began: ago(began_ms_ago),
                backend: backend(&side)?,
                tenant: tenant(whose),
                end: named(&CallEnd::ALL, CallEnd::name, &end)?,
                duration_s,
                generation,
                counts,
                failed,
            }),
            Said::Health {
                backend: side,
                answer,
                status,
                took_us,
            } => Observation::Health(Health {
                at,
                backend: backend(&side)?,
                answer: match (&*answer, status) {
                    ("well", _) => health::Answer::Well,
                    ("status", Some(status)) => health::Answer::Status(status),
                    (cause, _) => health::Answer::Missing(named(&Cause::ALL, Cause::name, cause)?),
                },
                took_us,
            }),
            Said::Rescued {
                route,
                call,
                from,
                why,
                result,
                counts,
            } => Observation::Rescued(Rescued {
                at,
                route,
                call: key(call),
                from: backend(&from)?,
                why: named(&Why::ALL, Why::name, &why)?,
                result: named(&RescueResult::ALL, RescueResult::name, &result)?,
                counts,
            }),
            Said::Report {
                backend: side,
                kind,
                value,
                tenant,
                id,
            } => {
                return Ok(What::Report(Report {
                    backend: backend(&side)?,
                    kind: report_kind(&kind, value)?,
                    tenant: tenant.map(|hex| TenantKey(hex.0)),
                    id: id.map(|id| id.0),
                }));
            }
            Said::State {
                epoch_us,
                spent,
                generation,
                percentage,
                latched,
                config,
            } => {
                return Ok(What::State(State {
                    epoch: Tick(epoch_us),
                    spent,
                    generation,
                    percentage: Percentage::new(percentage)
                        .ok_or_else(|| format!("{percentage} is no percentage"))?,
                    latched,
                    config: Arc::from(&*config),
                }));
            }
            Said::Lost { lines } => return Ok(What::Lost(lines)),
            Said::Tick { .. } | Said::Unknown => return Err("it says nothing".to_owned()),
        };
        Ok(What::Observation(observation))
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

fn backend(name: &str) -> Result<Backend, String> {
    Backend::from_name(name).ok_or_else(|| unknown(name))
}

/// The one of that name.
fn named<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str, word: &str) -> Result<T, String> {
    let found = all.iter().copied().find(|it| name(*it) == word);
    found.ok_or_else(|| unknown(word))
}

fn unknown(word: &str) -> String {
    let word: String = word.chars().take(40).collect();
    format!("`{word}` is no word of this version")
}
