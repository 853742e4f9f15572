//! `[[route]]`: which paths are webhooks of which provider, and whose calls.

use std::time::Duration;

use http::HeaderName;

use super::file::networks;
use super::problem::{Problem, nearest};
use super::text;
use super::walk::{At, Section, Value, shown};
use crate::model::Protocol;
use crate::proxy::settings::{Affinity, Route};
use crate::split::tenants::Source;

/// When a backend has failed, where a route does not say.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Keys of the contract that later versions obey.
const LATER: [&str; 6] = [
    "verify",
    "entry",
    "rescue",
    "rescue_after",
    "last_resort",
    "affinity",
];

/// Tenant sources of protocols that later versions speak.
const LATER_SOURCES: [&str; 2] = ["phone-number", "assistant"];

/// One route as far as it could be read.
#[derive(Debug)]
pub(super) struct Draft {
    /// Its path.
    pub(super) path: Option<At<String>>,
    /// Its protocol.
    pub(super) protocol: Option<Protocol>,
    /// Where the tenant's key stands.
    pub(super) tenant: Vec<Source>,
    /// Networks allowed to post.
    pub(super) sources: Vec<ipnet::IpNet>,
    /// Paths that mean "served".
    pub(super) served: Vec<At<String>>,
    /// None where it could not be read.
    pub(super) timeout: Option<At<Duration>>,
}

impl Draft {
    /// The route, if nothing is missing.
    pub(super) fn route(&self) -> Option<Route> {
        Some(Route {
            path: self.path.as_ref()?.value.clone(),
            // Whoever runs it numbers it, by what ran before.
            number: 0,
            protocol: self.protocol?,
            tenant: self.tenant.clone(),
            sources: self.sources.clone(),
            served: self.served.iter().map(|path| path.value.clone()).collect(),
            timeout: self.timeout.as_ref()?.value,
            verify: None,
            affinity: Affinity::Memory,
        })
    }
}

/// Reads every route, in file order.
pub(super) fn read(root: &Section<'_>) -> Vec<Draft> {
    let routes: Vec<Draft> = root.rows("route").iter().map(route).collect();
    if root.get("route").is_none_or(|value| value.is_empty_list()) {
        root.problems.add(
            Problem::error(
                None,
                "no [[route]] is named: nothing would be taken for a webhook",
            )
            .help("add [[route]] with path = \"/ivr\" and protocol = \"telnyx-texml\"")
            .follows(),
        );
    }
    routes
}

fn route(section: &Section<'_>) -> Draft {
    let draft = Draft {
        path: section
            .need("path", "\"/ivr\"")
            .and_then(|value| Some(value.at(value.read("\"/ivr\"", text::path)?))),
        protocol: section
            .need("protocol", "\"telnyx-texml\"")
            .and_then(|value| protocol(&value)),
        tenant: match section.get("tenant") {
            Some(value) => sources(&value),
            None => vec![Source::To],
        },
        sources: section
            .get("sources")
            .map(|value| networks(&value))
            .unwrap_or_default(),
        served: section
            .get("served")
            .map(|value| paths(&value))
            .unwrap_or_default(),
        timeout: match section.get("timeout") {
            // Above a minute no provider waits any more.
            Some(value) => value
                .duration(Duration::from_millis(10)..=Duration::from_secs(60))
                .map(|span| value.at(span)),
            None => Some(At {
                value: TIMEOUT,
                span: None,
            }),
        },
    };
    section.finish(&LATER, &[]);
    draft
}

fn protocol(value: &Value<'_>) -> Option<Protocol> {
    if let Some(later @ ("vapi" | "telnyx-call-control")) = value.as_str() {
        value.refuse(
            format!("\"{later}\" is not in this version"),
            "this version speaks `telnyx-texml` and `twilio`",
        );
        return None;
    }
    value.choice(&Protocol::ALL.map(|protocol| (protocol.name(), protocol)))
}

fn paths(value: &Value<'_>) -> Vec<At<String>> {
    value
        .list("a list of paths, for example [\"/ivr/agent\"]")
        .iter()
        .filter_map(|entry| Some(entry.at(entry.read("\"/ivr/agent\"", text::path)?)))
        .collect()
}

fn sources(value: &Value<'_>) -> Vec<Source> {
    let list = value.one_or_more("a list of places, for example [\"to\"]", "[\"to\"]");
    list.iter().filter_map(source).collect()
}

fn source(value: &Value<'_>) -> Option<Source> {
    const WORDS: [&str; 4] = ["to", "from", "connection", "account"];
    const HELP: &str =
        "it is `to`, `from`, `connection`, `account`, `header:NAME`, `query:NAME` or `path:N`";
    let text = value.string("\"to\"")?;
    let (word, rest) = match text.split_once(':') {
        Some((word, rest)) => (word, Some(rest)),
        None => (text, None),
    };
    match (word, rest) {
        ("to", None) => return Some(Source::To),
        ("from", None) => return Some(Source::From),
        ("connection", None) => return Some(Source::Connection),
        ("account", None) => return Some(Source::Account),
        ("header", Some(name)) => {
            if let Ok(name) = HeaderName::try_from(name) {
                return Some(Source::Header(name.as_str().to_owned()));
            }
            value.refuse("names no header", "for example \"header:x-tenant\"");
        }
        ("query", Some(name)) if !name.is_empty() => return Some(Source::Query(name.to_owned())),
        ("path", Some(number)) => match number.parse() {
            Ok(number @ 1..=32) => return Some(Source::Path(number)),
            _ => value.refuse(
                "counts the segments of the path from 1 to 32",
                "for example \"path:2\" for the `b` of /a/b",
            ),
        },
        _ if LATER_SOURCES.contains(&text) || text.starts_with("metadata.") => {
            value.refuse(format!("\"{}\" is not in this version", shown(text)), HELP)
        }
        _ => {
            let help = match nearest(text, &WORDS) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => HELP.to_owned(),
            };
            value.refuse(format!("cannot be \"{}\"", shown(text)), help);
        }
    }
    None
}
