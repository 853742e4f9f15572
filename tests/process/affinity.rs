//! `affinity = "url"`: a call finds its backend by its URLs alone.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use switchback::clock;

use super::http::{self, Message};
use super::lab::{CALLER, FAR, FORM, Lab, NEAR, form};
use super::line::{self, SECRET, SHARING, token};
use super::sign;

fn machine(percentage: u32, secret: Option<&str>) -> Lab {
    line::machine(percentage, secret, |_| {})
}

/// A call of that tenant goes on at a machine that never heard of it, by a token.
fn go_on(lab: &Lab, tenant: &str, token: &str) -> Message {
    let target = format!("/ivr/menu?_sb={token}");
    lab.webhook(tenant, &target, &lab.fresh(), "&Digits=1")
}

/// Waits until a token made now is older than a latch that comes now: tokens count
/// whole seconds, and round up.
fn a_second_later(lab: &Lab) {
    let next = clock::wall().0 / 1000 * 1000 + 1000;
    lab.until("the next second has begun", || clock::wall().0 > next);
}

fn explain(lab: &Lab, call: &str) -> Value {
    lab.get(&format!("/api/v1/explain?call={call}")).json()
}

const DOCUMENT: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response>\
    <Gather action=\"/ivr/menu?lang=de&amp;x=%2b+1&amp;&amp;y;1#top\"><Say>Which?</Say></Gather>\
    <Redirect>next/step</Redirect><Gather action='OWN/ivr/own' />\
    <Redirect>https://voice.example.com/ivr/public?a=1</Redirect>\
    <Play>https://cdn.example.net/ivr/hello.mp3</Play><Redirect>/elsewhere</Redirect>\
    </Response>\r\n";

const CARRYING: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response>\
    <Gather action=\"/ivr/menu?lang=de&amp;x=%2b+1&amp;&amp;y;1&amp;_sb=TOKEN#top\"><Say>Which?</Say></Gather>\
    <Redirect>next/step?_sb=TOKEN</Redirect>\
    <Gather action='https://voice.example.com/ivr/own?_sb=TOKEN' />\
    <Redirect>https://voice.example.com/ivr/public?a=1&amp;_sb=TOKEN</Redirect>\
    <Play>https://cdn.example.net/ivr/hello.mp3</Play><Redirect>/elsewhere</Redirect>\
    </Response>\r\n";

#[test]
fn every_url_that_leads_here_carries_a_token_that_no_backend_sees() {
    let lab = machine(50, Some(SECRET));
    let own = format!("http://{}", lab.new.address);
    lab.new.says(
        "content-type: application/xml",
        &DOCUMENT.replace("OWN", &own),
    );
    let call = lab.fresh();
    let welcome = lab.webhook(NEAR, "/ivr/welcome", &call, "&CallStatus=ringing");
    let token = token(&welcome);
    assert_eq!(welcome.text(), CARRYING.replace("TOKEN", &token));
    for (url, target) in [
        (
            "/ivr/menu?lang=de&x=%2b+1&&y;1&_sb=TOKEN",
            "/ivr/menu?lang=de&x=%2b+1&&y;1",
        ),
        ("/ivr/next/step?_sb=TOKEN", "/ivr/next/step"),
        ("/ivr/own?_sb=TOKEN", "/ivr/own"),
        ("/ivr/public?a=1&_sb=TOKEN", "/ivr/public?a=1"),
        ("/ivr/%41?&&_sb=TOKEN&b=_sb", "/ivr/%41?&&b=_sb"),
        ("/ivr/menu?_sb=nonsense&a", "/ivr/menu?a"),
    ] {
        let url = url.replace("TOKEN", &token);
        let answer = lab.webhook(NEAR, &url, &call, "&Digits=1");
        assert_eq!((answer.status(), answer.side()), (200, "new"), "{url}");
        let got = lab.new.last();
        assert_eq!(got.first, format!("POST {target} HTTP/1.1"));
        assert_eq!(got.body, form(NEAR, &call, "&Digits=1").as_bytes());
    }
    assert!(!lab.log().contains(&token), "a token in the log");
}

