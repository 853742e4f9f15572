//! Taking a configuration that was read again, and what the admin listener is given to look
//! at. A reload is checked whole and swapped in one step; anything wrong keeps
//! what runs.

use std::sync::Arc;

use super::conductor::Conductor;
use super::preview::{self, Moved};
use super::scheme;
use crate::admin::{Admin, Secret};
use crate::clock;
use crate::config::{self, Config, Diff, Loaded};
use crate::desk::{Reload, Reloaded};
use crate::engine::Event;
use crate::rollout::Reread;

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
    let moves_callers = !diff.refused.is_empty() && !wish.force;
    if moves_callers && !wish.dry_run {
        let what = diff.refused.join("; ");
        return Err(format!(
            "refused, because it would move callers: {what}. `switchback reload --force` takes it"
        ));
    }
    let reread = Reread {
        actor: wish.actor.clone(),
        reason: wish.reason.clone(),
        changed: told(&conductor.parts.config, &fresh, &diff),
    };
    let settings = super::engine_settings(&fresh);
    let (engine, table) = (&conductor.parts.engine, &conductor.parts.shared.table);
    let preview = engine.preview(&settings, clock::wall());
    let (mut changed, mut refused) = (diff.changed, preview.refused);
    if moves_callers {
        let asks = |what| format!("{what}: it would move callers, and needs --force");
        refused.extend(diff.refused.into_iter().map(asks));
    } else {
        changed.extend(diff.refused);
    }
    let redrawn = scheme::redrawn(
        (&conductor.parts.config.scheme, engine.split()),
        (&fresh.scheme, &preview.split),
    );
    let moved = Moved::between(&fresh, engine.split(), &preview.split);
    let reloaded = Reloaded {
        changed,
        refused,
        needs_force: moves_callers,
        redrawn,
        needs_restart: diff.needs_restart,
        tenants_moved: moved.as_ref().map(Moved::count),
        tenants: moved.as_ref().map(Moved::names).unwrap_or_default(),
        // They are pinned and stay; told is how many would be elsewhere if they began now.
        live_calls_moved: moved.as_ref().map(|moved| table.live_of(&moved.keys())),
        touched: preview::touched(&conductor.parts.config, &fresh, table.active()),
    };
    if !wish.dry_run {
        take(conductor, fresh, settings, reread);
    }
    Ok(reloaded)
}

/// What the journal is told to be different. What is only in force after a restart may be
/// so at every reload until then, and changes nothing yet: it is told beside what does.
fn told(old: &Config, new: &Config, diff: &Diff) -> Vec<String> {
    let mut told = diff.changed.clone();
    let (was, is) = (&old.scheme, &new.scheme);
    if was != is {
        // Without the salt, which the file's own words for it have in them.
        told.push(format!(
            "tenants are drawn by {}, not {}",
            is.told(),
            was.told()
        ));
    }
    if !told.is_empty() || old.hash != new.hash {
        let waits = |line: &String| format!("needs a restart: {line}");
        told.extend(diff.needs_restart.iter().map(waits));
    }
    told
}

fn take(
    conductor: &mut Conductor,
    mut fresh: Config,
    settings: crate::engine::Settings,
    reread: Reread,
) {
    // What needs a restart stays as it runs, so that a later comparison is honest.
    let running = &conductor.parts.config;
    fresh.listen = running.listen.clone();
    fresh.state.dir = running.state.dir.clone();
    fresh.state.keep = running.state.keep;
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
    parts.memory.lock().name_routes(parts.paths.clone());
    let effects = conductor.parts.engine.handle(
        Event::Reload(Box::new(settings), reread),
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
    conductor.parts.outside.configure(&fresh);
    conductor.carry_out(effects);
    conductor.parts.config = fresh;
}

/// What the admin listener needs, as handles and closures, so that it knows no
/// other adapter. `loopback`: only this machine can reach it.
pub(super) fn admin(conductor: &Conductor, loopback: bool) -> Admin {
    let parts = &conductor.parts;
    let listen = &parts.config.listen;
    let routing = Arc::clone(&parts.shared.routing);
    let table = Arc::clone(&parts.shared.table);
    let memory = Arc::clone(&parts.memory);
    let dir = parts.config.state.dir.clone();
    let kept = dir.clone();
    let emergency = Arc::clone(&parts.outside.emergency);
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
        restore: parts.outside.restore(),
        emergency: Arc::new(move || **emergency.load()),
        explain: Arc::new(move |asked| {
            let journal = || {
                crate::journal::read_all(&kept).unwrap_or_else(|error| {
                    tracing::warn!(%error, "The journal could not be read to explain a tenant.");
                    Vec::new()
                })
            };
            super::explain::explain(&asked, &routing.load(), &table, &memory, &journal)
        }),
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
