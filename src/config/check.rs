//! What does not fit together, though each line alone is well written.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::file::Draft;
use super::problem::{Problem, Problems, nearest};
use super::text::Span;
use super::walk::{At, named, shown};
use super::{edge, file, hooks, levels, plan};
use crate::measure::scorecard::Mature;
use crate::model::Backend;
use crate::rollout::List;
use crate::rules::{Action, Measure, Side, Unit};
use crate::split::Live;
use crate::split::tenants::{Unlisted, e164};

/// Runs every check. `tenants`: the tenants the directory names, if there is one
/// and it could be read.
pub(super) fn run(draft: &Draft, tenants: Option<&BTreeSet<String>>, problems: &Problems) {
    let add = |problem: Problem| problems.add(problem.follows());
    addresses(draft, &add);
    admin_token(draft, &add);
    backends(draft, &add);
    edge::run(draft, &add);
    paths(draft, &add);
    calls(draft, &add);
    timeouts(draft, &add);
    names(draft, &add);
    guards(draft, &add);
    reversal(draft, &add);
    moving(draft, &add);
    lists(draft, &add);
    known_tenants(draft, tenants, &add);
    plan::check(draft, &add);
    hooks::check(draft, &add);
    levels::check(draft, &add);
}

/// Puts one problem on the pile.
pub(super) type Add<'a> = dyn Fn(Problem) + 'a;

fn addresses(draft: &Draft, add: &Add<'_>) {
    let listen = &draft.listen;
    let mut taken: Vec<(&str, &At<SocketAddr>)> = Vec::new();
    let all = (listen.webhooks.iter().map(|at| ("webhooks", at)))
        .chain(listen.admin.iter().map(|at| ("admin", at)))
        .chain(listen.metrics.iter().map(|at| ("metrics", at)));
    for (name, at) in all {
        if let Some((other, first)) = taken.iter().find(|(_, first)| meet(first.value, at.value)) {
            // One of two that meet may be a default, which has no line to point at.
            let span = at.span.clone().or_else(|| first.span.clone());
            let message = format!("`{name}` {} meets `{other}` {}", at.value, first.value);
            add(Problem::error(span, message).help("give each its own address or port"));
        }
        taken.push((name, at));
    }
}

/// Two listeners cannot both have these. Port 0 is a new port each time.
fn meet(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port()
        && one.port() != 0
        && one.is_ipv4() == other.is_ipv4()
        && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
}

fn admin_token(draft: &Draft, add: &Add<'_>) {
    let Some(admin) = &draft.listen.admin else {
        return;
    };
    if draft.listen.token_named || admin.value.ip().to_canonical().is_loopback() {
        return;
    }
    let message = format!("a public admin address ({}) needs a token", admin.value);
    add(Problem::error(admin.span.clone(), message).help(
        "add admin_token = { env = \"SWITCHBACK_TOKEN\" }, or listen on 127.0.0.1; \
         for a scraper alone there is `metrics`",
    ));
}

fn backends(draft: &Draft, add: &Add<'_>) {
    let backend = |side| {
        let backend: Option<&file::Backend> = draft.backends[side].as_ref();
        backend.map(|backend| &backend.upstream)
    };
    let (legacy, new) = (backend(Backend::Legacy), backend(Backend::New));
    if let (Some(legacy), Some(new)) = (legacy, new)
        && (&legacy.value.host, legacy.value.port) == (&new.value.host, new.value.port)
    {
        let message = "both backends are the same address: nothing would be migrated";
        add(Problem::warning(new.span.clone(), message));
    }
    for backend in [legacy, new].into_iter().flatten() {
        // Other names may lead here too, but a check asks no name server.
        let ip = match backend.value.host.as_str() {
            "localhost" => IpAddr::from([127, 0, 0, 1]),
            host => match host.parse() {
                Ok(ip) => ip,
                Err(_) => continue,
            },
        };
        let at = SocketAddr::new(ip, backend.value.port);
        let own = draft.listen.webhooks.iter();
        if own.map(|own| own.value).any(|own| {
            own == at || (own.port() == at.port() && own.ip().is_unspecified() && ip.is_loopback())
        }) {
            let message =
                format!("{at} is where Switchback itself listens: webhooks would go round");
            add(Problem::error(backend.span.clone(), message).help("name the backend's own port"));
        }
    }
}

