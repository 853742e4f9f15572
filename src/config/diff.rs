//! What a reload would change, in sentences, before anything is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Display};
use std::time::Duration;

use super::text::Span;
use super::walk::{named, shown};
use super::{Access, Config, gate, health, routes, tls, verify};
use crate::measure::scorecard::Mature;
use crate::model::Backend;
use crate::proxy::settings::{Rescue, Route, Upstream, Verify};
use crate::rollout::List;
use crate::rules::{Rule, Side, Unit};
use crate::split::{By, Hash, Live};

/// What a reload would change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Changed in the file, but in force only after a restart.
    pub needs_restart: Vec<String>,
    /// Would move callers: the reload is refused unless it is forced.
    pub refused: Vec<String>,
    /// Changed by the reload.
    pub changed: Vec<String>,
}

impl Diff {
    /// Nothing is different.
    pub fn is_empty(&self) -> bool {
        self.needs_restart.is_empty() && self.refused.is_empty() && self.changed.is_empty()
    }
}

/// Compares what runs with what a reload would bring.
pub fn diff(old: &Config, new: &Config) -> Diff {
    let mut changed = Vec::new();
    edge(old, new, &mut changed);
    every_route(&old.proxy.routes, &new.proxy.routes, &mut changed);
    tenants(old, new, &mut changed);
    wishes(old, new, &mut changed);
    rules(&old.rules, &new.rules, &mut changed);
    Diff {
        needs_restart: needs_restart(old, new),
        refused: refused(old, new),
        changed,
    }
}

/// Adds "`name`: old → new" where the two differ.
fn compare<T: PartialEq>(
    into: &mut Vec<String>,
    name: &str,
    old: &T,
    new: &T,
    say: impl Fn(&T) -> String,
) {
    if old != new {
        into.push(format!("`{name}`: {} → {}", say(old), say(new)));
    }
}

fn needs_restart(old: &Config, new: &Config) -> Vec<String> {
    let mut told = Vec::new();
    let into = &mut told;
    let (before, after) = (&old.listen, &new.listen);
    compare(
        into,
        "listen.webhooks",
        &before.webhooks,
        &after.webhooks,
        |list| all(list),
    );
    compare(
        into,
        "listen.admin",
        &before.admin,
        &after.admin,
        ToString::to_string,
    );
    compare(
        into,
        "listen.metrics",
        &before.metrics,
        &after.metrics,
        |at| or_none(at.as_ref()),
    );
    if old.listen.admin_token != new.listen.admin_token {
        into.push("`listen.admin_token` is another one".to_owned());
    }
    compare(into, "state.dir", &old.state.dir, &new.state.dir, |dir| {
        dir.display().to_string()
    });
    let (before, after) = (&old.proxy.limits, &new.proxy.limits);
    compare(
        into,
        "limits.calls",
        &before.calls,
        &after.calls,
        ToString::to_string,
    );
    compare(
        into,
        "limits.connections",
        &before.connections,
        &after.connections,
        ToString::to_string,
    );
    compare(
        into,
        "calls.short",
        &old.proxy.short,
        &new.proxy.short,
        |span| Span(*span).to_string(),
    );
    compare(into, "log.format", &old.log.format, &new.log.format, word);
    compare(
        into,
        "log.access",
        &old.log.access,
        &new.log.access,
        |access| match access {
            Access::Off => "off".to_owned(),
            Access::File(path) => path.display().to_string(),
        },
    );
    told
}

fn refused(old: &Config, new: &Config) -> Vec<String> {
    let mut told = Vec::new();
    let by = |by: &By| word(by);
    compare(&mut told, "split.by", &old.scheme.by, &new.scheme.by, by);
    compare(
        &mut told,
        "split.hash",
        &old.scheme.hash,
        &new.scheme.hash,
        |hash| match hash {
            Hash::Java31 => "java31".to_owned(),
            Hash::Xxh3 { salt } => format!("xxh3 with salt \"{salt}\""),
        },
    );
    told
}

