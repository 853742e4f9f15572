//! From a file to settings that the rooms obey, checked once and whole.
//!
//! [`load`] finds every problem at once and points at each. What it returns is
//! plain: each part belongs to the module that obeys it and knows nothing of
//! TOML. Files that the configuration names to be *read* are looked for beside
//! it; what is *written* (the state directory, the logs) is taken from the
//! working directory.

pub mod diff;
pub mod problem;
pub mod report;
pub mod secret;

mod blind;
mod check;
mod directory;
mod edge;
mod file;
mod gate;
mod health;
mod hooks;
mod levels;
mod log;
mod plan;
mod rescue;
mod routes;
mod split;
mod tables;
mod text;
mod tls;
mod verify;
mod walk;

#[cfg(test)]
mod broken;
#[cfg(test)]
mod presets;
#[cfg(test)]
mod whole;

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeTable;
use xxhash_rust::xxh3::Xxh3;

pub use diff::{Diff, diff};
pub use problem::{Level, Problem};
pub use report::{Report, Source};
pub use secret::Secret;

use crate::breaker;
use crate::document::address::Addresses;
use crate::hooks::{Data, Hook};
use crate::measure::scorecard::Mature;
use crate::model::{Backend, PerBackend};
use crate::proxy::settings::{PublicUrl, Route, Settings, Upstream};
use crate::recording::rotating::Rotation;
use crate::rollout::{Emergency, Plan, Wishes};
use crate::rules::Rule;
use crate::split::Scheme;
use problem::Problems;

/// Largest configuration file, in bytes; a larger one is the wrong file.
const LARGEST: u64 = 1 << 20;

/// A configuration that holds together.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it was read from.
    pub path: PathBuf,
    /// Hash over the file, its tenant directory and its last resorts, 16 hex digits.
    pub hash: String,
    /// Where to listen, and who may give orders.
    pub listen: Listen,
    /// Where the state is kept.
    pub state: State,
    /// What is logged, and where.
    pub log: Log,
    /// What the public edge obeys.
    pub proxy: Settings,
    /// The tenant directory's file, if one is named, and how many keys it lists.
    pub tenants: Option<TenantsFile>,
    /// What is hashed and how.
    pub scheme: Scheme,
    /// The part of the split that an operator may overrule.
    pub wishes: Wishes,
    /// The reversal table's rows, then the alert table's.
    pub rules: Vec<Rule>,
    /// How old a call must be before its end counts.
    pub mature: Mature,
    /// When each backend is not asked any more; None: it always is.
    pub breakers: PerBackend<Option<breaker::Settings>>,
    /// The plan, if there is one.
    pub plan: Option<Arc<Plan>>,
    /// What outside is told or asked, in file order.
    pub hooks: Vec<Hook>,
    /// Where an emergency stop sends calls that begin.
    pub emergency: Emergency,
    /// How data is brought back, if it can be.
    pub data: Option<Data>,
    /// Where each rule stands in the file, for [`Config::blind_rows`].
    rows: Vec<Option<Range<usize>>>,
}

/// `[listen]`: addresses and the token for orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Webhooks; at least one.
    pub webhooks: Vec<SocketAddr>,
    /// API, dashboard, metrics and health.
    pub admin: SocketAddr,
    /// Only metrics and health, safe to open to a scraper.
    pub metrics: Option<SocketAddr>,
    /// What who gives orders must show. None only where `admin` is loopback.
    pub admin_token: Option<Secret>,
}

/// `[state]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The directory of journal, latch and pins.
    pub dir: PathBuf,
    /// What an empty directory means.
    pub on_empty: OnEmpty,
    /// How long the journal keeps what happened; None: for ever.
    pub keep: Option<Duration>,
}

/// What an empty state directory means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnEmpty {
    /// All calls to legacy until an operator says otherwise.
    #[default]
    Legacy,
    /// What the file wishes for applies at once.
    File,
}

/// `[log]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Log {
    /// How lines on standard error look.
    pub format: LogFormat,
    /// The access log.
    pub access: Access,
    /// The recording of what the tables judge, if there is one.
    pub outcomes: Option<PathBuf>,
    /// The trace of what was decided, if there is one.
    pub decisions: Option<Decisions>,
    /// When those two are put aside.
    pub rotate: Rotation,
}

impl Log {
    /// The access log's file, if there is one.
    pub fn access(&self) -> Option<&Path> {
        match &self.access {
            Access::Off => None,
            Access::File(path) => Some(path),
        }
    }