#[test]
fn a_call_goes_on_at_another_machine_whatever_the_split_says_there() {
    let first = machine(50, Some(SECRET));
    let [near, far] = [NEAR, FAR].map(|tenant| first.begin(tenant, "/ivr/welcome"));
    assert_eq!([near.side(), far.side()], ["new", "legacy"]);
    let [near, far] = [token(&near), token(&far)];
    for (percentage, tenant, token, side) in [(0, NEAR, &near, "new"), (100, FAR, &far, "legacy")] {
        let other = machine(percentage, Some(SECRET));
        let menu = format!("/ivr/menu?_sb={token}");
        for target in [&menu, "/ivr/menu", "/ivr/agent"] {
            let answer = other.webhook(tenant, target, "shared", "&Digits=1");
            assert_eq!(answer.side(), side, "{percentage} {target}");
        }
        assert_eq!(explain(&other, "shared")["because"], "token");
        assert_ne!(
            other.begin(tenant, "/ivr/welcome").side(),
            side,
            "the split"
        );
        other.until("what began here is counted", || {
            let begun = |side| {
                let series = format!("switchback_calls_begun_total{{backend=\"{side}\"}}");
                other.metric(&series).unwrap_or_default()
            };
            (begun("legacy") + begun("new") - 1.0).abs() < 0.5
        });
        let placed = format!("switchback_placements_total{{backend=\"{side}\",because=\"token\"}}");
        assert_eq!(other.metric(&placed), Some(1.0));
    }
}

#[test]
fn without_the_same_secret_a_token_says_nothing() {
    let first = machine(50, Some(SECRET));
    let token = token(&first.begin(NEAR, "/ivr/welcome"));
    for secret in [None, Some("shared-by-those-of-another-line")] {
        let other = machine(0, secret);
        assert_eq!(go_on(&other, NEAR, &token).side(), "legacy");
        let got = other.legacy.last();
        assert_eq!(
            got.first, "POST /ivr/menu HTTP/1.1",
            "it is removed all the same"
        );
    }
}

#[test]
fn a_token_with_any_bit_changed_says_nothing() {
    let first = machine(50, Some(SECRET));
    let token = token(&first.begin(NEAR, "/ivr/welcome"));
    let other = machine(0, Some(SECRET));
    let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let changed = URL_SAFE_NO_PAD.encode(changed);
        assert_eq!(go_on(&other, NEAR, &changed).side(), "legacy", "bit {bit}");
    }
    assert_eq!(go_on(&other, NEAR, &token).side(), "new", "as it was made");
}

#[test]
fn a_pin_goes_before_a_token() {
    let lab = machine(50, Some(SECRET));
    let calls = [(NEAR, "new"), (FAR, "legacy")].map(|(tenant, side)| {
        let call = lab.fresh();
        let answer = lab.webhook(tenant, "/ivr/welcome", &call, "&CallStatus=ringing");
        assert_eq!(answer.side(), side);
        (tenant, side, call, token(&answer))
    });
    for (one, other) in [(0, 1), (1, 0)] {
        let (tenant, side, call, _) = &calls[one];
        let target = format!("/ivr/menu?_sb={}", calls[other].3);
        assert_eq!(
            lab.webhook(tenant, &target, call, "&Digits=1").side(),
            *side
        );
    }
}

#[test]
fn behind_a_latch_only_a_call_that_began_before_it_goes_on_on_new() {
    let first = machine(50, Some(SECRET));
    let before = token(&first.begin(NEAR, "/ivr/welcome"));
    a_second_later(&first);
    let latches: [fn(&Lab); 2] = [
        |lab| drop(lab.order(&["rollback", "total", "--reason", "silence"])),
        |lab| drop(lab.report("critical_error", &json!({}))),
    ];
    for latch in latches {
        let other = machine(50, Some(SECRET));
        latch(&other);
        other.until_latched();
        let after = first.begin(NEAR, "/ivr/welcome");
        assert_eq!(after.side(), "new", "the first machine is not latched");
        assert_eq!(go_on(&other, NEAR, &token(&after)).side(), "legacy");
        assert_eq!(go_on(&other, NEAR, &before).side(), "new");
        let none = other.metric("switchback_new_calls_after_latch_total");
        assert_eq!(none, Some(0.0));
        let seen = other.status();
        assert_eq!(seen["verification"]["new_calls_on_new"], 0, "{seen}");
    }
}