fn edge(old: &Config, new: &Config, into: &mut Vec<String>) {
    let url = |upstream: &Upstream| {
        format!(
            "{}://{} ({:?} Host)",
            upstream.scheme(),
            upstream.authority,
            upstream.host_header
        )
    };
    for backend in Backend::ALL {
        let (before, after) = (&old.proxy.backends[backend], &new.proxy.backends[backend]);
        let name = format!("backend.{backend}");
        if url(before) != url(after) {
            into.push(format!("`{name}`: {} → {}", url(before), url(after)));
        }
        let (names, claim) = (format!("{name}.names"), format!("{name}.claim"));
        compare(into, &names, &before.names, &after.names, |list| all(list));
        compare(
            into,
            &claim,
            &before.claim,
            &after.claim,
            |claim| match claim {
                Some(claim) => format!("{} = {}", shown(&claim.query), shown(&claim.value)),
                None => "none".to_owned(),
            },
        );
        let cap = format!("{name}.concurrency");
        compare(into, &cap, &before.cap, &after.cap, |cap| {
            gate::told(cap.as_ref())
        });
    }
    for backend in Backend::ALL {
        let name = format!("backend.{backend}.breaker");
        let (before, after) = (&old.breakers[backend], &new.breakers[backend]);
        compare(into, &name, before, after, |it| {
            health::breaker_told(it.as_ref())
        });
        let name = format!("backend.{backend}.health");
        let of = |config: &Config| config.proxy.backends[backend].health.clone();
        compare(into, &name, &of(old), &of(new), |it| {
            health::told(it.as_ref())
        });
    }
    tls::changes(&old.proxy, &new.proxy, into);
    if old.proxy.token_secret != new.proxy.token_secret {
        into.push("`listen.token_secret` is another one".to_owned());
    }
    compare(
        into,
        "listen.public_url",
        &old.proxy.public,
        &new.proxy.public,
        |public| match public {
            Some(public) => format!("{}://{}", public.scheme, public.authority),
            None => "none".to_owned(),
        },
    );
    let (before, after) = (&old.proxy.trusted_proxies, &new.proxy.trusted_proxies);
    compare(into, "listen.trusted_proxies", before, after, |list| {
        all(list)
    });
    let (before, after) = (&old.proxy.limits, &new.proxy.limits);
    compare(into, "limits.body", &before.body, &after.body, |bytes| {
        format!("{bytes} bytes")
    });
    for (name, before, after) in [
        (
            "limits.head_timeout",
            before.head_timeout,
            after.head_timeout,
        ),
        (
            "limits.body_timeout",
            before.body_timeout,
            after.body_timeout,
        ),
        (
            "limits.idle_timeout",
            before.idle_timeout,
            after.idle_timeout,
        ),
        (
            "limits.drain_timeout",
            before.drain_timeout,
            after.drain_timeout,
        ),
        (
            "limits.stream_drain_timeout",
            before.stream_drain_timeout,
            after.stream_drain_timeout,
        ),
        (
            "limits.stream_idle_timeout",
            before.stream_idle_timeout,
            after.stream_idle_timeout,
        ),
    ] {
        compare(into, name, &before, &after, |span| Span(*span).to_string());
    }
    compare(
        into,
        "limits.streams",
        &before.streams,
        &after.streams,
        ToString::to_string,
    );
    compare(
        into,
        "limits.connections_per_source",
        &before.connections_per_source,
        &after.connections_per_source,
        ToString::to_string,
    );
    compare(
        into,
        "limits.rescues",
        &before.rescues,
        &after.rescues,
        ToString::to_string,
    );
    compare(
        into,
        "calls.mature",
        &old.mature,
        &new.mature,
        |mature| match mature {
            Mature::Auto => "auto".to_owned(),
            Mature::After(span) => Span(*span).to_string(),
        },
    );
    compare(
        into,
        "state.on_empty",
        &old.state.on_empty,
        &new.state.on_empty,
        word,
    );
}

fn every_route(old: &[Route], new: &[Route], into: &mut Vec<String>) {
    let before: BTreeMap<_, _> = old.iter().map(|route| (&route.path, route)).collect();
    let after: BTreeMap<_, _> = new.iter().map(|route| (&route.path, route)).collect();
    for path in before.keys().filter(|path| !after.contains_key(*path)) {
        into.push(format!("route `{path}` is gone"));
    }
    for (path, after) in after {
        let Some(before) = before.get(path) else {
            into.push(format!("route `{path}` is new"));
            continue;
        };
        let name = |what: &str| format!("route {path} {what}");
        compare(
            into,
            &name("protocol"),
            &before.protocol,
            &after.protocol,
            |protocol| protocol.name().to_owned(),
        );
        compare(
            into,
            &name("tenant"),
            &before.tenant,
            &after.tenant,
            |list| {
                let list: Vec<String> = list.iter().map(routes::written).collect();
                all(&list)
            },
        );
        compare(
            into,
            &name("sources"),
            &before.sources,
            &after.sources,
            |list| all(list),
        );
        compare(
            into,
            &name("served"),
            &before.served,
            &after.served,
            |list| all(list),
        );
        compare(
            into,
            &name("timeout"),
            &before.timeout,
            &after.timeout,
            |span| Span(*span).to_string(),
        );
        compare(
            into,
            &name("affinity"),
            &before.affinity,
            &after.affinity,
            word,
        );
        rescued(before, after, into);
        verified(path, before.verify.as_ref(), after.verify.as_ref(), into);
    }
}

