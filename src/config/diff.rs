//! What a reload would change, in sentences, before anything is changed.

mod edge;
mod plan;
mod routes;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt::{Debug, Display};

use super::text::Span;
use super::walk::named;
use super::{Config, log};
use crate::rollout::List;
use crate::split::{By, Hash};

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
    edge::edge(old, new, &mut changed);
    routes::every_route(&old.proxy.routes, &new.proxy.routes, &mut changed);
    tenants(old, new, &mut changed);
    wishes(old, new, &mut changed);
    rules::rules(&old.rules, &new.rules, &mut changed);
    plan::plan(old, new, &mut changed);
    Diff {
        needs_restart: needs_restart(old, new),
        refused: refused(old, new),
        changed,
    }
}

/// Adds "`name`: old → new" where the two differ.
pub(super) fn compare<T: PartialEq>(
    into: &mut Vec<String>,
    name: &str,
    old: &T,
    new: &T,
    say: impl Fn(&T) -> String,
) {
    if old == new {
        return;
    }
    let (was, is) = (say(old), say(new));
    into.push(if was == is {
        format!("`{name}`: changed in what is not shown: {is}")
    } else {
        format!("`{name}`: {was} → {is}")
    });
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
    compare(
        into,
        "state.keep",
        &old.state.keep,
        &new.state.keep,
        |keep| keep.map_or_else(|| "for ever".to_owned(), |keep| Span(keep).to_string()),
    );
    log::differences(&old.log, &new.log, into);
    told
}

fn refused(old: &Config, new: &Config) -> Vec<String> {
    let mut told = Vec::new();
    let by = |by: &By| by.name().to_owned();
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

pub(super) fn word(value: &impl Debug) -> String {
    format!("{value:?}").to_lowercase()
}

fn all(list: &[impl Display]) -> String {
    let list: Vec<String> = list.iter().map(ToString::to_string).collect();
    format!("[{}]", list.join(", "))
}

fn or_none(value: Option<&impl Display>) -> String {
    value.map_or_else(|| "none".to_owned(), ToString::to_string)
}
