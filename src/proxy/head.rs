//! The head a backend receives: the provider's, byte for byte in target and
//! values, minus what belongs to one hop, plus where it came from.
//!
//! Written straight into the buffer that goes to the socket. Nothing but parsed
//! header values is ever copied into it, so no CR, LF or NUL can come along.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::proxy::peer::{FORWARDED_FOR, Peer};
use crate::proxy::settings::{HostHeader, PublicUrl, Upstream};
use crate::proxy::strict;

/// Everything a head is written from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outgoing<'a> {
    /// What the provider sent.
    pub(super) head: &'a Parts,
    /// Path and query as they are to be sent.
    pub(super) target: &'a str,
    /// Length of the body.
    pub(super) body: usize,
    /// Who sent it.
    pub(super) peer: Peer,
    /// What providers were told to call us.
    pub(super) public: Option<&'a PublicUrl>,
    /// Who receives it.
    pub(super) upstream: &'a Upstream,
    /// Three random numbers, for the ids this request gets if it brought none.
    pub(super) lots: [u64; 3],
}

impl Outgoing<'_> {
    /// Appends the head to `out`.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let headers = &self.head.headers;
        out.extend_from_slice(self.head.method.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.target.as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        let received = headers.get(header::HOST).map(HeaderValue::as_bytes);
        line(out, b"host", &[self.host(received)]);
        let one_hop = OneHop::of(headers);
        for (name, value) in headers {
            if !self.is_rewritten(name, value) && !one_hop.names(name) {
                line(out, name.as_str().as_bytes(), &[value.as_bytes()]);
            }
        }
        self.write_forwarded(received, out);
        self.write_ids(out);
        // Explicit whenever there could be a body, so that no backend guesses.
        if self.body > 0 || headers.contains_key(header::CONTENT_LENGTH) {
            let mut digits = [0; 20];
            line(out, b"content-length", &[decimal(self.body, &mut digits)]);
        }
        out.extend_from_slice(b"\r\n");
    }

    fn host<'a>(&'a self, received: Option<&'a [u8]>) -> &'a [u8] {
        let own = self.upstream.authority.as_bytes();
        match self.upstream.host_header {
            HostHeader::Backend => own,
            HostHeader::Public => received.unwrap_or(own),
        }
    }

    /// Is this header written by us, in place of what was received?
    fn is_rewritten(&self, name: &HeaderName, value: &HeaderValue) -> bool {
        match name.as_str() {
            "host" | "content-length" | FORWARDED_FOR => true,
            "x-forwarded-proto" | "x-forwarded-host" => !self.peer.trusted,
            "x-request-id" => !self.keeps_request_id(value),
            _ => false,
        }
    }

    fn keeps_request_id(&self, value: &HeaderValue) -> bool {
        self.peer.trusted && strict::is_request_id(value.as_bytes())
    }

    fn write_forwarded(&self, received_host: Option<&[u8]>, out: &mut Vec<u8>) {
        use std::io::Write as _;
        let headers = &self.head.headers;
        out.extend_from_slice(b"x-forwarded-for: ");
        if self.peer.trusted {
            for hops in headers.get_all(FORWARDED_FOR) {
                out.extend_from_slice(hops.as_bytes());
                out.extend_from_slice(b", ");
            }
        }
        write!(out, "{}\r\n", self.peer.address).expect("writing to a Vec cannot fail");
        if !(self.peer.trusted && headers.contains_key("x-forwarded-proto")) {
            let scheme = self.public.map_or("http", |public| &public.scheme);
            line(out, b"x-forwarded-proto", &[scheme.as_bytes()]);
        }
        if !(self.peer.trusted && headers.contains_key("x-forwarded-host")) {
            let host = self
                .public
                .map(|public| public.authority.as_bytes())
                .or(received_host);
            if let Some(host) = host {
                line(out, b"x-forwarded-host", &[host]);
            }
        }
    }

    fn write_ids(&self, out: &mut Vec<u8>) {
        let headers = &self.head.headers;
        let [high, low, span] = self.lots;
        let (mut trace, mut parent) = ([0; 32], [0; 16]);
        hex(high, &mut trace[..16]);
        hex(low, &mut trace[16..]);
        hex(span | 1, &mut parent);
        let kept = headers
            .get("x-request-id")
            .is_some_and(|id| self.keeps_request_id(id));
        if !kept {
            line(out, b"x-request-id", &[&trace]);
        }
        if !headers.contains_key("traceparent") {
            // The request id is the trace id, so that either finds the other.
            line(
                out,
                b"traceparent",
                &[b"00-", &trace, b"-", &parent, b"-01"],
            );
        }
    }
}

/// The headers that concern one connection only (RFC 9110, 7.6.1): the fixed ones
/// and those that `Connection` names.
#[derive(Debug)]
pub(super) struct OneHop<'a> {
    headers: &'a HeaderMap,
    nominates: bool,
}