/// A document made after the latch once said that its call had begun after it.
#[test]
fn a_token_tells_when_the_call_began_and_not_when_it_was_made() {
    let [first, other] = [50, 50].map(|percentage| machine(percentage, Some(SECRET)));
    let call = first.fresh();
    let welcome = first.webhook(NEAR, "/ivr/welcome", &call, "&CallStatus=ringing");
    assert_eq!(welcome.side(), "new");
    a_second_later(&first);
    for lab in [&first, &other] {
        lab.order(&["rollback", "total", "--reason", "silence"]);
    }
    a_second_later(&first);
    // Its URL carries none: the provider was given it before there were any.
    let menu = first.webhook(NEAR, "/ivr/menu", &call, "&Digits=1");
    assert_eq!(menu.side(), "new", "it stays where it began");
    assert_eq!(go_on(&other, NEAR, &token(&menu)).side(), "new");
}

#[test]
fn a_call_outlives_a_restart_that_lost_every_pin() {
    let mut lab = machine(50, Some(SECRET));
    let call = lab.fresh();
    let welcome = lab.webhook(NEAR, "/ivr/welcome", &call, "&CallStatus=ringing");
    assert_eq!(welcome.side(), "new");
    lab.order(&["set", "0", "--reason", "a pause"]);
    assert_eq!(lab.stop().code(), Some(0));
    fs::remove_file(lab.state().join("pins")).expect("pins were saved");
    lab.start();
    assert_eq!(
        lab.get(&format!("/api/v1/explain?call={call}")).status(),
        404
    );
    let target = format!("/ivr/menu?_sb={}", token(&welcome));
    assert_eq!(lab.webhook(NEAR, &target, &call, "&Digits=1").side(), "new");
    assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "legacy");
}

/// It was once asked of legacy, which has never heard of new's prompts.
#[test]
fn a_prompt_that_a_document_plays_is_fetched_from_the_backend_that_wrote_it() {
    let [first, other] = [50, 50].map(|percentage| machine(percentage, Some(SECRET)));
    let document = "<Response><Play>/ivr/prompts/hello.mp3</Play></Response>";
    let sound = |lab: &Lab| lab.new.says("content-type: application/xml", document);
    sound(&first);
    let welcome = first.begin(NEAR, "/ivr/welcome");
    let url = format!("/ivr/prompts/hello.mp3?_sb={}", token(&welcome));
    assert_eq!(
        welcome.text(),
        document.replace("/ivr/prompts/hello.mp3", &url)
    );
    let fetch = |lab: &Lab, url: &str| http::ask(lab.webhooks(), "GET", url, &[], "").unwrap();
    a_second_later(&first);
    for latched in [false, true] {
        if latched {
            other.order(&["rollback", "total", "--reason", "silence"]);
        }
        assert_eq!(fetch(&other, &url).side(), "new", "{latched}");
        let got = other.new.last();
        assert_eq!(got.first, "GET /ivr/prompts/hello.mp3 HTTP/1.1");
        // Of no call that anybody knows of, as before.
        let unknown = url.replace("_sb=", "_sb=A");
        for url in ["/ivr/prompts/hello.mp3", &unknown] {
            assert_eq!(fetch(&other, url).side(), "legacy", "{latched} {url}");
        }
    }
    let after = first.begin(NEAR, "/ivr/welcome");
    let url = format!("/ivr/prompts/hello.mp3?_sb={}", token(&after));
    assert_eq!(
        fetch(&other, &url).side(),
        "legacy",
        "it began after the latch"
    );
}