fn paths(draft: &Draft, add: &Add<'_>) {
    let mut known: BTreeMap<&str, ()> = BTreeMap::new();
    for route in &draft.routes {
        let Some(path) = &route.path else { continue };
        if known.insert(&path.value, ()).is_some() {
            let message = format!("two routes have the path `{}`", shown(&path.value));
            add(Problem::error(path.span.clone(), message)
                .help("one path has one protocol: remove one of them"));
        }
        let below = format!("{}/", path.value.trim_end_matches('/'));
        for served in &route.served {
            let above = format!("{}/", served.value.trim_end_matches('/'));
            if below.starts_with(&above) {
                let message = "every webhook of this route reaches this `served` path";
                add(Problem::warning(served.span.clone(), message).help(
                    "every call would count as served, and none as abandoned: name the path of those who \
                     got what they called for",
                ));
                continue;
            }
            if !served.value.starts_with(&below) {
                let message = format!(
                    "`served` path `{}` is not below `{}`, so this route never sees it",
                    shown(&served.value),
                    shown(&path.value)
                );
                add(Problem::warning(served.span.clone(), message));
            }
        }
    }
}

fn calls(draft: &Draft, add: &Add<'_>) {
    let (Some(short), Some(mature)) = (&draft.short, &draft.mature) else {
        return;
    };
    let least = match mature.value {
        Mature::After(span) => span,
        // Auto is never less.
        Mature::Auto => Duration::from_secs(600),
    };
    if short.value >= least {
        let message = format!(
            "`short` ({}) must be less than `mature` ({})",
            Span(short.value),
            match mature.value {
                Mature::After(span) => Span(span).to_string(),
                Mature::Auto => "auto: at least 10m".to_owned(),
            }
        );
        let span = short.span.clone().or_else(|| mature.span.clone());
        add(Problem::error(span, message).help("`short` is a few seconds, for example \"5s\""));
    }
}

fn timeouts(draft: &Draft, add: &Add<'_>) {
    let shortest = (draft.routes.iter())
        .filter_map(|route| Some((route.timeout.as_ref()?.value, route)))
        .min_by_key(|(timeout, _)| *timeout);
    let Some((timeout, route)) = shortest else {
        return;
    };
    let rows = (draft.rows.iter()).map(|row| (&row.rule, &row.threshold_span));
    let gates = plan::all_gates(draft).map(|gate| (&gate.rule, &gate.threshold_span));
    for (rule, span) in rows.chain(gates) {
        // Of a relative threshold nobody knows yet what it will be.
        if rule.measure.unit() != Unit::Millis || rule.side != Side::Above || rule.against.is_some()
        {
            continue;
        }
        if rule.threshold < timeout.as_secs_f64() * 1000.0 {
            continue;
        }
        let path = route.path.as_ref().map_or("?", |path| path.value.as_str());
        let message = format!(
            "no answer on `{}` can take this long: its `timeout` is {}",
            shown(path),
            Span(timeout)
        );
        add(Problem::error(Some(span.clone()), message)
            .help("lower the threshold, or raise the route's `timeout` above it"));
    }
}

fn names(draft: &Draft, add: &Add<'_>) {
    let mut known = BTreeSet::new();
    for row in &draft.rows {
        let name = row.rule.name.as_str();
        if !known.insert(name) {
            let (message, help) = if row.name_made {
                (
                    format!("this row says the same as another (`{name}`)"),
                    "remove it, or give it a `name` of its own",
                )
            } else {
                (
                    format!("two rows are named `{}`", shown(name)),
                    "names are unique over both tables",
                )
            };
            add(Problem::error(row.name_span.clone(), message).help(help));
        }
        if name.chars().count() > 64 {
            let message = "a rule's name has at most 64 characters";
            add(Problem::error(row.name_span.clone(), message));
        }
    }
}

