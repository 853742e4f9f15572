//! Finds the URLs of servers in an answer, wherever an assistant may carry one.
//!
//! An assistant may name a server of its own, and so may each of its tools, its
//! voice, its plans and every member of a squad; whatever comes of the call goes
//! there. So every member `server` with a `url` in it is found, at any depth, and the
//! older `serverUrl`. What the application keeps for itself (metadata, variables)
//! or says to a model (a tool's parameters) is left alone.
//!
//! The answer is never built anew: the strings are found as slices of it and
//! replaced in place. Parts without the word `server` are stepped over.
//!
//! **Bounds**: [`MAX_LEVELS`] of nesting are looked into, [`MAX_URLS`] URLs are led
//! home; what lies beyond stays as it is. A name written with escapes is not found.

use std::borrow::Cow;
use std::fmt;

use memchr::memmem;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::without_mark;

/// How deep servers are looked for. A tool's server in a squad's member lies nine
/// levels down; each level reads once again what the one above stepped over.
const MAX_LEVELS: usize = 24;

/// The most URLs that are changed in one answer.
const MAX_URLS: usize = 1000;

const WORD: &str = "server";

/// The answer with the URLs for which `lead` has another; None: there are none.
pub(super) fn rewrite(answer: &[u8], lead: impl Fn(&str) -> Option<String>) -> Option<Vec<u8>> {
    memmem::find(answer, WORD.as_bytes())?;
    let mut rest = answer;
    let mut at = 0;
    let mut out = Vec::new();
    for (start, literal) in urls(answer) {
        let new = text(literal).and_then(|url| lead(&url));
        let Some(new) = new.and_then(|url| serde_json::to_string(&url).ok()) else {
            continue;
        };
        let (kept, tail) = rest.split_at_checked(start.checked_sub(at)?)?;
        out.extend_from_slice(kept);
        out.extend_from_slice(new.as_bytes());
        rest = tail.get(literal.len()..)?;
        at = start + literal.len();
    }
    if at == 0 {
        return None;
    }
    out.extend_from_slice(rest);
    Some(out)
}

/// The servers' URLs as they stand in the answer, quotation marks and all, with
/// their places. None of what is no JSON.
fn urls(answer: &[u8]) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    if let Ok(whole) = serde_json::from_slice::<&RawValue>(without_mark(answer).trim_ascii()) {
        look_into(whole.get(), MAX_LEVELS, &mut found);
    }
    let start = answer.as_ptr().addr();
    found
        .into_iter()
        .filter_map(|literal| Some((literal.as_ptr().addr().checked_sub(start)?, literal)))
        .collect()
}

fn look_into<'a>(value: &'a str, levels: usize, found: &mut Vec<&'a str>) {
    let Some(levels) = levels.checked_sub(1) else {
        return;
    };
    if memmem::find(value.as_bytes(), WORD.as_bytes()).is_none() {
        return;
    }
    match value.as_bytes().first() {
        Some(b'{') => {
            let Ok(Members(members)) = serde_json::from_str::<Members<'a>>(value) else {
                return;
            };
            for (name, member) in members {
                match name {
                    Name::Server => server(member.get(), levels, found),
                    Name::ServerUrl => keep(member.get(), found),
                    Name::Other => look_into(member.get(), levels, found),
                }
            }
        }
        Some(b'[') => {
            let items = serde_json::from_str::<Vec<&'a RawValue>>(value).unwrap_or_default();
            for item in items {
                look_into(item.get(), levels, found);
            }
        }
        _ => {}
    }
}

fn server<'a>(value: &'a str, levels: usize, found: &mut Vec<&'a str>) {
    #[derive(serde::Deserialize)]
    struct Server<'a> {
        #[serde(borrow)]
        url: &'a RawValue,
    }
    let object = value.starts_with('{').then_some(value);
    match object.and_then(|object| serde_json::from_str::<Server<'a>>(object).ok()) {
        Some(Server { url }) => keep(url.get(), found),
        None => look_into(value, levels, found),
    }
}

fn keep<'a>(literal: &'a str, found: &mut Vec<&'a str>) {
    if literal.starts_with('"') && found.len() < MAX_URLS {
        found.push(literal);
    }
}

fn text(literal: &str) -> Option<Cow<'_, str>> {
    if literal.contains('\\') {
        return serde_json::from_str(literal).map(Cow::Owned).ok();
    }
    literal
        .strip_prefix('"')?
        .strip_suffix('"')
        .map(Cow::Borrowed)
}

/// An object's members that a server may lie in, in order.
struct Members<'a>(Vec<(Name, &'a RawValue)>);

enum Name {
    Server,
    ServerUrl,
    Other,
}

/// What a member's name says; None: the member is not ours to look into.
struct Named(Option<Name>);

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OfName;
        impl Visitor<'_> for OfName {
            type Value = Named;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Named, E> {
                Ok(Named(match name {
                    "server" => Some(Name::Server),
                    "serverUrl" => Some(Name::ServerUrl),
                    "metadata" | "variableValues" | "parameters" | "headers" => None,
                    _ => Some(Name::Other),
                }))
            }
        }
        from.deserialize_str(OfName)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OfObject;
        impl<'de> Visitor<'de> for OfObject {
            type Value = Members<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(Named(name)) = map.next_key()? {
                    match name {
                        Some(name) => members.push((name, map.next_value()?)),
                        None => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(OfObject)
    }
}

#[cfg(test)]
mod tests;
