//! Reading the configuration again, and what the admin listener is given to look
//! at. A reload is checked whole and swapped in one step; anything wrong keeps
//! what runs.

use std::sync::Arc;

use super::conductor::Conductor;
use crate::admin::Admin;
use crate::clock;
use crate::config::{self, Config};
use crate::desk::{Reload, Reloaded};
use crate::engine::Event;
use crate::model::CallKey;
use crate::proxy::settings::Settings;
use crate::split::tenants::Unlisted;
use crate::split::{Split, Subject, Tenant};

/// Reads the file and takes it, or says what it would change.
pub(super) fn reload(conductor: &mut Conductor, wish: &Reload) -> Result<Reloaded, String> {
    let Some(path) = conductor.parts.path.clone() else {
        return Err("this process was started without a configuration file".to_owned());
    };
    let loaded = config::load(&path).map_err(|report| report.to_string())?;
    let fresh = loaded.config;
    let diff = config::diff(&conductor.parts.config, &fresh);
    if !diff.refused.is_empty() && !wish.force {
        return Err(format!("refused unless forced, because it would move callers: {}", diff.refused.join("; ")));
    }
    let settings = super::engine_settings(&fresh);
    let preview = conductor.parts.engine.preview(&settings, clock::wall());
    let reloaded = Reloaded {
        changed: diff.changed,
        refused: preview.refused,
        needs_restart: diff.needs_restart,
        tenants_moved: tenants_moved(&fresh, conductor.parts.engine.split(), &preview.split),
        // Live calls are pinned: a reload moves none of them.
        live_calls_moved: 0,
    };
    if !wish.dry_run {
        take(conductor, fresh, settings);
    }
    Ok(reloaded)
}

fn take(conductor: &mut Conductor, mut fresh: Config, settings: crate::engine::Settings) {
    // What needs a restart stays as it runs, so that a later comparison is honest.
    let running = &conductor.parts.config;
    fresh.webhooks.clone_from(&running.webhooks);
    fresh.admin = running.admin;
    fresh.metrics = running.metrics;
    fresh.state_dir.clone_from(&running.state_dir);
    conductor.parts.metrics.configured(&crate::metrics::Shape::of(&fresh.edge, &fresh.rules));
    let effects = conductor.parts.engine.handle(Event::Reload(Box::new(settings)), clock::tick(), clock::wall());
    // Routes and backends first: a split that names a new tenant finds its route.
    let edge = Arc::new(fresh.edge.clone());
    conductor.route(|routing| routing.settings = edge);
    conductor.carry_out(effects);
    conductor.parts.config = fresh;
}

/// How many tenants of the directory would find another backend for their next call.
fn tenants_moved(config: &Config, before: &Split, after: &Split) -> Option<u64> {
    let directory = config.edge.directory.as_ref()?;
    let moved = directory.tenants().into_iter().filter(|tenant| {
        let subject = Subject { tenant: Tenant::Known(tenant), call: "", caller: None };
        before.place(&subject).backend != after.place(&subject).backend
    });
    Some(moved.count() as u64)
}

/// What the admin listener needs, as handles and closures, so that it knows no
/// other adapter.
pub(super) fn admin(conductor: &Conductor) -> Admin {
    let parts = &conductor.parts;
    let routing = Arc::clone(&parts.shared.routing);
    let table = Arc::clone(&parts.shared.table);
    let dir = parts.config.state_dir.clone();
    let workers_up = Arc::clone(&parts.status);
    Admin {
        status: Arc::clone(&parts.status),
        desk: parts.desk.clone(),
        metrics: Arc::clone(&parts.metrics),
        journal: Arc::new(move |count| crate::journal::tail(&dir, count)),
        explain: Arc::new(move |query| {
            let routing = routing.load_full();
            crate::admin::explain(query, &routing.split, &routing.settings, &table)
        }),
        ready: Arc::new(move || if workers_up.load().at.0 > 0 { Ok(()) } else { Err("the engine has not looked yet".to_owned()) }),
        token: parts.config.admin_token.clone(),
        loopback: parts.config.admin.ip().is_loopback(),
    }
}

#[expect(dead_code, reason = "placeholder")]
fn _unused(_: CallKey, _: &Settings, _: Unlisted) {}
