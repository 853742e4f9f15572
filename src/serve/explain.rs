//! Why a call went where it went: by tenant, where its next one would go; by call, what
//! became of each of its webhooks. The same answer can be had without a running process,
//! from the configuration and the journal.

use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::access;
use super::memory::{Answer, Memory, Webhook};
use crate::admin::Subject as Asked;
use crate::breaker;
use crate::clock;
use crate::config::Config;
use crate::measure::{Kind, Outcome};
use crate::model::{Backend, CallKey, Tick, Wall, mask_numbers};
use crate::proxy::Routing;
use crate::rollout::{Action, Entry, Listed, Rollout, shown};
use crate::split::tenants::{Directory, Unlisted, e164, tenant};
use crate::split::{Because, By, Explanation, Split, Subject, Tenant};
use crate::table::{Table, View};

/// Where a tenant's next call goes, or where a call is, and why. `journal` reads what is kept
/// of it, and is asked only where it can tell how a tenant came to be on a list.
pub(super) fn explain(
    asked: &Asked,
    routing: &Routing,
    table: &Table,
    memory: &Mutex<Memory>,
    journal: &dyn Fn() -> Vec<Entry>,
) -> Option<Value> {
    match asked {
        Asked::Call(call) => {
            let (now, wall) = (clock::tick(), clock::wall());
            call_explained(table.find(call), table.key(call), &memory.lock(), now, wall)
        }
        Asked::Tenant(key) => {
            let settings = &routing.settings;
            let told = Told::of(
                key,
                settings.directory.as_deref(),
                settings.unlisted,
                &routing.split,
            );
            let mut value = told.value(&routing.split);
            if told.is_listed(&routing.split) {
                value["listed"] = listed(&told.tenant, &journal()).into();
            }
            let may_be_new = told.apart.is_some() || told.is_new();
            value["new_breaker"] = new_breaker(routing.breakers.new, may_be_new).into();
            Some(value)
        }
    }
}

/// Where a tenant's next call would go by a configuration and a journal, with nobody asked
/// who runs. `latched`: what the latch file says, which outranks the journal.
pub(crate) fn offline(
    key: &str,
    config: &Config,
    entries: &[Entry],
    latched: Option<&str>,
) -> Value {
    let mut rollout = Rollout::fold(entries);
    if let Some(entry) = latched.and_then(|why| rollout.latched_at_start(why, clock::wall())) {
        rollout.apply(&entry);
    }
    let split = rollout.split(&config.scheme);
    let proxy = &config.proxy;
    let asked = |split| Told::of(key, proxy.directory.as_deref(), proxy.unlisted, split);
    let told = asked(&split);
    let mut value = told.value(&split);
    if told.is_listed(&split) {
        value["listed"] = listed(&told.tenant, entries).into();
    }
    value["offline"] = true.into();
    value["config"] = super::engine_settings(config).config_hash.into();
    value["journal_entries"] = entries.len().into();
    // A start takes what the file wishes for and did not wish for before.
    let wished = rollout.wishes(
        &config.wishes,
        config.state.on_empty == crate::config::OnEmpty::File,
        clock::wall(),
    );
    wished.entries.iter().for_each(|it| rollout.apply(it));
    let after = rollout.split(&config.scheme);
    let then = asked(&after);
    if then.explanation.placement != told.explanation.placement {
        let placement = then.explanation.placement;
        value["after_a_start"] = json!({
            "backend": placement.backend.name(),
            "because": placement.because.name(),
        });
    }
    value
}

