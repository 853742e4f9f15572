//! What changes on the routes.

use std::collections::BTreeMap;

use super::super::text::Span;
use super::super::walk::shown;
use super::super::{routes, verify};
use super::{all, compare, word};
use crate::proxy::settings::{Rescue, Route, Verify};

/// Adds what a reload would change of them.
pub(super) fn every_route(old: &[Route], new: &[Route], into: &mut Vec<String>) {
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
