//! Calls walk through: identity, placement, and every byte.

use std::fs;

use super::backend::SOUND;
use super::http::{self, Link};
use super::lab::{CALLER, FAR, FORM, Lab, NEAR, form};

#[test]
fn a_texml_call_walks_through_and_stays_where_it_began() {
    let lab = Lab::started(|_| {});
    let call = "v3:walk";
    let welcome = lab.webhook(NEAR, "/ivr/welcome", call, "&CallStatus=ringing");
    assert_eq!((welcome.status(), welcome.side()), (200, "new"));
    assert_eq!(welcome.text(), SOUND);
    let many: Vec<_> = welcome.all("x-many").collect();
    assert_eq!(many, ["first", "second"], "the answer's headers pass");
    assert_eq!(welcome.header("keep-alive"), None, "but not those of a hop");

    // A lower percentage moves new calls, not this one.
    lab.order(&["set", "0", "--reason", "a pause"]);
    let menu = lab.webhook(NEAR, "/ivr/menu", call, "&Digits=1");
    assert_eq!((menu.status(), menu.side()), (200, "new"));
    assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "legacy");
    let explained = lab.order(&["explain", "--call", call, "-o", "json"]).out;
    let explained: serde_json::Value = serde_json::from_str(&explained).unwrap();
    assert_eq!(explained["backend"], "new");
    assert_eq!(explained["because"], "hashed");
    assert_eq!(explained["ended"], false);

    let end = lab.finish(NEAR, call, "caller");
    assert_eq!((end.status(), end.side()), (200, "new"));
    let explained = lab.order(&["explain", "--call", call]).out;
    let words: Vec<_> = explained
        .lines()
        .filter(|line| line.starts_with("ended as"))
        .collect();
    assert_eq!(words.len(), 1, "{explained}");
    assert!(words[0].ends_with("not known to be served"), "{explained}");
    lab.until("its end is counted", || {
        lab.metric("switchback_calls_total{backend=\"new\",outcome=\"abandoned\"}") == Some(1.0)
    });
    assert_eq!(lab.new.times(call), 3);
    assert_eq!(lab.legacy.times(call), 0);
}

#[test]
fn explain_says_where_a_tenants_next_call_goes_and_why() {
    let lab = Lab::started(|_| {});
    for (tenant, bucket, backend) in [(NEAR, 1, "new"), (FAR, 99, "legacy")] {
        let said = lab.order(&["explain", "--tenant", tenant, "-o", "json"]);
        let told: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(told["backend"], backend);
        assert_eq!(told["because"], "hashed");
        assert_eq!(told["bucket"]["number"], bucket);
        assert_eq!(told["percentage"], 50.0);
        assert_eq!(lab.begin(tenant, "/ivr/welcome").side(), backend);
    }
    let unknown = lab.cli(&["explain", "--call", "v3:nobody"]);
    assert_eq!(unknown.code, 1);
    assert!(
        unknown.err.contains("no such call is known"),
        "{}",
        unknown.err
    );
}

/// A monitor's PUT that a backend answered with 501 once counted against it.
#[test]
fn only_get_and_post_are_webhooks_of_a_call() {
    let lab = Lab::started(|_| {});
    let target = "/ivr/welcome?CallSid=v3:monitor&To=%2B13125550100";
    for method in ["PUT", "DELETE", "OPTIONS"] {
        http::ask(lab.webhooks(), method, target, &[], "").expect("an answer");
    }
    lab.until("they are passed on and counted as no voice", || {
        lab.metric("switchback_placements_total{backend=\"legacy\",because=\"unrecognized\"}")
            == Some(3.0)
    });
    assert_eq!(lab.status()["backends"]["legacy"]["webhooks"], 0);
    assert_eq!(lab.cli(&["explain", "--call", "v3:monitor"]).code, 1);
}

/// It once hashed an empty call id and named a backend.
#[test]
fn explain_names_no_backend_for_a_tenant_whose_calls_are_drawn_one_by_one() {
    let lab = Lab::started(|file| file.scheme = "by = \"call\"\nhash = \"java31\"");
    let tell = || -> serde_json::Value {
        let said = lab.order(&["explain", "--tenant", NEAR, "-o", "json"]);
        serde_json::from_str(&said.out).unwrap()
    };
    let told = tell();
    assert_eq!(told["backend"], serde_json::Value::Null);
    assert_eq!(told["because"], "hashed for each call");
    lab.order(&["tenant", "disable", NEAR, "--reason", "a complaint"]);
    assert_eq!(
        tell()["backend"],
        "legacy",
        "a list decides for all its calls"
    );
}