/// How a tenant came to be on its list, by whom and when, as far as the journal tells.
fn listed(id: &str, entries: &[Entry]) -> Option<String> {
    let before = |entry: &Entry| entry.before.tenants.get(id).copied().flatten();
    // What names it as it was has not put it there.
    let names = |entry: &&Entry| {
        let after = entry.after.tenants.get(id);
        after.is_some_and(|after| *after != before(entry))
    };
    let entry = entries.iter().rev().find(names)?;
    let how = match entry.after.tenants.get(id).copied().flatten()? {
        Listed::Enabled => "enabled",
        Listed::Disabled => "disabled",
        Listed::RolledBack => "rolled back",
        Listed::Picked => "picked for a stage",
        Listed::Later => "kept for a later stage",
    };
    if matches!(entry.action, Action::Checkpoint(_)) {
        return Some(format!("{how}, before the journal that is kept begins"));
    }
    let at = jiff::Timestamp::from_millisecond(entry.stamp.at.0).ok()?;
    let at = at.strftime("%Y-%m-%dT%H:%M:%SZ");
    Some(format!(
        "{how} at {at} by {}",
        mask_numbers(&entry.because())
    ))
}

/// New's breaker, and what it means for a call that may be placed there.
const fn new_breaker(state: breaker::State, may_be_new: bool) -> &'static str {
    match state {
        breaker::State::Open if may_be_new => {
            "open: a call that begins now goes straight to legacy (rescued)"
        }
        breaker::State::HalfOpen if may_be_new => {
            "half-open: one call at a time tries new, the others go straight to legacy (rescued)"
        }
        state => state.name(),
    }
}

/// What the table and the memory have of a call; None if neither knows it.
fn call_explained(
    view: Option<View>,
    asked: CallKey,
    memory: &Memory,
    now: Tick,
    wall: Wall,
) -> Option<Value> {
    // By another of its ids it stands under the key it began with.
    let key = view.map_or(asked, |view| view.key);
    let (webhooks, before) = memory.webhooks(&[key, asked]);
    let mut value = match view {
        Some(view) => viewed(&view, now),
        None if webhooks.is_empty() => return None,
        // Its pin has expired; what happened is still known.
        None => json!({ "call": hex(asked), "ended": true }),
    };
    let webhooks: Vec<Value> = (webhooks.iter())
        .map(|it| webhook(it, memory, now, wall))
        .collect();
    value["webhooks"] = webhooks.into();
    if before > 0 {
        value["webhooks_before"] = before.into();
    }
    Some(value)
}

fn hex(key: CallKey) -> String {
    format!("{:016x}", key.0)
}

fn viewed(view: &View, now: Tick) -> Value {
    json!({
        "call": hex(view.key),
        "backend": view.backend.name(),
        "because": view.because.name(),
        "generation": view.generation,
        "provisional": view.provisional,
        "started": view.started,
        "leg": view.leg,
        "outbound": view.outbound,
        "served": view.served,
        "ended": view.ended.is_some(),
        "ended_as": view.ended.map(|_| ended_as(view)),
        "began_secs_ago": now.since(view.began).as_secs(),
        "last_seen_secs_ago": now.since(view.seen).as_secs(),
    })
}

/// How a call ended, as far as the table remembers.
const fn ended_as(view: &View) -> &'static str {
    if view.served {
        "served"
    } else if view.failed {
        "not served; a webhook of it had failed"
    } else {
        "not known to be served"
    }
}