impl<'a> OneHop<'a> {
    /// Of these headers.
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        let nominates = headers.get_all(header::CONNECTION).iter().any(|value| {
            let value = value.as_bytes();
            !value.eq_ignore_ascii_case(b"close") && !value.eq_ignore_ascii_case(b"keep-alive")
        });
        Self { headers, nominates }
    }

    /// Is this one of them?
    pub(super) fn names(&self, name: &HeaderName) -> bool {
        is_one_hop(name) || (self.nominates && self.nominated(name.as_str()))
    }

    fn nominated(&self, name: &str) -> bool {
        self.headers
            .get_all(header::CONNECTION)
            .iter()
            .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
            .any(|token| token.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
    }
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

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const PROVIDER: &str = "192.0.2.7";

    fn sent(request: http::request::Builder, body: usize, trusted: bool) -> String {
        let head = request.body(()).unwrap().into_parts().0;
        let upstream = Upstream {
            host: "127.0.0.1".into(),
            port: 3001,
            authority: "127.0.0.1:3001".into(),
            host_header: HostHeader::Public,
        };
        let mut out = Vec::new();
        Outgoing {
            target: head.uri.path_and_query().unwrap().as_str(),
            head: &head,
            body,
            peer: Peer {
                address: PROVIDER.parse().unwrap(),
                trusted,
            },
            public: None,
            upstream: &upstream,
            lots: [1, 2, 3],
        }
        .write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_provider_s_request_keeps_its_order_and_gains_where_it_came_from() {
        let request = Request::post("/ivr?a=%2B1&b")
            .header("Host", "voice.example.com")
            .header("User-Agent", "TwilioProxy/1.1")
            .header("Content-Length", "3")
            .header("X-Twilio-Signature", "Np1nax6uFoY6qpfT5l9jWwJeit0=");
        assert_eq!(
            sent(request, 3, false),
            "POST /ivr?a=%2B1&b HTTP/1.1\r\n\
             host: voice.example.com\r\n\
             user-agent: TwilioProxy/1.1\r\n\
             x-twilio-signature: Np1nax6uFoY6qpfT5l9jWwJeit0=\r\n\
             x-forwarded-for: 192.0.2.7\r\n\
             x-forwarded-proto: http\r\n\
             x-forwarded-host: voice.example.com\r\n\
             x-request-id: 00000000000000010000000000000002\r\n\
             traceparent: 00-00000000000000010000000000000002-0000000000000003-01\r\n\
             content-length: 3\r\n\r\n"
        );
    }

    #[test]
    fn what_belongs_to_one_hop_is_not_passed_on() {
        let head = sent(
            Request::get("/")
                .header("Host", "a")
                .header("Connection", "keep-alive, X-Private")
                .header("X-Private", "1")
                .header("Keep-Alive", "timeout=5")
                .header("Proxy-Authorization", "secret")
                .header("TE", "trailers")
                .header("Trailer", "X")
                .header("Upgrade", "h2c")
                .header("Expect", "100-continue")
                .header("X-Public", "2"),
            0,
            false,
        );
        for gone in [
            "connection",
            "x-private",
            "keep-alive",
            "proxy-",
            "\nte:",
            "trailer",
            "upgrade",
            "expect",
            "content-length",
        ] {
            assert!(!head.contains(gone), "{gone} in {head}");
        }
        assert!(head.contains("x-public: 2\r\n"));
    }

    #[test]
    fn only_a_trusted_proxy_s_forwarding_headers_are_believed() {
        let request = || {
            Request::get("/")
                .header("Host", "a")
                .header("X-Forwarded-For", "203.0.113.9")
                .header("X-Forwarded-Proto", "https")
                .header("X-Forwarded-Host", "public")
                .header("X-Request-Id", "abc-1")
                .header("traceparent", "00-1-2-01")
        };
        let stranger = sent(request(), 0, false);
        assert!(stranger.contains("x-forwarded-for: 192.0.2.7\r\n"));
        assert!(!stranger.contains("203.0.113.9") && !stranger.contains("abc-1"));
        assert!(!stranger.contains("https") && !stranger.contains("public"));
        let trusted = sent(request(), 0, true);
        assert!(trusted.contains("x-forwarded-for: 203.0.113.9, 192.0.2.7\r\n"));
        for kept in [
            "x-forwarded-proto: https",
            "x-forwarded-host: public",
            "x-request-id: abc-1",
        ] {
            assert_eq!(trusted.matches(kept).count(), 1, "{kept} in {trusted}");
        }
        assert_eq!(trusted.matches("traceparent").count(), 1);
    }

    #[test]
    fn an_empty_body_that_was_announced_is_announced_again() {
        let head = sent(Request::post("/").header("Content-Length", "0"), 0, false);
        assert!(head.contains("content-length: 0\r\n"));
        assert!(
            head.contains("host: 127.0.0.1:3001\r\n"),
            "no Host received"
        );
    }

    #[test]
    fn numbers_are_written_as_people_write_them() {
        let mut digits = [0; 20];
        for (number, text) in [(0, "0"), (7, "7"), (8_388_608, "8388608")] {
            assert_eq!(decimal(number, &mut digits), text.as_bytes());
        }
        let mut out = [0; 16];
        hex(0xdead_beef, &mut out);
        assert_eq!(&out, b"00000000deadbeef");
    }
}