    /// The decision trace's file, if there is one.
    pub fn decisions(&self) -> Option<&Path> {
        self.decisions.as_ref().map(|it| it.path.as_path())
    }
}

/// `[log] decisions`.
#[derive(Clone, Debug, PartialEq)]
pub struct Decisions {
    /// Where it is.
    pub path: PathBuf,
    /// The share of calls that are traced, 0..=1. Every step of the rollout is.
    pub sample: f64,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Where the access log goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Nowhere.
    #[default]
    Off,
    /// To this file, as JSON lines, masked.
    File(PathBuf),
}

/// `[tenants] file`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantsFile {
    /// Where it is.
    pub path: PathBuf,
    /// How many keys it lists.
    pub keys: usize,
}

/// A configuration that was taken, and what is odd about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Warnings; its `extend` takes those of [`Config::blind_rows`].
    pub warnings: Report,
}

/// Reads and checks a configuration file and the files it names.
///
/// # Errors
///
/// Every problem there is, warnings among them, if one of them is an error.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    load_text(path, whole_text(path)?)
}

/// The same, as if its plan said these `calls_per_hour`. Without a plan there is no
/// difference.
///
/// # Errors
///
/// As [`load`].
pub fn load_at(path: &Path, calls_per_hour: f64) -> Result<Loaded, Report> {
    judged(path, whole_text(path)?, Some(calls_per_hour))
}

fn whole_text(path: &Path) -> Result<String, Report> {
    read(path).map_err(|why| {
        let source = Source {
            path: path.to_owned(),
            text: String::new(),
        };
        let problem = Problem::error(None, format!("the configuration cannot be read: {why}"));
        Report::new(vec![source], vec![problem])
    })
}

fn read(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|why| why.to_string())?;
    if bytes.len() as u64 > LARGEST {
        return Err("it is larger than 1 MiB".into());
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".into())
}

/// Checks a configuration that was read already. `path` names it in the report
/// and says where the files that it names are looked for.
///
/// # Errors
///
/// As [`load`].
pub fn load_text(path: &Path, text: String) -> Result<Loaded, Report> {
    judged(path, text, None)
}

fn judged(path: &Path, text: String, calls_per_hour: Option<f64>) -> Result<Loaded, Report> {
    let problems = Problems::default();
    let (table, broken) = DeTable::parse_recoverable(&text);
    let base = path.parent().unwrap_or_else(|| Path::new(""));
    let mut draft = file::draft(table.get_ref(), &problems, base);
    if let (Some(calls), Some(plan)) = (calls_per_hour, &mut draft.plan) {
        plan.calls_per_hour = Some(calls);
    }

    let mut hash = Xxh3::new();
    hash.update(text.as_bytes());
    let mut sources = vec![Source {
        path: path.to_owned(),
        text: text.clone(),
    }];
    let mut listing = None;
    if let Some(file) = &draft.tenants_file {
        let text = directory::text(file, &problems);
        if let Some(text) = &text {
            hash.update(text.as_bytes());
            listing = Some(directory::read(text, &problems));
        }
        sources.push(Source {
            path: file.value.clone(),
            text: text.unwrap_or_default(),
        });
    }
    for said in draft
        .routes
        .iter()
        .filter_map(|route| route.rescue.file.as_ref())
    {
        hash.update(said);
    }
    check::run(
        &draft,
        listing.as_ref().map(|listing| &listing.tenants),
        &problems,
    );

    let told = beside_syntax(&text, &broken, problems.take());
    let report = Report::new(sources, told);
    if report.errors() > 0 {
        return Err(report);
    }
    match assemble(path, format!("{:016x}", hash.digest()), draft, listing) {
        Some(config) => Ok(Loaded {
            config,
            warnings: report,
        }),
        // Every hole was spoken of above; should one not have been, refuse all the same.
        None => {
            let mut report = report;
            report.extend([Problem::error(None, "the configuration is incomplete")]);
            Err(report)
        }
    }
}

