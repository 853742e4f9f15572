//! The sections of the file, read into a draft.
//!
//! A draft keeps where each thing stands and has holes where something was
//! wrong, so that the checks that compare things (`config/check.rs`) can run over
//! what is there, and blame nothing that is not.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use toml::de::DeTable;

use super::problem::{Problem, Problems};
use super::secret::{self, Secret};
use super::walk::{At, Section, Value, shown};
use super::{
    Log, OnEmpty, gate, health, hooks, levels, log, plan, routes, split, tables, text, tls,
};
use crate::breaker;
use crate::hooks::Data;
use crate::measure::scorecard::Mature;
use crate::model::PerBackend;
use crate::proxy::settings::{Claim, HostHeader, Limits, PublicUrl, Upstream};
use crate::proxy::tls::Inward;
use crate::rollout::Emergency;
use crate::split::tenants::Unlisted;

/// The file as far as it could be read.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) listen: Listening,
    pub(super) state_dir: PathBuf,
    pub(super) on_empty: OnEmpty,
    pub(super) keep: Option<Duration>,
    pub(super) limits: Limits,
    pub(super) log: Log,
    pub(super) backends: PerBackend<Option<Backend>>,
    pub(super) routes: Vec<routes::Draft>,
    pub(super) tenants_file: Option<At<PathBuf>>,
    pub(super) unlisted: Unlisted,
    pub(super) short: Option<At<Duration>>,
    pub(super) mature: Option<At<Mature>>,
    pub(super) split: split::Draft,
    /// Rows that could be read.
    pub(super) rows: Vec<tables::Draft>,
    /// How many there are in the file.
    pub(super) rows_written: usize,
    pub(super) plan: Option<plan::Draft>,
    pub(super) hooks: Vec<hooks::Draft>,
    pub(super) emergency: At<Emergency>,
    pub(super) data: Option<Data>,
}

/// `[listen]`.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) webhooks: Vec<At<SocketAddr>>,
    pub(super) admin: Option<At<SocketAddr>>,
    pub(super) metrics: Option<At<SocketAddr>>,
    /// A token was asked for, even if it could not be read.
    pub(super) token_named: bool,
    pub(super) token: Option<Secret>,
    /// A public URL was written, even if it could not be read.
    pub(super) public_named: bool,
    pub(super) public: Option<PublicUrl>,
    pub(super) trusted: Vec<IpNet>,
    /// Where the secret of tokens is named, even if it could not be read.
    pub(super) token_secret_span: Option<Range<usize>>,
    pub(super) token_secret: Option<Secret>,
    pub(super) tls: Option<Arc<Inward>>,
}

/// One `[backend.X]`.
#[derive(Debug)]
pub(super) struct Backend {
    /// What the edge obeys; its span is that of `url`.
    pub(super) upstream: At<Upstream>,
    /// Its `names`, as they stand in `upstream`.
    pub(super) names: Vec<At<String>>,
    /// Where `claim` stands.
    pub(super) claim_span: Option<Range<usize>>,
    /// When it is not asked any more, if ever.
    pub(super) breaker: Option<breaker::Settings>,
}

/// Reads every section. `base` is where the files that it names are looked for.
pub(super) fn draft(table: &DeTable<'_>, problems: &Problems, base: &Path) -> Draft {
    let root = Section::root(table, problems);
    // In the order of the documentation, which is also how known keys are listed.
    let listen = listen(&root.section("listen", "[listen]"), base);
    let (state_dir, on_empty, keep) = state(&root.section("state", "[state]"));
    let limits = limits(&root.section("limits", "[limits]"));
    let log = log::read(&root.section("log", "[log]"));
    let backends = backends(&root, base);
    let routes = routes::read(&root, base);
    let (tenants_file, unlisted) = tenants(&root.section("tenants", "[tenants]"), base);
    let (short, mature) = calls(&root.section("calls", "[calls]"));
    let split = split::read(&root.section("split", "[split]"));
    let rows = tables::read(&root);
    let plan = plan::read(&root, split.hash.as_ref());
    let hooks = hooks::read(&root);
    let emergency = levels::emergency(&root.section("emergency", "[emergency]"));
    let data = levels::rollback(&root.section("rollback", "[rollback]"));
    let draft = Draft {
        listen,
        state_dir,
        on_empty,
        keep,
        limits,
        log,
        backends,
        routes,
        tenants_file,
        unlisted,
        short,
        mature,
        split,
        rows_written: rows.len(),
        rows: rows.into_iter().flatten().collect(),
        plan,
        hooks,
        emergency,
        data,
    };
    root.finish(&["notify"], &[]);
    draft
}

