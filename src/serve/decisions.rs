//! The decision trace: one JSON line for everything that was decided, with what was known
//! when it was. `serve/logs.rs` writes it.
//!
//! Steps of the rollout always have a line. Where a call went and whether it was rescued
//! is told of the sampled calls, and of those whole: the sample is drawn by the call.
//!
//! No number, call id or digit stands in it: a call is named by its key, its tenant by a
//! keyed hash.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::access::{path, put, time};
use super::memory::Known;
use crate::measure::{Answered, Observation, Placed, Rescued};
use crate::model::{CallKey, TenantKey, Tick, Wall, mask_numbers};
use crate::rollout::{Entry, shown};

/// Calls that began and whose first answer, which tells whose they are, is awaited. What
/// is beyond is told without it.
const AWAITED: usize = 10_000;
/// How long that answer is awaited.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes the lines.
#[derive(Debug)]
pub(super) struct Trace {
    seed: u64,
    sample: f64,
    begun: HashMap<CallKey, Begun>,
}

/// What a batch's lines are made with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Then<'a> {
    pub(super) now: Tick,
    pub(super) wall: Wall,
    pub(super) routes: &'a [String],
    pub(super) known: &'a Known,
}

#[derive(Debug)]
struct Begun {
    placed: Placed,
    rules: Map<String, Value>,
    config: String,
    percentage: f64,
}

#[derive(Serialize)]
struct PlacedLine<'a> {
    time: String,
    what: &'static str,
    call: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    backend: &'static str,
    because: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
    percentage: f64,
    rules: &'a Map<String, Value>,
    config: &'a str,
}

#[derive(Serialize)]
struct RescuedLine<'a> {
    time: String,
    what: &'static str,
    call: String,
    route: &'a str,
    from: &'static str,
    why: &'static str,
    result: &'static str,
    rules: Map<String, Value>,
    config: &'a str,
}

#[derive(Serialize)]
struct EntryLine<'a> {
    time: String,
    what: &'static str,
    sequence: u64,
    action: &'a str,
    actor: String,
    reason: String,
    said: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tenants: Vec<String>,
    phase: [&'static str; 2],
    percentage: [f64; 2],
    latched: [bool; 2],
    generation: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<Saw<'a>>,
    rules: Map<String, Value>,
    config: &'a str,
}

#[derive(Serialize)]
struct Saw<'a> {
    rule: &'a str,
    measure: &'a str,
    over_secs: u64,
    value: Option<f64>,
    legacy: Option<f64>,
    threshold: Option<f64>,
    samples: u64,
    failed: u64,
    early: Option<f64>,
}

impl Trace {
    /// Traces this share of calls, 0..=1.
    pub(super) fn new(seed: u64, sample: f64) -> Self {
        Self {
            seed,
            sample,
            begun: HashMap::new(),
        }
    }

    /// Does it look at such an observation at all?
    pub(super) const fn takes(observation: &Observation) -> bool {
        match observation {
            Observation::Placed(it) => it.begins,
            Observation::Answered(_) | Observation::Rescued(_) => true,
            _ => false,
        }
    }

    /// The lines of a batch, the steps of the rollout first.
    pub(super) fn write(
        &mut self,
        into: &mut Vec<u8>,
        observations: &[Observation],
        entries: &[Entry],
        then: &Then<'_>,
    ) {
        entries.iter().for_each(|it| put(into, &entry(it, then)));
        for observation in observations {
            match observation {
                Observation::Placed(it) => self.placed(into, it, then),
                Observation::Answered(it) => self.answered(into, it, then),
                Observation::Rescued(it) => self.rescued(into, it, then),
                _ => {}
            }
        }
        // Seldom more than a handful: only of calls that began in the last minute and were
        // not answered yet.
        let late = |_: &CallKey, it: &mut Begun| then.now.since(it.placed.at) > PATIENCE;
        for (call, begun) in self.begun.extract_if(late) {
            put(into, &begun.line(call, None, None, then));
        }
    }

    /// Tells what still waits, before the end.
    pub(super) fn finish(&mut self, into: &mut Vec<u8>, now: Tick, wall: Wall) {
        for (call, begun) in self.begun.drain() {
            let at = time(begun.placed.at, now, wall);
            put(into, &begun.line_at(at, call, None, None));
        }
    }