/// What changes for a caller whose backend fails. A document is told by its size.
fn rescued(before: &Route, after: &Route, into: &mut Vec<String>) {
    let (path, old, new) = (&after.path, &before.rescue, &after.rescue);
    let is_same_protocol = before.protocol == after.protocol;
    let name = |what: &str| format!("route {path} {what}");
    compare(into, &name("rescue"), &old.mode, &new.mode, word);
    let (before, after) = (&old.after, &new.after);
    compare(into, &name("rescue_after"), before, after, |span| {
        Span(*span).to_string()
    });
    let (before, after) = (&old.entry, &new.entry);
    compare(into, &name("entry"), before, after, |entry| {
        entry.as_deref().map_or_else(|| "none".to_owned(), shown)
    });
    if old.last_resort == new.last_resort {
        return;
    }
    let said = |rescue: &Rescue| match &rescue.last_resort {
        Some(said) => said.to_string(),
        None => "off".to_owned(),
    };
    let (before, after) = (said(old), said(new));
    if before != after {
        into.push(format!("`{}`: {before} → {after}", name("last_resort")));
    } else if is_same_protocol {
        // Of another protocol the same words are said in another form.
        into.push(format!("route `{path}` has another last resort: {after}"));
    }
}

/// What changes in how genuine webhooks are told. Keys may change on a reload: that
/// is how they are rotated. They are secrets, so a change is told, not shown.
fn verified(path: &str, old: Option<&Verify>, new: Option<&Verify>, into: &mut Vec<String>) {
    if old == new {
        return;
    }
    let (before, after) = (verify::told(old), verify::told(new));
    if before != after {
        into.push(format!("`route {path} verify`: {before} → {after}"));
    }
    if let (Some(old), Some(new)) = (old, new)
        && old.verifier != new.verifier
    {
        into.push(format!(
            "route `{path}` verifies by other keys, secrets or options"
        ));
    }
}

fn tenants(old: &Config, new: &Config, into: &mut Vec<String>) {
    let keys = |config: &Config| match &config.tenants {
        Some(file) => format!("{} ({} keys)", file.path.display(), file.keys),
        None => "none".to_owned(),
    };
    if old.proxy.directory != new.proxy.directory {
        into.push(format!(
            "the tenant directory: {} → {}",
            keys(old),
            keys(new)
        ));
    }
    let (before, after) = (&old.proxy.unlisted, &new.proxy.unlisted);
    compare(into, "tenants.unlisted", before, after, word);
}

fn wishes(old: &Config, new: &Config, into: &mut Vec<String>) {
    let (before, after) = (&old.wishes, &new.wishes);
    compare(
        into,
        "split.enabled",
        &before.enabled,
        &after.enabled,
        ToString::to_string,
    );
    compare(
        into,
        "split.percentage",
        &before.percentage,
        &after.percentage,
        ToString::to_string,
    );
    let listed = |list: Option<&List>| match list {
        Some(List::Enabled) => "enabled".to_owned(),
        Some(List::Disabled) => "disabled".to_owned(),
        None => "on no list".to_owned(),
    };
    let every: BTreeSet<_> = before.tenants.keys().chain(after.tenants.keys()).collect();
    for tenant in every {
        let (was, is) = (before.tenants.get(tenant), after.tenants.get(tenant));
        if was != is {
            into.push(format!(
                "tenant `{}`: {} → {}",
                named(tenant),
                listed(was),
                listed(is)
            ));
        }
    }
}