fn listen(section: &Section<'_>, base: &Path) -> Listening {
    let webhooks = match section.get("webhooks") {
        Some(value) => {
            let list = value.one_or_more("an address or a list of addresses", "\"0.0.0.0:8080\"");
            addresses(&list)
        }
        None => vec![default(SocketAddr::from(([0, 0, 0, 0], 8080)))],
    };
    let admin = match section.get("admin") {
        Some(value) => value.address().map(|address| value.at(address)),
        None => Some(default(SocketAddr::from(([127, 0, 0, 1], 9901)))),
    };
    let metrics = section
        .get("metrics")
        .and_then(|value| value.address().map(|address| value.at(address)));
    let token = section.get("admin_token");
    let public = section.get("public_url");
    let token_secret = section.get("token_secret");
    let listening = Listening {
        webhooks,
        admin,
        metrics,
        token_named: token.is_some(),
        token: token.and_then(|value| secret::read(&value, base)),
        public_named: public.is_some(),
        public: public.and_then(|value| {
            let origin = value.read("\"https://voice.example.com\"", text::origin)?;
            Some(PublicUrl {
                scheme: origin.scheme.to_owned(),
                authority: origin.authority(),
            })
        }),
        trusted: section
            .get("trusted_proxies")
            .map(|value| networks(&value))
            .unwrap_or_default(),
        token_secret_span: token_secret.as_ref().map(|value| value.key_span.clone()),
        token_secret: token_secret.and_then(|value| secret::read(&value, base)),
        tls: tls::inward(section, base),
    };
    section.finish(&[], &[]);
    listening
}

