//! `[[route]]`: which paths are webhooks of which provider, and whose calls.

use std::path::Path;
use std::time::Duration;

use http::HeaderName;

use super::file::networks;
use super::problem::{Problem, nearest};
use super::rescue;
use super::text;
use super::verify;
use super::walk::{At, Section, Value, shown};
use crate::model::Protocol;
use crate::proxy::settings::{Affinity, Route};
use crate::split::tenants::Source;

/// When a backend has failed, where a route does not say. Vapi waits 20 s for a tool;
/// its shorter patience with an assistant-request is no matter of the file.
const fn timeout(protocol: Option<Protocol>) -> Duration {
    match protocol {
        Some(Protocol::Vapi) => Duration::from_secs(20),
        _ => Duration::from_secs(10),
    }
}

/// One route as far as it could be read.
#[derive(Debug)]
pub(super) struct Draft {
    /// Its path.
    pub(super) path: Option<At<String>>,
    /// Its protocol.
    pub(super) protocol: Option<Protocol>,
    /// Where the tenant's key stands.
    pub(super) tenant: Vec<At<Source>>,
    /// Networks allowed to post.
    pub(super) sources: Vec<ipnet::IpNet>,
    /// Paths that mean "served".
    pub(super) served: Vec<At<String>>,
    /// None where it could not be read.
    pub(super) timeout: Option<At<Duration>>,
    /// How genuine webhooks are told, if the file says anything of it.
    pub(super) verify: Option<verify::Draft>,
    /// Where a call's backend is remembered.
    pub(super) affinity: At<Affinity>,
    /// What is done for a caller whose backend fails.
    pub(super) rescue: rescue::Draft,
}

impl Draft {
    /// The route, if nothing is missing.
    pub(super) fn route(&self) -> Option<Route> {
        let (protocol, timeout) = (self.protocol?, self.timeout.as_ref()?.value);
        Some(Route {
            path: self.path.as_ref()?.value.clone(),
            // Whoever runs it numbers it, by what ran before.
            number: 0,
            protocol,
            tenant: self.tenant.iter().map(|at| at.value.clone()).collect(),
            sources: self.sources.clone(),
            served: self.served.iter().map(|path| path.value.clone()).collect(),
            timeout,
            verify: match &self.verify {
                Some(draft) => draft.verify()?,
                None => None,
            },
            affinity: self.affinity.value,
            rescue: self.rescue.rescue(protocol, timeout),
        })
    }
}

/// Reads every route, in file order.
pub(super) fn read(root: &Section<'_>, base: &Path) -> Vec<Draft> {
    let rows = root.rows("route");
    let routes: Vec<Draft> = rows.iter().map(|row| route(row, base)).collect();
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

fn route(section: &Section<'_>, base: &Path) -> Draft {
    let protocol = section.need("protocol", "\"telnyx-texml\"");
    let protocol = protocol.and_then(|value| protocol_of(&value));
    let draft = Draft {
        path: section
            .need("path", "\"/ivr\"")
            .and_then(|value| Some(value.at(value.read("\"/ivr\"", text::path)?))),
        protocol,
        tenant: match section.get("tenant") {
            Some(value) => sources(&value),
            None => vec![At {
                value: Source::To,
                span: None,
            }],
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
                value: timeout(protocol),
                span: None,
            }),
        },
        verify: section
            .get("verify")
            .and_then(|value| verify::read(&value, protocol, base)),
        affinity: match section.get("affinity") {
            Some(value) => value.at(value.choice(&WHERE).unwrap_or_default()),
            None => At {
                value: Affinity::Memory,
                span: None,
            },
        },
        rescue: rescue::read(section, protocol, base),
    };
    section.finish(&[], &[]);
    draft
}

/// Where a call's backend is remembered.
const WHERE: [(&str, Affinity); 2] = [("memory", Affinity::Memory), ("url", Affinity::Url)];

fn protocol_of(value: &Value<'_>) -> Option<Protocol> {
    value.choice(&Protocol::ALL.map(|protocol| (protocol.name(), protocol)))
}

fn paths(value: &Value<'_>) -> Vec<At<String>> {
    value
        .list("a list of paths, for example [\"/ivr/agent\"]")
        .iter()
        .filter_map(|entry| Some(entry.at(entry.read("\"/ivr/agent\"", text::path)?)))
        .collect()
}

fn sources(value: &Value<'_>) -> Vec<At<Source>> {
    let list = value.one_or_more("a list of places, for example [\"to\"]", "[\"to\"]");
    list.iter()
        .filter_map(|entry| Some(entry.at(source(entry)?)))
        .collect()
}

fn source(value: &Value<'_>) -> Option<Source> {
    const HELP: &str = "it is `to`, `from`, `connection`, `account`, `phone-number`, `assistant`, \
                        `metadata.KEY`, `header:NAME`, `query:NAME` or `path:N`";
    let text = value.string("\"to\"")?;
    if let Some((_, source)) = WORDS.iter().find(|(word, _)| *word == text) {
        return Some(source.clone());
    }
    if let Some(key) = text.strip_prefix("metadata.") {
        if !key.is_empty() {
            return Some(Source::Metadata(key.to_owned()));
        }
        value.refuse("names no key", "for example \"metadata.tenant\"");
        return None;
    }
    match text.split_once(':') {
        Some(("header", name)) => {
            if let Ok(name) = HeaderName::try_from(name) {
                return Some(Source::Header(name.as_str().to_owned()));
            }
            value.refuse("names no header", "for example \"header:x-tenant\"");
        }
        Some(("query", name)) if !name.is_empty() => return Some(Source::Query(name.to_owned())),
        Some(("path", number)) => match number.parse() {
            Ok(number @ 1..=32) => return Some(Source::Path(number)),
            _ => value.refuse(
                "counts the segments of the path from 1 to 32",
                "for example \"path:2\" for the `b` of /a/b",
            ),
        },
        _ => {
            let words = WORDS.map(|(word, _)| word);
            let help = match nearest(text, &words) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => HELP.to_owned(),
            };
            value.refuse(format!("cannot be \"{}\"", shown(text)), help);
        }
    }
    None
}

/// Sources that are one word.
const WORDS: [(&str, Source); 6] = [
    ("to", Source::To),
    ("from", Source::From),
    ("connection", Source::Connection),
    ("account", Source::Account),
    ("phone-number", Source::PhoneNumber),
    ("assistant", Source::Assistant),
];

/// A source as the file writes it.
pub(super) fn written(source: &Source) -> String {
    match source {
        Source::Metadata(key) => format!("metadata.{key}"),
        Source::Header(name) => format!("header:{name}"),
        Source::Query(name) => format!("query:{name}"),
        Source::Path(number) => format!("path:{number}"),
        word => (WORDS.iter())
            .find(|(_, source)| source == word)
            .map_or_else(String::new, |(word, _)| (*word).to_owned()),
    }
}

/// What webhooks of a protocol carry of the sources that are one word, and
/// `metadata.KEY`. Whatever is in an address or a header may come with any.
pub(super) const fn carried(protocol: Protocol) -> &'static [&'static str] {
    match protocol {
        Protocol::TelnyxTexml | Protocol::TelnyxCallControl => {
            &["to", "from", "connection", "account"]
        }
        Protocol::Twilio => &["to", "from", "account"],
        Protocol::Vapi => &[
            "to",
            "from",
            "account",
            "phone-number",
            "assistant",
            "metadata.KEY",
        ],
    }
}
