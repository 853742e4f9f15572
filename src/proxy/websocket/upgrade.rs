//! Handshakes (RFC 6455, 4): which request is one, and asking a backend for the
//! same thing.

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};

use crate::document;
use crate::model::Backend;
use crate::proxy::answer::{Head, Malformed};
use crate::proxy::pool::Link;
use crate::proxy::settings::Upstream;
use crate::proxy::upstream::{self, Answer, Failure};
use crate::proxy::worker::Worker;

/// What the key is hashed with.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Is it a client's opening handshake, to the letter? Other requests with an
/// `Upgrade` are requests, and the header, as any of one hop, is not passed on.
pub(in crate::proxy) fn is_handshake(head: &Parts) -> bool {
    let headers = &head.headers;
    head.method == Method::GET
        && head.version == Version::HTTP_11
        && lists(headers, &header::UPGRADE, "websocket")
        && lists(headers, &header::CONNECTION, "upgrade")
        && only(headers, &header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13")
        && only(headers, &header::SEC_WEBSOCKET_KEY).is_some_and(is_key)
}

/// What proves that the handshake with this key was understood.
pub(super) fn accept(head: &Parts) -> HeaderValue {
    let key = head.headers.get(header::SEC_WEBSOCKET_KEY);
    let key = key.map(HeaderValue::as_bytes).unwrap_or_default();
    let hash = digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID].concat());
    HeaderValue::try_from(STANDARD.encode(hash)).expect("base64 can stand in a header")
}

/// What we agree to by ourselves: no extension, and the first subprotocol.
pub(super) fn agreed(head: &Parts) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept(head));
    if let Some(protocol) = first_protocol(&head.headers)
        && let Ok(protocol) = HeaderValue::from_str(protocol)
    {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    headers
}

/// The first subprotocol that is offered, if any is.
pub(in crate::proxy) fn first_protocol(headers: &HeaderMap) -> Option<&str> {
    let offered = headers.get(header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    let first = offered.split(',').next()?.trim();
    (!first.is_empty()).then_some(first)
}

/// What a backend said to a handshake.
#[derive(Debug)]
pub(super) enum Said {
    /// It switched; with its first bytes as a websocket.
    Yes(Link, Head, Bytes),
    /// It answered like any request.
    No(Answer),
}

/// Asks a backend, on a connection of its own: one that was used before could die
/// under us, and a handshake is not sent twice.
///
/// # Errors
///
/// The backend gave no answer, or one that is none to this handshake.
pub(super) async fn ask(
    worker: &Worker,
    (backend, to): (Backend, &Upstream),
    message: &[u8],
    accept: &HeaderValue,
) -> Result<Said, Failure> {
    let connected = worker.pools[backend].connect(to).await;
    let mut link = connected.map_err(|error| worker.no_connection(error))?;
    upstream::send(&mut link, message, &[]).await?;
    upstream::wait(&mut link).await?;
    let mut input = vec![0; upstream::INPUT];
    let (head, rest) = upstream::receive_head(&mut link, &mut input, &Method::GET, true).await?;
    if head.status != StatusCode::SWITCHING_PROTOCOLS {
        let answer = upstream::body(&mut link, &mut input, head, rest, document::MAX_BYTES).await?;
        return Ok(Said::No(answer));
    }
    if only(&head.headers, &header::SEC_WEBSOCKET_ACCEPT) != Some(accept) {
        return Err(Malformed("its Sec-WebSocket-Accept is not to our key").into());
    }
    Ok(Said::Yes(link, head, rest))
}

fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .any(|listed| listed.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Sixteen bytes in base64?
fn is_key(key: &HeaderValue) -> bool {
    key.len() == 24 && STANDARD.decode(key).is_ok_and(|key| key.len() == 16)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const GOOD: [(&str, &str); 4] = [
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn head(method: Method, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri("/ivr/stream");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    /// A good handshake with one header given another value, or none.
    fn with(name: &str, value: Option<&str>) -> Parts {
        let mut headers: Vec<_> = GOOD.into_iter().filter(|(n, _)| *n != name).collect();
        headers.extend(value.map(|value| (name, value)));
        head(Method::GET, &headers)
    }

    #[test]
    fn a_handshake_is_what_the_rfc_says_and_nothing_else() {
        assert!(is_handshake(&head(Method::GET, &GOOD)));
        assert!(is_handshake(&with(
            "connection",
            Some("keep-alive, upgrade")
        )));
        assert!(is_handshake(&with("upgrade", Some("h2c, WebSocket"))));
        assert!(!is_handshake(&head(Method::POST, &GOOD)));
        for (name, value) in [
            ("upgrade", None),
            ("upgrade", Some("h2c")),
            ("connection", None),
            ("connection", Some("close")),
            ("sec-websocket-version", None),
            ("sec-websocket-version", Some("8")),
            ("sec-websocket-key", None),
            ("sec-websocket-key", Some("")),
            ("sec-websocket-key", Some("dGhlIHNhbXBsZSBub25j")),
            ("sec-websocket-key", Some("dGhlIHNhbXBsZSBub25jZS4u")),
            ("sec-websocket-key", Some("dGhlIHNhbXBsZSBub25jZ!==")),
        ] {
            assert!(!is_handshake(&with(name, value)), "{name}: {value:?}");
        }
        let twice = [&GOOD[..], &GOOD[3..]].concat();
        assert!(!is_handshake(&head(Method::GET, &twice)), "two keys");
        let mut old = head(Method::GET, &GOOD);
        old.version = Version::HTTP_10;
        assert!(!is_handshake(&old));
    }

    #[test]
    fn the_proof_is_the_rfc_s_own_example() {
        let accept = accept(&head(Method::GET, &GOOD));
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn of_several_subprotocols_the_first_is_meant() {
        for (offered, first) in [
            (Some("audio.v1, audio.v2"), Some("audio.v1")),
            (Some("one"), Some("one")),
            (Some(""), None),
            (None, None),
        ] {
            let head = with("sec-websocket-protocol", offered);
            assert_eq!(first_protocol(&head.headers), first, "{offered:?}");
        }
    }
}