    /// Is this call traced? Always the same answer for the same call.
    fn samples(&self, call: CallKey) -> bool {
        if self.sample >= 1.0 {
            return true;
        }
        // The key is a hash, but others draw by it as well.
        let drawn = xxh3_64_with_seed(&call.0.to_le_bytes(), self.seed);
        #[expect(
            clippy::cast_precision_loss,
            reason = "half a billionth of a share is no matter"
        )]
        let drawn = drawn as f64 / u64::MAX as f64;
        drawn < self.sample
    }

    fn placed(&mut self, into: &mut Vec<u8>, placed: &Placed, then: &Then<'_>) {
        let Some(call) = placed.call.filter(|call| self.samples(*call)) else {
            return;
        };
        if !placed.begins {
            return;
        }
        let begun = Begun {
            placed: *placed,
            rules: rules(then.known),
            config: then.known.config.to_string(),
            percentage: then.known.percentage.as_f64(),
        };
        if self.begun.len() >= AWAITED {
            return put(into, &begun.line(call, None, None, then));
        }
        self.begun.insert(call, begun);
    }

    /// The first answer to a call tells whose it is, and under which generation it was placed.
    fn answered(&mut self, into: &mut Vec<u8>, answered: &Answered, then: &Then<'_>) {
        if self.begun.is_empty() {
            return;
        }
        let found = (answered.call).and_then(|call| self.begun.remove_entry(&call));
        let Some((call, begun)) = found else { return };
        let tenant = answered.voice.map(|voice| voice.tenant);
        let tenant = tenant.filter(|key| *key != TenantKey::NONE);
        let tenant = tenant.map(|key| {
            // Keyed: the plain hash of a number is as good as the number.
            let hash = xxh3_64_with_seed(&key.0.to_le_bytes(), self.seed);
            format!("{hash:016x}")
        });
        let line = begun.line(call, tenant, Some(answered.generation), then);
        put(into, &line);
    }

    fn rescued(&self, into: &mut Vec<u8>, it: &Rescued, then: &Then<'_>) {
        let Some(call) = it.call.filter(|call| self.samples(*call)) else {
            return;
        };
        let line = RescuedLine {
            time: time(it.at, then.now, then.wall),
            what: "rescued",
            call: hex(call),
            route: path(it.route, then.routes),
            from: it.from.name(),
            why: it.why.name(),
            result: it.result.name(),
            rules: rules(then.known),
            config: &then.known.config,
        };
        put(into, &line);
    }
}

impl Begun {
    fn line(
        &self,
        call: CallKey,
        tenant: Option<String>,
        generation: Option<u64>,
        then: &Then<'_>,
    ) -> PlacedLine<'_> {
        let at = time(self.placed.at, then.now, then.wall);
        self.line_at(at, call, tenant, generation)
    }

    fn line_at(
        &self,
        time: String,
        call: CallKey,
        tenant: Option<String>,
        generation: Option<u64>,
    ) -> PlacedLine<'_> {
        PlacedLine {
            time,
            what: "placed",
            call: hex(call),
            tenant,
            backend: self.placed.placement.backend.name(),
            because: self.placed.placement.because.name(),
            generation,
            percentage: self.percentage,
            rules: &self.rules,
            config: &self.config,
        }
    }
}

fn entry<'a>(it: &'a Entry, then: &Then<'a>) -> EntryLine<'a> {
    let (before, after) = (&it.before, &it.after);
    EntryLine {
        time: time(then.now, then.now, it.stamp.at),
        what: "entry",
        sequence: it.stamp.sequence,
        action: it.action.name(),
        actor: mask_numbers(&it.actor),
        reason: mask_numbers(&it.reason),
        said: mask_numbers(&it.said()),
        tenants: after.tenants.keys().map(|id| shown(id)).collect(),
        phase: [before.phase.name(), after.phase.name()],
        percentage: [before.percentage.as_f64(), after.percentage.as_f64()],
        latched: [before.latched, after.latched],
        generation: it.generation,
        evidence: it.evidence.as_ref().map(|saw| Saw {
            rule: &saw.rule,
            measure: &saw.measure,
            over_secs: saw.over_secs,
            value: saw.value,
            legacy: saw.legacy,
            threshold: saw.threshold,
            samples: saw.samples,
            failed: saw.failed,
            early: saw.early,
        }),
        rules: rules(then.known),
        config: &then.known.config,
    }
}

/// What the rows said then, by their names.
fn rules(known: &Known) -> Map<String, Value> {
    let row = |row: &super::memory::Row| (row.rule.to_string(), Value::from(row.value));
    known.rows.iter().map(row).collect()
}

fn hex(call: CallKey) -> String {
    format!("{:016x}", call.0)
}

#[cfg(test)]
mod tests;
