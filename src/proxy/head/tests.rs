use http::Request;

use super::*;

const PROVIDER: &str = "192.0.2.7";

fn sent(request: http::request::Builder, body: usize, trusted: bool) -> String {
    sent_as(request, body, trusted, Upgrade::No)
}

fn sent_as(
    request: http::request::Builder,
    body: usize,
    trusted: bool,
    upgrade: Upgrade,
) -> String {
    let head = request.body(()).unwrap().into_parts().0;
    let upstream = Upstream {
        host: "127.0.0.1".into(),
        port: 3001,
        authority: "127.0.0.1:3001".into(),
        host_header: HostHeader::Public,
        names: Vec::new(),
        claim: None,
        cap: None,
        health: None,
        tls: None,
    };
    let mut out = Vec::new();
    Outgoing {
        target: head.uri.path_and_query().unwrap().as_str(),
        head: &head,
        body,
        is_read: true,
        upgrade,
        peer: Peer {
            address: PROVIDER.parse().unwrap(),
            trusted,
            secure: false,
        },
        peer_text: PROVIDER,
        public: None,
        upstream: &upstream,
        lots: [1, 2, 3],
    }
    .write(None, &mut out);
    String::from_utf8(out).unwrap()
}

// Found in a review: a backend that compresses was never judged, and its URLs never
// led back to us.
#[test]
fn an_answer_that_is_read_is_asked_for_as_it_is() {
    let request = || Request::post("/ivr").header("Host", "a");
    let offering = || {
        request()
            .header("Accept-Encoding", "gzip, br")
            .header("Accept-Encoding", "deflate")
    };
    let asked = |sent: &str| -> Vec<String> {
        let lines = sent
            .lines()
            .filter(|line| line.starts_with("accept-encoding"));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(
        asked(&sent(offering(), 0, false)),
        ["accept-encoding: identity"]
    );
    assert_eq!(asked(&sent(request(), 0, false)), [""; 0]);
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
fn a_handshake_is_passed_on_as_it_came_or_as_we_granted_it() {
    let request = || {
        Request::get("/ivr/stream?a=%2B1")
            .header("Host", "voice.example.com")
            .header("Upgrade", "WebSocket")
            .header("Connection", "keep-alive, Upgrade, X-Private")
            .header("X-Private", "1")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Extensions", "permessage-deflate")
            .header("Sec-WebSocket-Protocol", "audio.v1, audio.v2")
            .header("X-Twilio-Signature", "c2lnbmF0dXJl")
    };
    let always = [
        "GET /ivr/stream?a=%2B1 HTTP/1.1\r\nhost: voice.example.com\r\n",
        "\r\nconnection: Upgrade\r\nupgrade: websocket\r\n",
        "\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "\r\nsec-websocket-version: 13\r\n",
        "\r\nx-twilio-signature: c2lnbmF0dXJl\r\n",
        "\r\nx-forwarded-for: 192.0.2.7\r\n",
    ];
    let offered = "\r\nsec-websocket-extensions: permessage-deflate\r\n";
    let as_is = sent_as(request(), 0, false, Upgrade::AsIs);
    let plain = sent_as(request(), 0, false, Upgrade::Plain);
    for head in [&as_is, &plain] {
        for line in always {
            assert!(head.contains(line), "{line:?} in {head}");
        }
        assert!(!head.contains("x-private"));
        assert_eq!(head.matches("\r\nconnection").count(), 1);
        assert_eq!(head.matches("sec-websocket-protocol").count(), 1);
    }
    assert!(as_is.contains(offered) && !plain.contains("extensions"));
    assert!(as_is.contains("-protocol: audio.v1, audio.v2\r\n"));
    assert!(plain.contains("-protocol: audio.v1\r\n"));
    assert!(!sent(request(), 0, false).contains("\r\nupgrade"));
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
fn no_spelling_of_where_it_came_from_is_believed_from_a_stranger() {
    for (name, told) in [
        ("Forwarded", true),
        ("X-Forwarded-Port", true),
        ("X-Forwarded-Prefix", true),
        ("X_Forwarded_For", true),
        ("X-Forwarded_Proto", true),
        ("X-Forwardedness", false),
        ("X-Tenant", false),
    ] {
        let request = || Request::get("/").header("Host", "a").header(name, "spoof");
        let passes = |trusted| sent(request(), 0, trusted).contains("spoof");
        assert_eq!(passes(false), !told, "{name}");
        assert!(passes(true), "{name} from a trusted proxy");
    }
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
