//! Taking a configuration that was read again, and what the admin listener is given to look
//! at. A reload is checked whole and swapped in one step; anything wrong keeps
//! what runs.

use std::sync::Arc;

use serde_json::{Value, json};

use super::conductor::Conductor;
use crate::admin::{Admin, Secret, Subject as Asked};
use crate::breaker;
use crate::clock;
use crate::config::{self, Config, Loaded};
use crate::desk::{Reload, Reloaded};
use crate::engine::Event;
use crate::model::Backend;
use crate::proxy::Routing;
use crate::split::tenants::{e164, tenant};
use crate::split::{Because, By, Split, Subject, Tenant};
use crate::table::{Table, View};

/// Takes the file as it was read, or says what it would change.
pub(super) fn reload(
    conductor: &mut Conductor,
    wish: &Reload,
    loaded: Result<Loaded, String>,
) -> Result<Reloaded, String> {
    if conductor.parts.signals == super::Signals::Ignored {
        return Err("the demo has no configuration file to read again".to_owned());
    }
    let fresh = loaded?.config;
    let diff = config::diff(&conductor.parts.config, &fresh);
    if !diff.refused.is_empty() && !wish.force {
        let what = diff.refused.join("; ");
        return Err(format!(
            "refused, because it would move callers: {what}. `switchback reload --force` takes it"
        ));
    }
    let settings = super::engine_settings(&fresh);
    let engine = &conductor.parts.engine;
    let preview = engine.preview(&settings, clock::wall());
    // Here only if it was forced.
    let changed = diff.changed.into_iter().chain(diff.refused).collect();
    let reloaded = Reloaded {
        changed,
        refused: preview.refused,
        needs_restart: diff.needs_restart,
        tenants_moved: tenants_moved(&fresh, engine.split(), &preview.split),
        // Live calls are pinned: a reload moves none of them.
        live_calls_moved: Some(0),
    };
    if !wish.dry_run {
        take(conductor, fresh, settings);
    }
    Ok(reloaded)
}

fn take(conductor: &mut Conductor, mut fresh: Config, settings: crate::engine::Settings) {
    // What needs a restart stays as it runs, so that a later comparison is honest.
    let running = &conductor.parts.config;
    fresh.listen = running.listen.clone();
    fresh.state.dir = running.state.dir.clone();
    fresh.log = running.log.clone();
    fresh.proxy.limits.calls = running.proxy.limits.calls;
    fresh.proxy.limits.connections = running.proxy.limits.connections;
    fresh.proxy.short = running.proxy.short;
    let parts = &mut conductor.parts;
    fresh.proxy.number_routes(&mut parts.paths);
    parts
        .metrics
        .configure(&super::as_strs(&parts.paths), &fresh.rules);
    parts.engine.name_routes(parts.paths.clone());
    let effects = conductor.parts.engine.handle(
        Event::Reload(Box::new(settings)),
        clock::tick(),
        clock::wall(),
    );
    // Routes and backends first: a split that names a new tenant finds its route.
    let edge = Arc::new(super::edge(&fresh));
    let tokens = Arc::new(super::tokens(&fresh, conductor.parts.seed));
    let gates = &conductor.parts.shared.gates;
    gates.resize(&edge.caps(), edge.limits.rescues);
    conductor.route(|routing| {
        routing.settings = edge;
        routing.tokens = tokens;
    });
    conductor.carry_out(effects);
    conductor.parts.config = fresh;
}

/// How many tenants of the directory would find another backend for their next call.
fn tenants_moved(config: &Config, before: &Split, after: &Split) -> Option<u64> {
    let directory = config.proxy.directory.as_ref()?;
    let side = |split: &Split, tenant| {
        split
            .place(&Subject {
                tenant: Tenant::Known(tenant),
                call: None,
                caller: None,
            })
            .backend
    };
    let moved = directory
        .tenants()
        .filter(|tenant| side(before, tenant) != side(after, tenant));
    Some(moved.count() as u64)
}

/// What the admin listener needs, as handles and closures, so that it knows no
/// other adapter. `loopback`: only this machine can reach it.
pub(super) fn admin(conductor: &Conductor, loopback: bool) -> Admin {
    let parts = &conductor.parts;
    let listen = &parts.config.listen;
    let routing = Arc::clone(&parts.shared.routing);
    let table = Arc::clone(&parts.shared.table);
    let dir = parts.config.state.dir.clone();
    Admin {
        status: Arc::clone(&parts.status),
        desk: parts.desk.clone(),
        metrics: Arc::clone(&parts.metrics),
        journal: Arc::new(move |count| {
            crate::journal::tail(&dir, count).unwrap_or_else(|error| {
                tracing::warn!(%error, "The journal could not be read for the API.");
                Vec::new()
            })
        }),
        explain: Arc::new(move |asked| explain(&asked, &routing.load(), &table)),
        // It is bound to answer only after every listener is open and the state read.
        ready: Arc::new(|| Ok(())),
        token: listen
            .admin_token
            .as_ref()
            .and_then(|token| Secret::new(token.expose())),
        loopback,
        hosts: Vec::new(),
    }
}

/// Where a tenant's next call goes, or where a call is, and why.
fn explain(asked: &Asked, routing: &Routing, table: &Table) -> Option<Value> {
    match asked {
        Asked::Call(call) => Some(call_explained(&table.find(call)?)),
        Asked::Tenant(key) => Some(tenant_explained(key, routing)),
    }
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

fn call_explained(view: &View) -> Value {
    let now = clock::tick();
    json!({
        "call": format!("{:016x}", view.key.0),
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

fn tenant_explained(key: &str, routing: &Routing) -> Value {
    let settings = &routing.settings;
    // As a webhook's number would be, whose punctuation means nothing.
    let key = &*e164(key);
    let listed = tenant(Some(key), settings.directory.as_deref(), settings.unlisted);
    // An operator may ask by the tenant's own name as well as by a key of it.
    let named = settings
        .directory
        .as_ref()
        .is_some_and(|directory| directory.tenants().any(|name| name == key));
    let whose = if named { Tenant::Known(key) } else { listed };
    let told = routing.split.explain(&Subject {
        tenant: whose,
        call: None,
        caller: None,
    });
    // Where each call or caller is hashed for itself, a tenant alone decides nothing
    // unless a flag or a list does.
    let apart = match (routing.split.scheme.by, told.placement.because) {
        (By::Call, Because::Hashed | Because::Unplaced) => Some("hashed for each call"),
        (By::Caller, Because::Hashed | Because::Unplaced) => Some("hashed for each caller"),
        _ => None,
    };
    let asked = told.steps.len() - if apart.is_some() { 1 } else { 0 };
    let steps: Vec<_> = told
        .steps
        .iter()
        .take(asked)
        .map(|step| json!({ "asked": step.asked.question(), "answer": step.yes }))
        .collect();
    json!({
        "tenant": match whose {
            Tenant::Known(name) => name,
            Tenant::Unlisted => "unlisted",
            Tenant::Missing => "none",
        },
        "backend": apart.is_none().then(|| told.placement.backend.name()),
        "because": apart.unwrap_or_else(|| told.placement.because.name()),
        "bucket": told
            .bucket
            .filter(|_| apart.is_none())
            .map(|bucket| json!({ "number": bucket.number, "of": bucket.of })),
        "percentage": routing.split.percentage.as_f64(),
        "generation": routing.split.generation,
        "new_breaker": new_breaker(
            routing.breakers.new,
            apart.is_some() || told.placement.backend == Backend::New,
        ),
        "steps": steps,
    })
}