/// A row that nothing feeds can never say anything.
fn guards(draft: &Draft, add: &Add<'_>) {
    let Some(new) = &draft.backends.new else {
        return;
    };
    for row in &draft.rows {
        let name = shown(&row.rule.name);
        let span = row.name_span.clone();
        match row.rule.measure {
            Measure::HealthErrorRate if new.upstream.value.health.is_none() => {
                let message = format!("`{name}` is blind: nobody asks new for its health");
                add(Problem::warning(span, message).help(
                    "add health = { path = \"/healthz\" } to [backend.new], or remove the row",
                ));
            }
            Measure::BreakerOpens if new.breaker.is_none() => {
                let message = format!("`{name}` is blind: new has no breaker that could open");
                add(Problem::warning(span, message)
                    .help("remove breaker = \"off\" from [backend.new], or remove the row"));
            }
            _ => {}
        }
    }
}

fn reversal(draft: &Draft, add: &Add<'_>) {
    // A row that could not be read may be the one.
    if draft.rows.len() < draft.rows_written {
        return;
    }
    if draft
        .rows
        .iter()
        .any(|row| matches!(row.rule.action, Action::Reverse | Action::StepBack))
    {
        return;
    }
    add(Problem::warning(
        None,
        "no [[reversal]] row reverses: nothing goes back to legacy by itself",
    )
    .help("add a row with action = \"reverse\", for example error_rate above \"10%\" over \"5m\""));
}

/// Live calls are moved to an `entry`, and one must be there.
fn moving(draft: &Draft, add: &Add<'_>) {
    if draft
        .routes
        .iter()
        .any(|route| route.rescue.entry.is_some())
    {
        return;
    }
    for row in draft.rows.iter().filter(|row| row.rule.live == Live::Move) {
        let message = format!(
            "`{}` moves nothing: no route names an `entry`, so live calls finish where they are",
            shown(&row.rule.name)
        );
        add(Problem::warning(row.name_span.clone(), message).help(
            "add entry = \"/ivr/welcome\" to a [[route]], the path where legacy begins a call, or \
             remove live = \"move\"",
        ));
    }
}

fn lists(draft: &Draft, add: &Add<'_>) {
    let mut known: BTreeMap<&str, List> = BTreeMap::new();
    for (tenant, list) in &draft.split.tenants {
        match known.insert(&tenant.value, *list) {
            Some(other) if other != *list => {
                let message = format!("tenant `{}` is in both lists", named(&tenant.value));
                add(Problem::error(tenant.span.clone(), message)
                    .help("remove it from `enabled_tenants` or from `disabled_tenants`"));
            }
            Some(_) => {
                let message = format!("tenant `{}` is in the list twice", named(&tenant.value));
                add(Problem::warning(tenant.span.clone(), message));
            }
            None => {}
        }
    }
    if draft.tenants_file.is_some() {
        return;
    }
    // Without a directory the key is the tenant, and numbers are keys in E.164.
    for (tenant, _) in &draft.split.tenants {
        if e164(&tenant.value) != tenant.value {
            let message = "this number is looked up without its punctuation";
            let problem = Problem::warning(tenant.span.clone(), message);
            add(problem.help("write a plus and digits, nothing between them"));
        }
    }
}

fn known_tenants(draft: &Draft, tenants: Option<&BTreeSet<String>>, add: &Add<'_>) {
    let Some(known) = tenants else { return };
    // Under `key` a tenant need not be listed to exist.
    if draft.unlisted == Unlisted::Key || known.is_empty() {
        return;
    }
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    let listed = draft.split.tenants.iter().map(|(tenant, _)| tenant);
    let picked = (draft.plan.iter())
        .flat_map(|plan| &plan.stages)
        .flat_map(|stage| &stage.tenants);
    for tenant in listed.chain(picked) {
        if known.contains(&tenant.value) {
            continue;
        }
        let message = format!("the directory names no tenant `{}`", named(&tenant.value));
        let problem = Problem::warning(tenant.span.clone(), message);
        // Comparing with a million tenants costs more than the hint is worth.
        let near = (names.len() <= 10_000)
            .then(|| nearest(&tenant.value, &names))
            .flatten()
            // Nor is somebody's number told to whoever reads the log.
            .filter(|meant| named(meant) == **meant);
        add(match near {
            Some(meant) => problem.help(format!("did you mean `{meant}`?")),
            None => problem,
        });
    }
}
