//! The head a backend receives: the provider's, byte for byte in target and
//! values, minus what belongs to one hop, plus where it came from.
//!
//! Written straight into the buffer that goes to the socket. Nothing but parsed
//! header values is ever copied into it, so no CR, LF or NUL can come along.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::protocol::signature::{Signed, TwilioToken};
use crate::proxy::peer::{FORWARDED_FOR, Peer};
use crate::proxy::settings::{HostHeader, PublicUrl, Upstream};
use crate::proxy::strict;
use crate::proxy::websocket;

/// The header that is written anew where a request is signed again.
const TWILIO_SIGNATURE: &str = "x-twilio-signature";

/// Everything a head is written from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outgoing<'a> {
    /// What the provider sent.
    pub(super) head: &'a Parts,
    /// Path and query as they are to be sent.
    pub(super) target: &'a str,
    /// Length of the body.
    pub(super) body: usize,
    /// Its answer is read here, so it must not come encoded.
    pub(super) is_read: bool,
    /// Whether it asks for a websocket.
    pub(super) upgrade: Upgrade,
    /// Who sent it.
    pub(super) peer: Peer,
    /// Its address as text.
    pub(super) peer_text: &'a str,
    /// What providers were told to call us.
    pub(super) public: Option<&'a PublicUrl>,
    /// Who receives it.
    pub(super) upstream: &'a Upstream,
    /// Three random numbers, for the ids this request gets if it brought none.
    pub(super) lots: [u64; 3],
}

/// What a head asks for besides an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upgrade {
    /// Nothing.
    No,
    /// A websocket, as the provider asked for it.
    AsIs,
    /// A websocket as we have granted it to the provider already: without
    /// extensions, with the first subprotocol offered.
    Plain,
}

impl Outgoing<'_> {
    /// The signature by which the backend knows this request for genuine under its
    /// own URL.
    pub(super) fn signed_by(&self, token: &TwilioToken, body: &[u8]) -> HeaderValue {
        token.sign(&Signed {
            method: self.head.method.as_str(),
            scheme: self.upstream.scheme(),
            authority: &self.upstream.authority,
            target: self.target,
            headers: &self.head.headers,
            body,
        })
    }

    /// Appends the head to `out`, with `signature` in place of the provider's.
    pub(super) fn write(&self, signature: Option<&HeaderValue>, out: &mut Vec<u8>) {
        let headers = &self.head.headers;
        out.extend_from_slice(self.head.method.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.target.as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        let received = headers.get(header::HOST).map(HeaderValue::as_bytes);
        line(out, b"host", &[self.host(received)]);
        let one_hop = OneHop::of(headers);
        let mut kept = Kept::default();
        for (name, value) in headers {
            let replaced = signature.is_some() && name == TWILIO_SIGNATURE;
            if !replaced && self.passes(name, value, &mut kept) && !one_hop.nominated(name) {
                line(out, name.as_str().as_bytes(), &[value.as_bytes()]);
            }
        }
        if kept.encodings {
            line(out, b"accept-encoding", &[b"identity"]);
        }
        self.write_upgrade(out);
        if let Some(signature) = signature {
            line(out, TWILIO_SIGNATURE.as_bytes(), &[signature.as_bytes()]);
        }
        self.write_forwarded(received, &kept, out);
        self.write_ids(&kept, out);
        // Explicit whenever there could be a body, so that no backend guesses.
        if self.body > 0 || headers.contains_key(header::CONTENT_LENGTH) {
            let mut digits = [0; 20];
            line(out, b"content-length", &[decimal(self.body, &mut digits)]);
        }
        out.extend_from_slice(b"\r\n");
    }

    fn write_upgrade(&self, out: &mut Vec<u8>) {
        if self.upgrade == Upgrade::No {
            return;
        }
        line(out, b"connection", &[b"Upgrade"]);
        line(out, b"upgrade", &[b"websocket"]);
        if self.upgrade == Upgrade::Plain
            && let Some(protocol) = websocket::first_protocol(&self.head.headers)
        {
            line(out, b"sec-websocket-protocol", &[protocol.as_bytes()]);
        }
    }

    fn host<'a>(&'a self, received: Option<&'a [u8]>) -> &'a [u8] {
        let own = self.upstream.authority.as_bytes();
        match self.upstream.host_header {
            HostHeader::Backend => own,
            HostHeader::Public => received.unwrap_or(own),
        }
    }

    /// Is this header passed on as it came? All names are looked at once, here,
    /// because looking them up one by one costs a hash each.
    fn passes(&self, name: &HeaderName, value: &HeaderValue, kept: &mut Kept) -> bool {
        let keep = match name.as_str() {
            "host" | "content-length" | FORWARDED_FOR => return false,
            "x-forwarded-proto" => &mut kept.proto,
            "x-forwarded-host" => &mut kept.host,
            "x-request-id" => {
                let good = self.peer.trusted && strict::is_request_id(value.as_bytes());
                kept.request_id |= good;
                return good;
            }
            "traceparent" => {
                kept.traceparent = true;
                return true;
            }
            "accept-encoding" => {
                kept.encodings |= self.is_read;
                return !self.is_read;
            }
            "sec-websocket-extensions" | "sec-websocket-protocol" => {
                return self.upgrade != Upgrade::Plain;
            }
            name if is_forwarded(name) => return self.peer.trusted,
            _ => return !is_one_hop(name),
        };
        *keep |= self.peer.trusted;
        self.peer.trusted
    }

    fn write_forwarded(&self, received_host: Option<&[u8]>, kept: &Kept, out: &mut Vec<u8>) {
        out.extend_from_slice(b"x-forwarded-for: ");
        if self.peer.trusted {
            for hops in self.head.headers.get_all(FORWARDED_FOR) {
                out.extend_from_slice(hops.as_bytes());
                out.extend_from_slice(b", ");
            }
        }
        out.extend_from_slice(self.peer_text.as_bytes());
        out.extend_from_slice(b"\r\n");
        if !kept.proto {
            let scheme = self
                .public
                .map_or_else(|| self.peer.scheme(), |public| &public.scheme);
            line(out, b"x-forwarded-proto", &[scheme.as_bytes()]);
        }
        let host = self
            .public
            .map(|public| public.authority.as_bytes())
            .or(received_host);
        if let (false, Some(host)) = (kept.host, host) {
            line(out, b"x-forwarded-host", &[host]);
        }
    }

    fn write_ids(&self, kept: &Kept, out: &mut Vec<u8>) {
        if kept.request_id && kept.traceparent {
            return;
        }
        let [high, low, span] = self.lots;
        let (mut trace, mut parent) = ([0; 32], [0; 16]);
        hex(high, &mut trace[..16]);
        hex(low, &mut trace[16..]);
        hex(span | 1, &mut parent);
        if !kept.request_id {
            line(out, b"x-request-id", &[&trace]);
        }
        if !kept.traceparent {
            // The request id is the trace id, so that either finds the other.
            line(
                out,
                b"traceparent",
                &[b"00-", &trace, b"-", &parent, b"-01"],
            );
        }
    }
}

