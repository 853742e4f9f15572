//! What changes at the edge: backends, addresses, limits.

use super::super::text::Span;
use super::super::walk::shown;
use super::super::{Config, gate, health, tls};
use super::{all, compare, word};
use crate::measure::scorecard::Mature;
use crate::model::Backend;
use crate::proxy::settings::Upstream;

/// Adds what a reload would change of it.
pub(super) fn edge(old: &Config, new: &Config, into: &mut Vec<String>) {
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