#[test]
fn a_secret_that_is_changed_takes_effect_at_a_reload() {
    let first = machine(50, Some(SECRET));
    let other = machine(0, Some("shared-by-nobody-until-now"));
    let token = token(&first.begin(NEAR, "/ivr/welcome"));
    assert_eq!(go_on(&other, NEAR, &token).side(), "legacy");
    other.write("tokens.secret", SECRET);
    other.hangup();
    assert_eq!(go_on(&other, NEAR, &token).side(), "new");

    // And so does the wish for tokens itself.
    let mut plain = Lab::started(|_| {});
    plain.write("tokens.secret", SECRET);
    let call = plain.fresh();
    let welcome = plain.webhook(NEAR, "/ivr/welcome", &call, "&CallStatus=ringing");
    assert!(!welcome.text().contains("_sb="), "{}", welcome.text());
    plain.rewrite(|file| {
        file.listen = SHARING;
        file.route = "affinity = \"url\"";
    });
    plain.hangup();
    let menu = plain.webhook(NEAR, "/ivr/menu", &call, "&Digits=1");
    assert_eq!(go_on(&other, FAR, &line::token(&menu)).side(), "new");
}

const AUTH: &str = "5f1de0c2a7b94e3d8c6a90b7e4f21d35";

#[test]
fn twilio_s_signature_covers_the_token_and_the_backend_s_does_not() {
    let mut lab = Lab::prepared(|file| {
        file.protocol = "twilio";
        file.listen = SHARING;
        file.own = "host = \"backend\"";
        file.route = "affinity = \"url\"\n\
            verify = { mode = \"required\", auth_token = { file = \"auth.token\" }, resign = true }";
    });
    lab.write("tokens.secret", SECRET);
    lab.write("auth.token", AUTH);
    lab.start_at_file();
    let fields = [
        ("CallSid", "CA90aa"),
        ("From", CALLER),
        ("To", NEAR),
        ("Digits", "4"),
    ];
    let body = form(NEAR, "CA90aa", "&Digits=4");
    let post = |target: &str, signed: &str| {
        let url = format!("https://voice.example.com{signed}");
        let signature = ("x-twilio-signature", &*sign::twilio(AUTH, &url, &fields));
        http::ask(lab.webhooks(), "POST", target, &[FORM, signature], &body).unwrap()
    };
    let is_right = |target: &str| {
        let (got, own) = (lab.new.last(), lab.new.address.to_string());
        assert_eq!(got.first, format!("POST {target} HTTP/1.1"));
        assert_eq!(got.header("host"), Some(&*own));
        let url = format!("http://{own}{target}");
        let signature = sign::twilio(AUTH, &url, &fields);
        assert_eq!(got.header("x-twilio-signature"), Some(&*signature));
    };
    let welcome = post("/ivr/welcome?a=1", "/ivr/welcome?a=1");
    assert_eq!((welcome.status(), welcome.side()), (200, "new"));
    is_right("/ivr/welcome?a=1");
    let token = token(&welcome);
    let with = format!("/ivr/menu?b=%2B&_sb={token}");
    assert_eq!(post(&with, &with).side(), "new");
    is_right("/ivr/menu?b=%2B");
    // By GET the fields stand behind it.
    let who = "CallSid=CA90aa&From=%2B14155550142&To=%2B13125550109&Digits=4";
    let with_fields = format!("/ivr/menu?_sb={token}&{who}");
    let url = format!("https://voice.example.com{with_fields}");
    let signature = ("x-twilio-signature", &*sign::twilio(AUTH, &url, &[]));
    let got = http::ask(lab.webhooks(), "GET", &with_fields, &[signature], "").unwrap();
    assert_eq!((got.status(), got.side()), (200, "new"));
    let url = format!("http://{}/ivr/menu?{who}", lab.new.address);
    let own = sign::twilio(AUTH, &url, &[]);
    assert_eq!(lab.new.last().header("x-twilio-signature"), Some(&*own));
    // Signed for the URL without it, or for another one.
    for (target, signed) in [(&*with, "/ivr/menu?b=%2B"), ("/ivr/menu", &with)] {
        assert_eq!(post(target, signed).status(), 403, "{target}");
    }
    assert_eq!(lab.new.book().len(), 3);
}
