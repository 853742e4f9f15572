//! Which URL Twilio signed: the one it was given, as it wrote it down.

use std::borrow::Cow;
use std::iter;

use http::header::UPGRADE;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_encode};

use crate::protocol::form;
use crate::protocol::signature::Signed;

/// The URLs that may have been signed, the likeliest first: at most twelve.
pub(super) fn urls<'a>(signed: &'a Signed<'a>) -> impl Iterator<Item = String> + 'a {
    let (scheme, fallback) = schemes(signed);
    iter::once(scheme).chain(fallback).flat_map(move |scheme| {
        targets(signed.target).flat_map(move |target| {
            let other = other_authority(scheme, signed.authority);
            iter::once(Cow::Borrowed(signed.authority))
                .chain(other)
                .map(move |authority| url(scheme, &authority, &target))
        })
    })
}

pub(super) fn url(scheme: &str, authority: &str, target: &str) -> String {
    [scheme, "://", authority, target].concat()
}

/// The scheme that was signed. A websocket's handshake is signed with its own; should
/// it be otherwise, that of the request is tried as well.
pub(super) fn schemes<'a>(signed: &Signed<'a>) -> (&'a str, Option<&'a str>) {
    let upgrade = signed.headers.get(UPGRADE);
    let is_websocket = upgrade.is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"websocket"));
    match signed.scheme {
        "https" if is_websocket => ("wss", Some("https")),
        "http" if is_websocket => ("ws", Some("http")),
        scheme => (scheme, None),
    }
}

/// The same host without its port, or with the scheme's own.
pub(super) fn other_authority<'a>(scheme: &str, authority: &'a str) -> Option<Cow<'a, str>> {
    let is_port = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match authority.rsplit_once(':') {
        Some((host, port)) if is_port(port) => Some(host.into()),
        _ => {
            let port = match scheme {
                "https" | "wss" => "443",
                "http" | "ws" => "80",
                _ => return None,
            };
            Some(format!("{authority}:{port}").into())
        }
    }
}

/// The target as it came, and with its query escaped in the two other ways that
/// Twilio's own library tries: as browsers do, and as Node's older module does.
fn targets(target: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let parts = target.split_once('?');
    let as_browsers = iter::once_with(move || {
        let (path, query) = parts?;
        Some(format!(
            "{path}?{}",
            percent_encode(query.as_bytes(), &QUERY)
        ))
    });
    let as_node = iter::once_with(move || {
        let (path, query) = parts?;
        Some(format!("{path}?{}", encoded_as_node(query)))
    });
    let others = as_browsers.chain(as_node).flatten();
    iter::once(Cow::Borrowed(target))
        .chain(others.filter(move |other| other != target).map(Cow::Owned))
}

/// What the URL standard escapes in a query (`special-query percent-encode set`).
const QUERY: AsciiSet = CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'\'');

/// What Node's `querystring.escape` escapes: all but letters, digits and these.
pub(super) const COMPONENT: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// A query taken apart and put together again.
fn encoded_as_node(query: &str) -> String {
    let mut encoded = String::with_capacity(query.len());
    let mut bytes = Vec::new();
    for field in form::fields(query.as_bytes()) {
        if !encoded.is_empty() {
            encoded.push('&');
        }
        for (part, between) in [(field.name, "="), (field.value, "")] {
            bytes.clear();
            form::decode_into(part, &mut bytes);
            encoded.extend(percent_encode(&bytes, &COMPONENT));
            encoded.push_str(between);
        }
    }
    encoded
}