fn rules(old: &[Rule], new: &[Rule], into: &mut Vec<String>) {
    let before: BTreeMap<_, _> = old.iter().map(|rule| (&rule.name, rule)).collect();
    let after: BTreeMap<_, _> = new.iter().map(|rule| (&rule.name, rule)).collect();
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        into.push(format!("rule `{name}` is gone"));
    }
    for (name, rule) in after {
        match before.get(name) {
            None => into.push(format!("rule `{name}` is new: {}", told(rule))),
            Some(was) if *was == rule => {}
            Some(was) if told(was) == told(rule) => {
                into.push(format!(
                    "rule `{name}` has other minima, early test or channels"
                ));
            }
            Some(was) => into.push(format!("rule `{name}`: {} → {}", told(was), told(rule))),
        }
    }
}

/// A rule as people say it: `error_rate above 10% over 5m, reverse`.
fn told(rule: &Rule) -> String {
    let side = match rule.side {
        Side::Above => "above",
        Side::Below => "below",
    };
    let threshold = match rule.measure.unit() {
        Unit::Share => format!("{}%", (rule.threshold * 1e6).round() / 1e4),
        Unit::Millis => format!("{}ms", rule.threshold),
        Unit::Seconds => Span(Duration::from_secs_f64(rule.threshold)).to_string(),
        Unit::Number => rule.threshold.to_string(),
    };
    let (measure, over, action) = (rule.measure.name(), Span(rule.over), word(&rule.action));
    let live = match rule.live {
        Live::Drain => "",
        Live::Move => " and move live calls",
    };
    format!("{measure} {side} {threshold} over {over}, {action}{live}")
}

fn word(value: &impl Debug) -> String {
    format!("{value:?}").to_lowercase()
}

fn all(list: &[impl Display]) -> String {
    let list: Vec<String> = list.iter().map(ToString::to_string).collect();
    format!("[{}]", list.join(", "))
}

