//! What is refused before anything is routed: a pure function over the head.
//!
//! hyper by itself relays `CONNECT`, requests without a `Host` or with several,
//! and lists of transfer codings. What is refused here reaches no backend, and
//! where the end of the request is in doubt the connection closes too.

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version, header};

use crate::proxy::framing::is_token;

/// The longest request target; more is 414.
pub(super) const TARGET_MAX: usize = 8 * 1024;

/// A request that is not relayed, and what its sender is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The answer's status.
    pub(super) status: StatusCode,
    /// The answer's body: one line for whoever reads a log at the other end.
    pub(super) text: &'static str,
    /// The connection must not be used again: its framing is in doubt, or a body
    /// that nobody wants is still on its way.
    pub(super) close: bool,
}

impl Refusal {
    /// A refusal after which the connection closes.
    pub(super) const fn closing(status: StatusCode, text: &'static str) -> Self {
        Self {
            status,
            text,
            close: true,
        }
    }

    /// A refusal of a request that was sound as such.
    pub(super) const fn polite(status: StatusCode, text: &'static str) -> Self {
        Self {
            status,
            text,
            close: false,
        }
    }
}

/// Checks a head and gives the target as a backend is to receive it: path and
/// query, byte for byte. `body_max` is the longest body allowed, in bytes.
///
/// # Errors
///
/// What is wrong first, in the order of how dangerous it is.
pub(super) fn check(head: &Parts, body_max: usize) -> Result<&str, Refusal> {
    let bad = |text| Refusal::closing(StatusCode::BAD_REQUEST, text);
    if head.method == Method::CONNECT || head.method == Method::TRACE {
        return Err(Refusal::closing(
            StatusCode::METHOD_NOT_ALLOWED,
            "method not allowed\n",
        ));
    }
    if head.version != Version::HTTP_11 && head.version != Version::HTTP_10 {
        return Err(Refusal::closing(
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            "HTTP/1.1 please\n",
        ));
    }
    let host = host(&head.headers, head.version).map_err(bad)?;
    let target = target(head, host)?;
    body(head, body_max)?;
    if let Some(expect) = head.headers.get(header::EXPECT)
        && !expect.as_bytes().eq_ignore_ascii_case(b"100-continue")
    {
        return Err(Refusal::closing(
            StatusCode::EXPECTATION_FAILED,
            "only 100-continue can be expected\n",
        ));
    }
    Ok(target)
}

/// The one `Host`; None only for an HTTP/1.0 request without.
fn host(headers: &HeaderMap, version: Version) -> Result<Option<&HeaderValue>, &'static str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => Err("more than one Host\n"),
        (Some(host), None) if is_authority(host.as_bytes()) => Ok(Some(host)),
        (Some(_), None) => Err("malformed Host\n"),
        (None, _) if version == Version::HTTP_10 => Ok(None),
        (None, _) => Err("no Host\n"),
    }
}

/// Host and optional port, as RFC 9112 wants them in `Host`; not empty.
fn is_authority(host: &[u8]) -> bool {
    let (name, port) = match host.first() {
        Some(b'[') => {
            let Some(end) = memchr::memchr(b']', host) else {
                return false;
            };
            let (name, rest) = host.split_at(end);
            let inside = name.get(1..).unwrap_or_default();
            let fits = |&byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
            if inside.is_empty() || !inside.iter().all(fits) {
                return false;
            }
            (name, rest.get(1..).unwrap_or_default())
        }
        _ => {
            let end = memchr::memchr(b':', host).unwrap_or(host.len());
            let (name, rest) = host.split_at(end);
            let fits = |&byte: &u8| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
            };
            if !name.iter().all(fits) {
                return false;
            }
            (name, rest)
        }
    };
    let port_fits = match port.strip_prefix(b":") {
        Some(digits) => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        None => port.is_empty(),
    };
    !name.is_empty() && port_fits
}

