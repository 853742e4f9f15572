//! What a reload would mean for those who call, before it is taken.

use std::collections::{BTreeSet, HashSet};

use crate::config::Config;
use crate::model::{Backend, PerBackend, TenantKey};
use crate::rollout::shown;
use crate::split::{Split, Subject, Tenant};

/// So many tenants are named; of the others their number is told.
const NAMED: usize = 20;

/// Tenants of the directory whose next call would find another backend.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Moved<'a>(BTreeSet<&'a str>);

impl<'a> Moved<'a> {
    /// Compares two splits for every tenant of the file's directory; None where there is
    /// no directory, so that nobody knows who might call.
    pub(super) fn between(config: &'a Config, before: &Split, after: &Split) -> Option<Self> {
        let directory = config.proxy.directory.as_ref()?;
        let side = |split: &Split, tenant| {
            let subject = Subject {
                tenant: Tenant::Known(tenant),
                call: None,
                caller: None,
            };
            split.place(&subject).backend
        };
        let moved = directory
            .tenants()
            .filter(|tenant| side(before, tenant) != side(after, tenant));
        Some(Self(moved.collect()))
    }

    /// How many.
    pub(super) fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// The first of them by name, masked where a name is a number.
    pub(super) fn names(&self) -> Vec<String> {
        self.0.iter().take(NAMED).map(|name| shown(name)).collect()
    }

    /// As the call table knows them.
    pub(super) fn keys(&self) -> HashSet<TenantKey> {
        self.0.iter().map(|name| TenantKey::new(name)).collect()
    }
}

/// What happens to calls that run, in sentences. They stay where they are; but where they
/// are may change under them.
pub(super) fn touched(old: &Config, new: &Config, live: PerBackend<u64>) -> Vec<String> {
    let mut told = Vec::new();
    for backend in Backend::ALL {
        let at = |config: &Config| {
            let upstream = &config.proxy.backends[backend];
            format!("{}://{}", upstream.scheme(), upstream.authority)
        };
        let (before, after) = (at(old), at(new));
        if before != after && live[backend] > 0 {
            let calls = calls(live[backend]);
            told.push(format!(
                "{calls} on {backend} go on at {after}, not at {before}"
            ));
        }
    }
    let all = live.legacy + live.new;
    for route in &old.proxy.routes {
        let stays = new.proxy.routes.iter().any(|it| it.path == route.path);
        if !stays && all > 0 {
            told.push(format!(
                "calls on route {} (of {} in all) find no route any more",
                route.path,
                calls(all)
            ));
        }
    }
    told
}

fn calls(count: u64) -> String {
    match count {
        1 => "1 live call".to_owned(),
        count => format!("{count} live calls"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::Percentage;
    use crate::rollout::Rollout;

    fn config(dir: &Path, more: &str) -> Config {
        let text = format!(
            "backend.legacy.url = \"http://127.0.0.1:3001\"\n\
             backend.new.url = \"http://127.0.0.1:3002\"\n\
             [[route]]\npath = \"/ivr\"\nprotocol = \"twilio\"\n\
             [tenants]\nfile = \"t.csv\"\n{more}"
        );
        let loaded = crate::config::load_text(&dir.join("t.toml"), text);
        loaded.unwrap_or_else(|report| panic!("{report}")).config
    }

    fn directory(lines: &[String]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let text = format!("key,tenant\n{}\n", lines.join("\n"));
        std::fs::write(dir.path().join("t.csv"), text).unwrap();
        dir
    }

    #[test]
    fn tenants_that_would_change_side_are_counted_once_and_named_masked() {
        let lines: Vec<String> = (10..60)
            .flat_map(|n| {
                [
                    format!("a-{n},+5255123456{n}"),
                    format!("b-{n},+5255123456{n}"),
                ]
            })
            .collect();
        let dir = directory(&lines);
        let config = config(dir.path(), "");
        let mut before = Rollout::default().split(&config.scheme);
        let mut after = before.clone();
        after.percentage = Percentage::FULL;
        let moved = Moved::between(&config, &before, &after).unwrap();
        assert_eq!(moved.count(), 50, "two keys name one tenant");
        let names = moved.names();
        assert_eq!((names.len(), names[0].as_str()), (20, "…10"));
        assert!(moved.keys().contains(&TenantKey::new("+525512345610")));

        before.percentage = Percentage::FULL;
        let nobody = Moved::between(&config, &before, &after).unwrap();
        assert_eq!((nobody.count(), nobody.names().len()), (0, 0));
    }

    #[test]
    fn calls_that_run_are_told_of_only_where_something_changes_under_them() {
        let dir = directory(&["a,b".to_owned()]);
        let old = config(dir.path(), "");
        let mut new = old.clone();
        let live = PerBackend { legacy: 1, new: 3 };
        assert_eq!(touched(&old, &new, live), [""; 0]);
        new.proxy.backends.new.authority = "10.0.0.9".to_owned();
        assert_eq!(
            touched(&old, &new, live),
            ["3 live calls on new go on at http://10.0.0.9, not at http://127.0.0.1:3002"]
        );
        new.proxy.routes[0].path = "/voice".to_owned();
        assert_eq!(touched(&old, &new, live).len(), 2);
        assert_eq!(touched(&old, &new, PerBackend::default()), [""; 0]);
    }
}