/// What a request brought along, as far as it decides what we write: what it keeps is
/// not written anew.
#[derive(Clone, Copy, Debug, Default)]
struct Kept {
    proto: bool,
    host: bool,
    request_id: bool,
    traceparent: bool,
    /// Encodings that we cannot read; another word takes their place.
    encodings: bool,
}

/// The headers that `Connection` names as concerning one connection only (RFC
/// 9110, 7.6.1), besides those that always do.
#[derive(Debug)]
struct OneHop<'a> {
    headers: &'a HeaderMap,
    nominates: bool,
}

impl<'a> OneHop<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        let nominates = headers.get_all(header::CONNECTION).iter().any(|value| {
            let value = value.as_bytes();
            !value.eq_ignore_ascii_case(b"close") && !value.eq_ignore_ascii_case(b"keep-alive")
        });
        Self { headers, nominates }
    }

    fn nominated(&self, name: &HeaderName) -> bool {
        self.nominates
            && self
                .headers
                .get_all(header::CONNECTION)
                .iter()
                .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
                .any(|token| {
                    token
                        .trim_ascii()
                        .eq_ignore_ascii_case(name.as_str().as_bytes())
                })
    }
}

/// Does it say where a request came from, in any of the ways that backends
/// believe? With `_` too: CGI and its heirs cannot tell it from `-`.
fn is_forwarded(name: &str) -> bool {
    name == "forwarded"
        || matches!(name.as_bytes(), [b'x', b'-' | b'_', rest @ ..]
            if rest.starts_with(b"forwarded") && matches!(rest.get(9), Some(b'-' | b'_')))
}

/// Does a header of this name concern one connection only?
pub(super) fn is_one_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "expect"
            | "http2-settings"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-authentication-info"
    )
}

fn line(out: &mut Vec<u8>, name: &[u8], value: &[&[u8]]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    for part in value {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(b"\r\n");
}

fn hex(number: u64, out: &mut [u8]) {
    for (index, digit) in out.iter_mut().rev().enumerate() {
        let nibble = (number >> (4 * index)) & 0xf;
        *digit = b"0123456789abcdef"[usize::from(nibble as u8)];
    }
}

fn decimal(number: usize, digits: &mut [u8; 20]) -> &[u8] {
    let mut left = number;
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            return &digits[at..];
        }
    }
}

/// A header as text, if it is there and is text.
pub(super) fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests;