fn or_none(value: Option<&impl Display>) -> String {
    value.map_or_else(|| "none".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::load_text;
    use super::*;

    const BEFORE: &str = r#"
[listen]
webhooks = "127.0.0.1:8080"
public_url = "https://voice.example.com"
[backend.legacy]
url = "http://127.0.0.1:3001"
[backend.new]
url = "http://127.0.0.1:3002"
[[route]]
path = "/ivr"
protocol = "telnyx-texml"
[split]
percentage = 10
enabled_tenants = ["a"]
[[reversal]]
name = "errors"
measure = "error_rate"
above = "10%"
over = "5m"
action = "reverse"
"#;

    fn config(text: &str) -> Config {
        load_text(Path::new("t.toml"), text.to_owned())
            .unwrap()
            .config
    }

    fn changed_by(from: &str, to: &str) -> Diff {
        assert!(BEFORE.contains(from), "{from} is in the file");
        diff(&config(BEFORE), &config(&BEFORE.replace(from, to)))
    }

    #[test]
    fn the_same_file_changes_nothing() {
        assert!(changed_by("[split]", "[split] # a comment").is_empty());
    }

    #[test]
    fn each_change_is_one_sentence_in_its_place() {
        for (from, to, sentence) in [
            (
                "url = \"http://127.0.0.1:3002\"",
                "url = \"http://127.0.0.1:3002\"\nhealth = { path = \"/up\" }",
                "`backend.new.health`: none → GET /up every 5s, 200 within 2s; down after 3, up after 2",
            ),
            (
                "url = \"http://127.0.0.1:3002\"",
                "url = \"http://127.0.0.1:3002\"\nbreaker = \"off\"",
                "`backend.new.breaker`: 5 failures in a row or 50% of 20 in 10s; open for 5s, closed after 3 → off",
            ),
            (
                "percentage = 10",
                "percentage = 25",
                "`split.percentage`: 10 % → 25 %",
            ),
            ("[\"a\"]", "[]", "tenant `a`: enabled → on no list"),
            (
                "enabled_tenants",
                "disabled_tenants",
                "tenant `a`: enabled → disabled",
            ),
            (
                "\"10%\"",
                "\"7%\"",
                "rule `errors`: error_rate above 10% over 5m, reverse → error_rate above 7% over 5m, reverse",
            ),
            (
                "over = \"5m\"",
                "over = \"5m\"\ncalls_min = 5",
                "rule `errors` has other minima, early test or channels",
            ),
            (
                "action = \"reverse\"",
                "action = \"reverse\"\nlive = \"move\"",
                "rule `errors`: error_rate above 10% over 5m, reverse → error_rate above 10% over 5m, reverse and move live calls",
            ),
            (
                ":3002",
                ":3003",
                "`backend.new`: http://127.0.0.1:3002 (Public Host) → http://127.0.0.1:3003 (Public Host)",
            ),
            (
                "url = \"http://127.0.0.1:3002\"",
                "ANDnames = [\"https://ivr.example.com\"]",
                "`backend.new.names`: [] → [https://ivr.example.com]",
            ),
            (
                "url = \"http://127.0.0.1:3002\"",
                "ANDclaim = { query = \"origin\", value = \"new\" }",
                "`backend.new.claim`: none → origin = new",
            ),
            (
                "protocol = \"telnyx-texml\"",
                "ANDaffinity = \"url\"",
                "`route /ivr affinity`: memory → url",
            ),
            (
                "protocol = \"telnyx-texml\"",
                "ANDtenant = [\"connection\", \"path:2\"]",
                "`route /ivr tenant`: [to] → [connection, path:2]",
            ),
            (
                "[split]",
                "[limits]\nstream_idle_timeout = \"1m\"\n[split]",
                "`limits.stream_idle_timeout`: 10m → 1m",
            ),
            (
                "protocol = \"telnyx-texml\"",
                "ANDrescue = \"off\"",
                "`route /ivr rescue`: start → off",
            ),
            (
                "protocol = \"telnyx-texml\"",
                "ANDrescue_after = \"900ms\"",
                "`route /ivr rescue_after`: 1200ms → 900ms",
            ),
            (
                "protocol = \"telnyx-texml\"",
                "ANDentry = \"/ivr/welcome?a=1\"",
                "`route /ivr entry`: none → /ivr/welcome?a=1",
            ),
            (
                "protocol = \"telnyx-texml\"",
                "ANDlast_resort = \"off\"",
                "`route /ivr last_resort`: the shipped words → off",
            ),
            (
                "protocol = \"telnyx-texml\"",
                "ANDlast_resort = { forward = \"+15557640012\" }",
                "`route /ivr last_resort`: the shipped words → forwarded to …12",
            ),
            (
                "[split]",
                "[limits]\nstreams = 9\n[split]",
                "`limits.streams`: 5000 → 9",
            ),
            (
                "[split]",
                "[limits]\nconnections_per_source = 20\n[split]",
                "`limits.connections_per_source`: 0 → 20",
            ),
            (
                "[split]",
                "[limits]\nrescues = 20\n[split]",
                "`limits.rescues`: 500 → 20",
            ),
            (
                "url = \"http://127.0.0.1:3001\"",
                "ANDconcurrency = 200\nqueue = 50",
                "`backend.legacy.concurrency`: none → 200 at once, 50 wait up to 50ms",
            ),
        ] {
            let diff = changed_by(from, &to.replace("AND", &format!("{from}\n")));
            assert_eq!(diff.changed, [sentence], "{to}");
            assert!(diff.needs_restart.is_empty() && diff.refused.is_empty());
        }
    }

    #[test]
    fn another_protocol_brings_its_own_times() {
        let diff = changed_by("\"telnyx-texml\"", "\"vapi\"");
        assert_eq!(
            diff.changed,
            [
                "`route /ivr protocol`: telnyx-texml → vapi",
                "`route /ivr timeout`: 10s → 20s",
                "`route /ivr rescue_after`: 1200ms → 3500ms",
            ]
        );
    }

    #[test]
    fn a_renamed_route_or_rule_is_one_gone_and_one_new() {
        let diff = changed_by("path = \"/ivr\"", "path = \"/voice\"");
        assert_eq!(
            diff.changed,
            ["route `/ivr` is gone", "route `/voice` is new"]
        );
    }

    #[test]
    fn addresses_and_sizes_wait_for_a_restart() {
        let diff = changed_by(":8080", ":8081");
        assert_eq!(
            diff.needs_restart,
            ["`listen.webhooks`: [127.0.0.1:8080] → [127.0.0.1:8081]"]
        );
        assert!(diff.changed.is_empty());
    }

    #[test]
    fn what_would_move_callers_is_refused() {
        let diff = changed_by(
            "[split]",
            "[split]\nby = \"call\"\nhash = \"xxh3\"\nsalt = \"s\"",
        );
        assert_eq!(
            diff.refused,
            [
                "`split.by`: tenant → call",
                "`split.hash`: java31 → xxh3 with salt \"s\""
            ]
        );
    }
}