/// One webhook as one backend was asked it.
fn webhook(it: &Webhook, memory: &Memory, now: Tick, wall: Wall) -> Value {
    let mut told = Map::new();
    let mut put = |name: &str, value: Value| told.insert(name.to_owned(), value);
    put(
        "time",
        access::time(now, now, memory.wall(it.at, wall)).into(),
    );
    if let Some(route) = it.route {
        put("route", memory.route(route).into());
    }
    if let Some(placement) = it.placement {
        put("backend", placement.backend.name().into());
        put("because", placement.because.name().into());
    }
    if it.begins {
        put("begins", true.into());
    }
    match &it.answer {
        Some(answer) => {
            put("backend", answer.backend.name().into());
            put("kind", answer.kind.name().into());
            put("outcome", answer.outcome.name().into());
            put("document", document(answer).into());
            let latency = answer.latency_us.map(|us| f64::from(us) / 1000.0);
            put("latency_ms", latency.into());
            put("generation", answer.generation.into());
            if !answer.counts {
                put("counted", false.into());
            }
        }
        // It is on its way, or was moved before anybody was asked.
        None => drop(put("outcome", Value::Null)),
    }
    if let Some(rescue) = it.rescue {
        let rescue = json!({ "why": rescue.why.name(), "result": rescue.result.name() });
        put("rescue", rescue);
    }
    if let Some(known) = &it.known {
        let row = |row: &super::memory::Row| {
            json!({
                "rule": &*row.rule,
                "measure": row.measure.name(),
                "value": row.value,
                "threshold": Some(row.threshold).filter(|it| it.is_finite()),
            })
        };
        let rows: Vec<Value> = known.rows.iter().map(row).collect();
        put("rules", rows.into());
        put("percentage", known.percentage.as_f64().into());
        put("config", (&*known.config).into());
    }
    told.into()
}

/// What its document was found to be; None where none was judged.
fn document(answer: &Answer) -> Option<&'static str> {
    match (answer.flaw, answer.kind, answer.outcome) {
        (Some(flaw), ..) => Some(flaw.name()),
        (None, Kind::Voice, Outcome::Served) => Some("sound"),
        (None, ..) => None,
    }
}

/// What the split says of a tenant.
struct Told {
    explanation: Explanation,
    /// Where each call or caller is hashed for itself, a tenant alone decides nothing
    /// unless a flag or a list does.
    apart: Option<&'static str>,
    tenant: String,
}

impl Told {
    /// Asks for the tenant of a key as webhooks carry it, or for a tenant by its own name.
    fn of(key: &str, directory: Option<&Directory>, unlisted: Unlisted, split: &Split) -> Self {
        // As a webhook's number would be, whose punctuation means nothing.
        let key = &*e164(key);
        let listed = tenant(Some(key), directory, unlisted);
        // An operator may ask by the tenant's own name as well as by a key of it.
        let named = directory.is_some_and(|directory| directory.tenants().any(|name| name == key));
        let whose = if named { Tenant::Known(key) } else { listed };
        let explanation = split.explain(&Subject {
            tenant: whose,
            call: None,
            caller: None,
        });
        let apart = match (split.scheme.by, explanation.placement.because) {
            (By::Call, Because::Hashed | Because::Unplaced) => Some("hashed for each call"),
            (By::Caller, Because::Hashed | Because::Unplaced) => Some("hashed for each caller"),
            _ => None,
        };
        let tenant = match whose {
            Tenant::Known(name) => name,
            Tenant::Unlisted => "unlisted",
            Tenant::Missing => "none",
        };
        Self {
            explanation,
            apart,
            tenant: tenant.to_owned(),
        }
    }

    fn is_listed(&self, split: &Split) -> bool {
        [&split.enabled_tenants, &split.disabled_tenants]
            .iter()
            .any(|list| list.contains(&*self.tenant))
    }

    fn is_new(&self) -> bool {
        self.explanation.placement.backend == Backend::New
    }

    fn value(&self, split: &Split) -> Value {
        let told = &self.explanation;
        let asked = told.steps.len() - usize::from(self.apart.is_some());
        let steps: Vec<_> = told
            .steps
            .iter()
            .take(asked)
            .map(|step| json!({ "asked": step.asked.question(), "answer": step.yes }))
            .collect();
        json!({
            "tenant": shown(&self.tenant),
            "backend": self.apart.is_none().then(|| told.placement.backend.name()),
            "because": self.apart.unwrap_or_else(|| told.placement.because.name()),
            "bucket": told
                .bucket
                .filter(|_| self.apart.is_none())
                .map(|bucket| json!({ "number": bucket.number, "of": bucket.of })),
            "percentage": split.percentage.as_f64(),
            "generation": split.generation,
            "steps": steps,
        })
    }
}

#[cfg(test)]
mod tests;