fn target<'a>(head: &'a Parts, host: Option<&HeaderValue>) -> Result<&'a str, Refusal> {
    let bad = |text| Refusal::closing(StatusCode::BAD_REQUEST, text);
    let uri: &Uri = &head.uri;
    let Some(target) = uri.path_and_query().map(http::uri::PathAndQuery::as_str) else {
        return Err(bad("the target is no path\n"));
    };
    if target.len() > TARGET_MAX {
        return Err(Refusal::closing(
            StatusCode::URI_TOO_LONG,
            "target too long\n",
        ));
    }
    match (uri.scheme_str(), uri.authority()) {
        (None, None) => {}
        (Some("http" | "https"), Some(named)) => {
            let same = host.is_some_and(|host| {
                host.as_bytes()
                    .eq_ignore_ascii_case(named.as_str().as_bytes())
            });
            if !same {
                return Err(Refusal::closing(
                    StatusCode::MISDIRECTED_REQUEST,
                    "the target names another host than Host\n",
                ));
            }
        }
        _ => return Err(bad("the target is no path\n")),
    }
    if target == "*" {
        return if head.method == Method::OPTIONS {
            Ok(target)
        } else {
            Err(bad("the target is no path\n"))
        };
    }
    if !target.starts_with('/') {
        return Err(bad("the target is no path\n"));
    }
    if climbs(uri.path()) {
        return Err(bad("the path has dot segments\n"));
    }
    Ok(target)
}

/// Has the path a `.` or `..` segment, plain or encoded? A backend that resolves
/// it would serve another path than the one that was routed and admitted here.
fn climbs(path: &str) -> bool {
    let dotted = memchr::memmem::find(path.as_bytes(), b"/.").is_some()
        || memchr::memmem::find(path.as_bytes(), b"%2").is_some();
    dotted
        && path.split('/').any(|segment| {
            let plain = segment.to_ascii_lowercase().replace("%2e", ".");
            plain == "." || plain == ".."
        })
}

fn body(head: &Parts, body_max: usize) -> Result<(), Refusal> {
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    let chunked = match (codings.next(), codings.next()) {
        (None, _) => false,
        (Some(_), _) if head.version == Version::HTTP_10 => {
            return Err(Refusal::closing(
                StatusCode::BAD_REQUEST,
                "no transfer coding in HTTP/1.0\n",
            ));
        }
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => true,
        _ => {
            return Err(Refusal::closing(
                StatusCode::NOT_IMPLEMENTED,
                "only one transfer coding, chunked\n",
            ));
        }
    };
    let length = match head.headers.get(header::CONTENT_LENGTH) {
        None => 0,
        // hyper refused what is not a number, and numbers that differ.
        Some(_) if chunked => {
            return Err(Refusal::closing(
                StatusCode::BAD_REQUEST,
                "both Content-Length and Transfer-Encoding\n",
            ));
        }
        Some(length) => length
            .to_str()
            .ok()
            .and_then(|length| length.parse::<u64>().ok())
            .ok_or(Refusal::closing(
                StatusCode::BAD_REQUEST,
                "malformed Content-Length\n",
            ))?,
    };
    if (chunked || length > 0) && (head.method == Method::GET || head.method == Method::HEAD) {
        return Err(Refusal::closing(
            StatusCode::BAD_REQUEST,
            "no body with GET or HEAD\n",
        ));
    }
    if length > body_max as u64 {
        return Err(too_large());
    }
    Ok(())
}

/// The body is over the limit.
pub(super) const fn too_large() -> Refusal {
    Refusal::closing(StatusCode::PAYLOAD_TOO_LARGE, "body too large\n")
}