#[test]
fn a_twilio_call_is_known_by_its_query() {
    let lab = Lab::started(|file| file.protocol = "twilio");
    let get = |target: &str| {
        let answer = http::ask(lab.webhooks(), "GET", target, &[], "");
        answer.expect("an answer")
    };
    let who = "CallSid=CA0123&AccountSid=AC1&From=%2B14155550142&To=%2B13125550109";
    let welcome = get(&format!("/ivr/welcome?{who}&CallStatus=ringing"));
    assert_eq!((welcome.status(), welcome.side()), (200, "new"));
    lab.order(&["set", "0", "--reason", "a pause"]);
    let menu = get(&format!("/ivr/menu?{who}&CallStatus=in-progress&Digits=2"));
    assert_eq!((menu.status(), menu.side()), (200, "new"));
    let other = get(&format!("/ivr/welcome?{who}&CallStatus=ringing").replace("CA0123", "CA0124"));
    assert_eq!(other.side(), "legacy");
    let first = &lab.new.book()[0].first;
    assert_eq!(
        first,
        &format!("GET /ivr/welcome?{who}&CallStatus=ringing HTTP/1.1")
    );
}

/// Everything a tidy proxy would be tempted to tidy.
const ODD: &str = "/ivr/Menu;v=1/%41%2f%7e/..x?b=2&a=%31&a=+x&=&&empty&t=%C3%A9";

#[test]
fn a_backend_receives_what_the_provider_sent_byte_for_byte() {
    let lab = Lab::started(|file| file.percentage = 100);
    let body = "CallSid=bytes&To=%2b13125550109&x=%00%ff+%20~&Digits=1&&odd\r\n\u{7f}";
    let head = format!(
        "POST {ODD} HTTP/1.1\r\nHost: voice.example.com\r\n\
         Content-Type: application/x-www-form-urlencoded;charset=UTF-8\r\n\
         Telnyx-Signature-Ed25519: c2ln==\r\nX-Many: one\r\nAccept: */*\r\nX-Many: two, three\r\n\
         X-Many: \r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: gopher\r\n\
         X-Request-Id: forged\r\nConnection: keep-alive, X-Private\r\nX-Private: for one hop\r\n\
         Keep-Alive: timeout=5\r\nTE: trailers\r\nProxy-Authorization: Basic eA==\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let mut link = Link::to(lab.webhooks()).unwrap();
    link.send(&[head.as_bytes(), body.as_bytes()].concat())
        .unwrap();
    assert_eq!(link.answer().unwrap().status(), 200);

    let got = lab.new.last();
    assert_eq!(got.first, format!("POST {ODD} HTTP/1.1"));
    assert_eq!(got.body, body.as_bytes());
    let many: Vec<_> = got.all("x-many").collect();
    assert_eq!(many, ["one", "two, three", ""], "values in their order");
    for (name, value) in [
        ("host", "voice.example.com"),
        (
            "content-type",
            "application/x-www-form-urlencoded;charset=UTF-8",
        ),
        ("telnyx-signature-ed25519", "c2ln=="),
        ("accept", "*/*"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "voice.example.com"),
        ("content-length", &body.len().to_string()),
    ] {
        assert_eq!(got.header(name), Some(value), "{name}");
    }
    for name in [
        "connection",
        "x-private",
        "keep-alive",
        "te",
        "proxy-authorization",
        "transfer-encoding",
    ] {
        assert_eq!(got.header(name), None, "{name} concerns one hop only");
    }
    let id = got.header("x-request-id").expect("it gets an id");
    assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()));
    let trace = got.header("traceparent").expect("it gets a trace");
    assert!(trace.starts_with(&format!("00-{id}-")), "{trace}");
}