fn addresses(list: &[Value<'_>]) -> Vec<At<SocketAddr>> {
    list.iter()
        .filter_map(|value| Some(value.at(value.address()?)))
        .collect()
}

const fn default<T>(value: T) -> At<T> {
    At { value, span: None }
}

/// A list of networks.
pub(super) fn networks(value: &Value<'_>) -> Vec<IpNet> {
    value
        .list("a list of networks, for example [\"10.0.0.0/8\"]")
        .iter()
        .filter_map(|entry| entry.read("\"10.0.0.0/8\"", text::network))
        .collect()
}

fn state(section: &Section<'_>) -> (PathBuf, OnEmpty, Option<Duration>) {
    // What an operator reads of yesterday must be there, and a century is for ever.
    const KEEP: std::ops::RangeInclusive<Duration> =
        Duration::from_secs(86_400)..=Duration::from_secs(36_525 * 86_400);
    let dir = section
        .get("dir")
        .and_then(|value| value.string("\"/var/lib/switchback\""))
        .unwrap_or("/var/lib/switchback");
    let on_empty = section
        .get("on_empty")
        .and_then(|value| value.choice(&[("legacy", OnEmpty::Legacy), ("file", OnEmpty::File)]))
        .unwrap_or_default();
    let keep = section.get("keep").and_then(|value| value.duration(KEEP));
    section.finish(&[], &[]);
    (PathBuf::from(dir), on_empty, keep)
}

fn limits(section: &Section<'_>) -> Limits {
    const MOMENT: Duration = Duration::from_millis(100);
    const HOUR: Duration = Duration::from_secs(3600);
    let given = Limits::default();
    let count = |key, most| {
        let value = section.get(key)?.integer(1..=most)?;
        usize::try_from(value).ok()
    };
    let time = |key, least| section.get(key)?.duration(least..=HOUR);
    let limits = Limits {
        // 200 bytes each: ten million are 2 GB, which is as much as one table should hold.
        calls: count("calls", 10_000_000).unwrap_or(given.calls),
        body: section
            .get("body")
            .and_then(|value| value.size(1 << 10..=1 << 30))
            .unwrap_or(given.body),
        connections: count("connections", 1_000_000).unwrap_or(given.connections),
        head_timeout: time("head_timeout", MOMENT).unwrap_or(given.head_timeout),
        body_timeout: time("body_timeout", MOMENT).unwrap_or(given.body_timeout),
        idle_timeout: time("idle_timeout", MOMENT).unwrap_or(given.idle_timeout),
        drain_timeout: time("drain_timeout", Duration::ZERO).unwrap_or(given.drain_timeout),
        stream_drain_timeout: time("stream_drain_timeout", Duration::ZERO)
            .unwrap_or(given.stream_drain_timeout),
        stream_idle_timeout: time("stream_idle_timeout", Duration::from_secs(1))
            .unwrap_or(given.stream_idle_timeout),
        streams: count("streams", 1_000_000).unwrap_or(given.streams),
        connections_per_source: section
            .get("connections_per_source")
            .and_then(|value| value.integer(0..=1_000_000))
            .and_then(|count| usize::try_from(count).ok())
            .unwrap_or(given.connections_per_source),
        rescues: count("rescues", 1_000_000).unwrap_or(given.rescues),
    };
    section.finish(
        &[],
        &[(
            "timeout",
            "the time a backend has to answer is `timeout` of its [[route]]",
        )],
    );
    limits
}

fn backends(root: &Section<'_>, base: &Path) -> PerBackend<Option<Backend>> {
    let section = root.section("backend", "[backend]");
    if !section.is_there() && section.span.is_none() {
        root.problems.add(
            Problem::error(None, "no backend is named")
                .help("add [backend.legacy] and [backend.new], each with a `url`")
                .follows(),
        );
        return PerBackend::default();
    }
    let backends = PerBackend {
        legacy: backend(
            &section,
            &section.section("legacy", "[backend.legacy]"),
            base,
        ),
        new: backend(&section, &section.section("new", "[backend.new]"), base),
    };
    section.finish(
        &[],
        &[("url", "write it under [backend.legacy] or [backend.new]")],
    );
    backends
}

fn backend(parent: &Section<'_>, section: &Section<'_>, base: &Path) -> Option<Backend> {
    if !section.is_there() {
        // Of the wrong kind was already said.
        if section.span.is_none() {
            parent.problems.add(
                Problem::error(parent.span.clone(), format!("{} is missing", section.name))
                    .help("there are exactly two backends, `legacy` and `new`, each with a `url`")
                    .follows(),
            );
        }
        return None;
    }
    let host_header = section
        .get("host")
        .and_then(|value| {
            value.choice(&[
                ("public", HostHeader::Public),
                ("backend", HostHeader::Backend),
            ])
        })
        .unwrap_or(HostHeader::Public);
    let url = section.need("url", "\"http://127.0.0.1:3001\"");
    let names = section
        .get("names")
        .map(|value| names(&value))
        .unwrap_or_default();
    let claimed = section.get("claim");
    let claim_span = claimed.as_ref().map(Value::span);
    let claim = claimed.and_then(|value| claim(&value));
    let cap = gate::read(section);
    let breaker = health::breaker(section);
    let health = health::read(section);
    let origin = (url.as_ref()).and_then(|url| url.read("\"http://127.0.0.1:3001\"", text::origin));
    let (Some(url), Some(origin)) = (url, origin) else {
        // What it would be held against is missing.
        drop(section.get("tls"));
        section.finish(&[], &[]);
        return None;
    };
    let tls = tls::outward(section, &url, &origin, base);
    section.finish(&[], &[]);
    let tls = tls.ok()?;
    let upstream = url.at(Upstream {
        authority: origin.authority(),
        host: origin.host,
        port: origin.port,
        host_header,
        names: names.iter().map(|name| name.value.clone()).collect(),
        claim,
        cap,
        health,
        tls,
    });
    Some(Backend {
        upstream,
        names,
        claim_span,
        breaker,
    })
}

fn names(value: &Value<'_>) -> Vec<At<String>> {
    const EXAMPLE: &str = "[\"https://ivr-new.example.com\"]";
    value
        .one_or_list(&format!("a list of URLs, for example {EXAMPLE}"))
        .iter()
        .filter_map(|name| {
            let origin = name.read("\"https://ivr-new.example.com\"", text::origin)?;
            Some(name.at(format!("{}://{}", origin.scheme, origin.authority())))
        })
        .collect()
}

fn claim(value: &Value<'_>) -> Option<Claim> {
    let table = value.table("`claim`")?;
    let word = |key, example: &str| {
        let value = table.need(key, example)?;
        Some(value.string(example)?.to_owned())
    };
    let (query, value) = (word("query", "\"origin\""), word("value", "\"new\""));
    table.finish(&[], &[]);
    Some(Claim {
        query: query?,
        value: value?,
    })
}

fn tenants(section: &Section<'_>, base: &Path) -> (Option<At<PathBuf>>, Unlisted) {
    let file = section.get("file").and_then(|value| {
        let name = value.string("\"tenants.csv\"")?;
        Some(value.at(base.join(name)))
    });
    let unlisted = section.get("unlisted");
    let chosen = unlisted
        .as_ref()
        .and_then(|value| value.choice(&[("legacy", Unlisted::Legacy), ("key", Unlisted::Key)]));
    if let (Some(value), true) = (&unlisted, section.get("file").is_none()) {
        section.problems.add(
            Problem::warning(
                Some(value.span()),
                "`unlisted` means nothing without a `file`: the key itself is the tenant",
            )
            .help("name a `file`, or remove the line")
            .follows(),
        );
    }
    section.finish(&[], &[]);
    (file, chosen.unwrap_or_default())
}

fn calls(section: &Section<'_>) -> (Option<At<Duration>>, Option<At<Mature>>) {
    // Windows hold one hour: what ripens later would never be in one.
    const RANGE: std::ops::RangeInclusive<Duration> =
        Duration::from_secs(1)..=Duration::from_secs(3600);
    let short = match section.get("short") {
        Some(value) => value
            .duration(Duration::ZERO..=Duration::from_secs(3600))
            .map(|span| value.at(span)),
        None => Some(default(Duration::from_secs(5))),
    };
    let mature = match section.get("mature") {
        Some(value) if value.as_str() == Some("auto") => Some(value.at(Mature::Auto)),
        Some(value) if value.as_str().and_then(text::duration).is_none() => {
            let word = value.as_str().map(shown).unwrap_or_default();
            value.refuse(
                format!("cannot be \"{word}\""),
                "it is \"auto\" or a duration such as \"10m\"",
            );
            None
        }
        Some(value) => value
            .duration(RANGE)
            .map(|span| value.at(Mature::After(span))),
        None => Some(default(Mature::Auto)),
    };
    section.finish(&[], &[]);
    (short, mature)
}