/// Is this a request id we can pass on: 1 to 128 token characters?
pub(super) fn is_request_id(id: &[u8]) -> bool {
    !id.is_empty() && id.len() <= 128 && id.iter().all(|&byte| is_token(byte))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn head(method: &str, target: &str, version: Version, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn what_a_provider_sends_passes_byte_for_byte() {
        for (method, target, headers) in [
            (
                "GET",
                "/ivr?CallSid=CA1&To=%2B1%20",
                &[("host", "a.example")][..],
            ),
            (
                "POST",
                "/ivr//x;y=1?a=b&&c",
                &[("host", "a.example:8080"), ("content-length", "12")],
            ),
            (
                "POST",
                "/ivr",
                &[("host", "[::1]:80"), ("transfer-encoding", "Chunked")],
            ),
            (
                "POST",
                "/ivr",
                &[
                    ("host", "a"),
                    ("expect", "100-Continue"),
                    ("content-length", "1"),
                ],
            ),
            (
                "GET",
                "/ivr/...x/.well-known",
                &[("host", "a"), ("content-length", "0")],
            ),
            ("OPTIONS", "*", &[("host", "a")]),
        ] {
            let head = head(method, target, Version::HTTP_11, headers);
            assert_eq!(check(&head, 100), Ok(target));
        }
    }

    #[test]
    fn an_absolute_target_is_reduced_to_its_path() {
        let same = head(
            "GET",
            "http://A.example/x?y",
            Version::HTTP_11,
            &[("host", "a.example")],
        );
        assert_eq!(check(&same, 0), Ok("/x?y"));
        let other = head(
            "GET",
            "http://b.example/x",
            Version::HTTP_11,
            &[("host", "a.example")],
        );
        assert_eq!(check(&other, 0).unwrap_err().status, 421);
    }

    #[test]
    fn an_old_client_needs_no_host() {
        assert_eq!(
            check(&head("GET", "/x", Version::HTTP_10, &[]), 0),
            Ok("/x")
        );
        assert_eq!(
            check(&head("GET", "/x", Version::HTTP_11, &[]), 0)
                .unwrap_err()
                .status,
            400
        );
    }

    #[test]
    fn each_fault_has_its_status_and_closes_the_connection() {
        let h = ("host", "a");
        for (status, method, target, headers) in [
            (405, "CONNECT", "a:1", &[h][..]),
            (405, "TRACE", "/", &[h]),
            (400, "GET", "/", &[h, h]),
            (400, "GET", "/", &[("host", "")]),
            (400, "GET", "/", &[("host", "a b")]),
            (400, "GET", "/", &[("host", "a@b")]),
            (400, "GET", "/", &[("host", "a/b")]),
            (400, "GET", "/", &[("host", "a:b")]),
            (400, "GET", "/", &[("host", "a:123456")]),
            (400, "GET", "/", &[("host", "[::1")]),
            (400, "GET", "/", &[("host", "[]")]),
            (400, "GET", "/", &[("host", ":80")]),
            (400, "GET", "*", &[h]),
            (400, "GET", "a:80", &[h]),
            (400, "GET", "/ivr/../admin", &[h]),
            (400, "GET", "/ivr/%2E./admin", &[h]),
            (
                501,
                "POST",
                "/",
                &[h, ("transfer-encoding", "gzip, chunked")],
            ),
            (
                501,
                "POST",
                "/",
                &[
                    h,
                    ("transfer-encoding", "chunked"),
                    ("transfer-encoding", "chunked"),
                ],
            ),
            (
                400,
                "POST",
                "/",
                &[h, ("transfer-encoding", "chunked"), ("content-length", "3")],
            ),
            (400, "GET", "/", &[h, ("content-length", "1")]),
            (400, "HEAD", "/", &[h, ("transfer-encoding", "chunked")]),
            (413, "POST", "/", &[h, ("content-length", "101")]),
            (417, "POST", "/", &[h, ("expect", "a miracle")]),
        ] {
            let refusal =
                check(&head(method, target, Version::HTTP_11, headers), 100).expect_err(target);
            assert_eq!(refusal.status, status, "{method} {target} {headers:?}");
            assert!(refusal.close, "{method} {target} {headers:?}");
        }
        let coded = head(
            "POST",
            "/",
            Version::HTTP_10,
            &[("transfer-encoding", "chunked")],
        );
        assert_eq!(check(&coded, 100).unwrap_err().status, 400);
    }

    #[test]
    fn a_target_may_be_8_kib_and_not_a_byte_more() {
        let fits = format!("/{}", "a".repeat(TARGET_MAX - 1));
        let h = [("host", "a")];
        assert!(check(&head("GET", &fits, Version::HTTP_11, &h), 0).is_ok());
        let over = format!("{fits}a");
        let refusal = check(&head("GET", &over, Version::HTTP_11, &h), 0).unwrap_err();
        assert_eq!(refusal.status, 414);
    }
}