#[test]
fn no_number_and_no_call_id_stands_in_a_log() {
    let access = "[log]\naccess = \"access.jsonl\"";
    let lab = Lab::started(|file| file.sections = access.to_owned());
    let call = "v3:secret-call-id";
    lab.webhook(NEAR, "/ivr/welcome", call, "&CallStatus=ringing");
    lab.webhook(NEAR, "/ivr/menu?new=500", call, "&Digits=4711081542");
    lab.finish(NEAR, call, "caller");
    let path = lab.dir.path().join("access.jsonl");
    let read = || fs::read_to_string(&path).unwrap_or_default();
    lab.until("the access log has three lines", || {
        read().lines().count() == 3
    });
    let (access, log) = (read(), lab.log());
    let mut outcomes: Vec<_> = access
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|line| {
            ["kind", "backend", "outcome"].map(|name| line[name].as_str().unwrap().to_owned())
        })
        .collect();
    // Workers hand their lines over each for itself.
    outcomes.sort();
    let expected = [
        ["event", "new", "served"],
        ["voice", "new", "served"],
        ["voice", "new", "status"],
    ];
    assert_eq!(outcomes, expected);
    for secret in [
        CALLER.trim_start_matches('+'),
        NEAR.trim_start_matches('+'),
        "secret-call-id",
        "4711081542",
    ] {
        assert!(!access.contains(secret), "{secret}: {access}");
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

#[test]
fn a_child_leg_follows_its_parent_and_a_late_event_begins_no_call() {
    let lab = Lab::started(|_| {});
    lab.webhook(NEAR, "/ivr/welcome", "v3:parent", "&CallStatus=ringing");
    lab.order(&["set", "0", "--reason", "a pause"]);
    let parent = "&ParentCallSid=v3%3Aparent&CallStatus=ringing";
    let child = lab.webhook(FAR, "/ivr/whisper", "v3:child", parent);
    assert_eq!(child.side(), "new");
    let other = "&ParentCallSid=v3%3Anobody&CallStatus=ringing";
    let orphan = lab.webhook(FAR, "/ivr/whisper", "v3:orphan", other);
    assert_eq!(orphan.side(), "legacy");
    let late = lab.finish(NEAR, "v3:forgotten", "caller");
    assert_eq!((late.status(), late.side()), (200, "legacy"));
    for because in [
        "backend=\"new\",because=\"inherited\"",
        "backend=\"legacy\",because=\"late\"",
    ] {
        let series = format!("switchback_placements_total{{{because}}}");
        lab.until(because, || lab.metric(&series) == Some(1.0));
    }
    assert_eq!(lab.cli(&["explain", "--call", "v3:forgotten"]).code, 1);
    let ended = "switchback_calls_total{backend=\"legacy\",outcome=\"abandoned\"}";
    assert_eq!(lab.metric(ended), Some(0.0));
}

#[test]
fn a_long_answer_passes_whole() {
    let lab = Lab::started(|_| {});
    let answer = lab.begin(NEAR, "/ivr/prompt?new=long");
    assert_eq!((answer.status(), answer.side()), (200, "new"));
    assert_eq!(answer.body.len(), super::backend::long().len());
    assert!(answer.text() == super::backend::long(), "byte for byte");
}

#[test]
fn only_a_trusted_proxy_may_say_who_is_behind_it() {
    let lab = Lab::started(|file| {
        file.listen =
            "trusted_proxies = [\"127.0.0.0/8\"]\npublic_url = \"https://voice.example.com\"";
        file.route = "sources = [\"203.0.113.0/24\"]";
    });
    let from = |address: &str| {
        let forwarded = ("x-forwarded-for", address);
        let form = form(NEAR, &lab.fresh(), "&CallStatus=ringing");
        let answer = http::ask(
            lab.webhooks(),
            "POST",
            "/ivr/welcome",
            &[FORM, forwarded],
            &form,
        );
        answer.expect("an answer")
    };
    assert_eq!(from("203.0.113.7").status(), 200);
    let got = lab.new.last();
    assert_eq!(
        got.header("x-forwarded-for"),
        Some("203.0.113.7, 127.0.0.1")
    );
    assert_eq!(got.header("x-forwarded-proto"), Some("https"));
    assert_eq!(got.header("x-forwarded-host"), Some("voice.example.com"));
    for stranger in ["198.51.100.7", "203.0.113.7, 198.51.100.7", "nonsense"] {
        assert_eq!(from(stranger).status(), 403, "{stranger}");
    }
    assert_eq!(
        lab.begin(NEAR, "/ivr/welcome").status(),
        403,
        "the proxy itself"
    );
    assert_eq!(lab.new.book().len(), 1);
}