/// Syntax errors, and of the other problems those that are not their shadow.
fn beside_syntax(text: &str, broken: &[toml::de::Error], found: Vec<Problem>) -> Vec<Problem> {
    if broken.is_empty() {
        return found;
    }
    let line = |at: usize| {
        let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
        before.iter().filter(|byte| **byte == b'\n').count()
    };
    let mut lines = Vec::new();
    let mut told: Vec<Problem> = Vec::new();
    for error in broken.iter().take(20) {
        let span = error.span().unwrap_or(text.len()..text.len());
        // One broken line is one problem, however often the parser stumbles in it.
        if lines.contains(&line(span.start)) {
            continue;
        }
        lines.push(line(span.start));
        let message = match (error.message(), text.get(span.clone())) {
            ("duplicate key", Some(key)) => format!("`{}` is there twice", walk::shown(key)),
            (message, _) => message.to_owned(),
        };
        told.push(Problem::error(Some(span), message));
    }
    // A broken header puts what follows it into the wrong section.
    let headers = lines.iter().any(|broken| {
        let line = text.lines().nth(*broken).unwrap_or_default();
        line.trim_start().starts_with('[')
    });
    told.extend(found.into_iter().filter(|problem| {
        let beside = (problem.span.as_ref()).is_some_and(|span| !lines.contains(&line(span.start)));
        problem.file != problem::MAIN || (!headers && !problem.follows && beside)
    }));
    told
}

/// The URLs that lead to us: the public one, and whatever a backend may call
/// itself by on one of our paths.
fn addresses(public: &PublicUrl, backends: &PerBackend<Upstream>, routes: &[Route]) -> Addresses {
    let public = format!("{}://{}", public.scheme, public.authority);
    let names: Vec<String> = Backend::ALL
        .iter()
        .flat_map(|side| {
            let backend = &backends[*side];
            let own = format!("{}://{}", backend.scheme(), backend.authority);
            std::iter::once(own).chain(backend.names.iter().cloned())
        })
        .collect();
    let paths: Vec<String> = routes.iter().map(|route| route.path.clone()).collect();
    Addresses::new(&public, &names, &paths)
}

/// The draft without its holes; None if there is one.
fn assemble(
    path: &Path,
    hash: String,
    draft: file::Draft,
    listing: Option<directory::Listing>,
) -> Option<Config> {
    let scheme = draft.split.scheme()?;
    let wishes = draft.split.wishes();
    let mut routes: Vec<Route> = (draft.routes.iter())
        .map(routes::Draft::route)
        .collect::<Option<_>>()?;
    // Longest first, so that the first match is the right one.
    routes.sort_by_key(|route| std::cmp::Reverse(route.path.len()));
    let (legacy, new) = (draft.backends.legacy?, draft.backends.new?);
    let breakers = PerBackend {
        legacy: legacy.breaker,
        new: new.breaker,
    };
    let backends = PerBackend {
        legacy: legacy.upstream.value,
        new: new.upstream.value,
    };
    let addresses = (draft.listen.public.as_ref())
        .map(|public| Arc::new(addresses(public, &backends, &routes)));
    let directory = listing.map(directory::Listing::directory);
    let tenants = match (draft.tenants_file, &directory) {
        (Some(file), Some(directory)) => Some(TenantsFile {
            path: file.value,
            keys: directory.len(),
        }),
        _ => None,
    };
    // A plan that was written and cannot be read was spoken of.
    let plan = match &draft.plan {
        Some(plan) => Some(Arc::new(plan.plan()?)),
        None => None,
    };
    let (rules, rows) = (draft.rows.into_iter())
        .map(|row| (row.rule, row.name_span))
        .unzip();
    Some(Config {
        path: path.to_owned(),
        hash,
        listen: Listen {
            webhooks: draft.listen.webhooks.iter().map(|at| at.value).collect(),
            admin: draft.listen.admin?.value,
            metrics: draft.listen.metrics.map(|at| at.value),
            admin_token: draft.listen.token,
        },
        state: State {
            dir: draft.state_dir,
            on_empty: draft.on_empty,
            keep: draft.keep,
        },
        log: draft.log,
        proxy: Settings {
            public: draft.listen.public,
            trusted_proxies: draft.listen.trusted,
            backends,
            routes,
            directory: directory.map(Arc::new),
            unlisted: draft.unlisted,
            limits: draft.limits,
            short: draft.short?.value,
            addresses,
            token_secret: (draft.listen.token_secret)
                .map(|secret| Arc::from(secret.expose().as_bytes())),
            tls: draft.listen.tls,
        },
        tenants,
        scheme,
        wishes,
        rules,
        mature: draft.mature?.value,
        breakers,
        plan,
        hooks: draft.hooks.into_iter().map(|hook| hook.hook).collect(),
        emergency: draft.emergency.value,
        data: draft.data,
        rows,
    })
}
