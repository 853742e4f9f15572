//! Websockets through the whole process: placed, counted, drained, and refused where
//! nobody signed them.

use std::net::TcpStream;
use std::time::Duration;

use tokio_tungstenite::tungstenite::client::{IntoClientRequest, client};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, HandshakeError, Message, WebSocket};

use super::http::{self, PATIENCE};
use super::lab::{CALLER, FAR, FORM, Lab, NEAR, form};
use super::line::{self, SECRET, token};
use super::sign;

type Stream = WebSocket<TcpStream>;

/// A provider opens a websocket. Err: the status it was refused with.
fn open(lab: &Lab, target: &str, signature: Option<&str>) -> Result<Stream, u16> {
    let url = format!("ws://voice.example.com{target}");
    let mut request = url.into_client_request().expect("a URL");
    if let Some(signature) = signature {
        let value = HeaderValue::from_str(signature).expect("base64");
        request.headers_mut().insert("x-twilio-signature", value);
    }
    let stream = TcpStream::connect(lab.webhooks()).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    match client(request, stream) {
        Ok((socket, _)) => Ok(socket),
        Err(HandshakeError::Failure(Error::Http(answer))) => Err(answer.status().as_u16()),
        Err(error) => panic!("{error}\n{}", lab.log()),
    }
}

fn say(stream: &mut Stream, text: &str) {
    stream.send(Message::text(text)).expect("it is open");
}

fn hear(stream: &mut Stream) -> String {
    match stream.read() {
        Ok(Message::Text(text)) => text.to_string(),
        other => panic!("no text: {other:?}"),
    }
}

/// The code a stream was closed with; None where it just ended.
fn closed(stream: &mut Stream) -> Option<CloseCode> {
    loop {
        match stream.read() {
            Ok(Message::Close(close)) => return close.map(|close| close.code),
            Ok(_) => {}
            Err(_) => return None,
        }
    }
}

/// Telnyx's message that names the call.
fn start(call: &str) -> String {
    format!(
        r#"{{"event":"start","sequence_number":"1","start":{{"user_id":"u-7","call_control_id":"{call}","call_session_id":"of-something-else","from":"{CALLER}","to":"{NEAR}","client_state":null,"media_format":{{"encoding":"PCMU","sample_rate":8000,"channels":1}}}},"stream_id":"s-7"}}"#
    )
}

/// A stream of a call that began on new.
fn on_new(lab: &Lab) -> Stream {
    let begun = lab.webhook(NEAR, "/ivr/welcome", "v3:streams", "&CallStatus=ringing");
    assert_eq!(begun.side(), "new");
    let mut stream = open(lab, "/ivr/audio", None).expect("it is taken");
    say(&mut stream, &start("v3:streams"));
    assert!(hear(&mut stream).starts_with("new: "));
    stream
}

fn streams(lab: &Lab, side: &str) -> [Option<f64>; 3] {
    let of = |name: &str| lab.metric(&format!("switchback_streams_{name}"));
    [
        of(&format!("total{{backend=\"{side}\",outcome=\"opened\"}}")),
        of(&format!("total{{backend=\"{side}\",outcome=\"refused\"}}")),
        of(&format!("active{{backend=\"{side}\"}}")),
    ]
}

#[test]
fn a_drain_ends_what_runs_whole_and_says_goodbye_to_every_stream() {
    const REQUESTS: usize = 200;
    const STREAMS: usize = 50;
    let mut lab = Lab::started(|file| {
        file.sections = "[limits]\nstream_drain_timeout = \"2s\"".to_owned();
    });
    let mut streams: Vec<_> = (0..STREAMS).map(|_| on_new(&lab)).collect();
    let mut running: Vec<_> = (0..REQUESTS)
        .map(|number| {
            let mut link = http::Link::to(lab.webhooks()).expect("it listens");
            let form = form(NEAR, &format!("running-{number}"), "&CallStatus=ringing");
            let request = http::request("POST", "/ivr/welcome?new=held", &[FORM], &form);
            link.send(&request).expect("it takes the request");
            link
        })
        .collect();
    let on_their_way = || {
        let book = lab.new.book();
        let held = book.iter().filter(|request| request.first.contains("held"));
        held.count()
    };
    lab.until("new has all of them", || on_their_way() == REQUESTS);
    lab.signal("TERM");
    lab.until("it drains", || lab.log().contains("Draining"));
    for stream in &mut streams {
        say(stream, "still here");
        assert_eq!(hear(stream), "new: still here");
    }
    lab.new.release();
    for link in &mut running {
        let answer = link.answer().expect("none is cut");
        assert_eq!((answer.status(), answer.side()), (200, "new"));
    }
    for stream in &mut streams {
        assert_eq!(closed(stream), Some(CloseCode::Away));
    }
    assert_eq!(lab.ended().code(), Some(0));
}

#[test]
fn a_stream_that_its_start_names_is_its_calls_backend_s() {
    let lab = Lab::started(|_| {});
    let calls = [(NEAR, "v3:near:1", "new"), (FAR, "v3:far:1", "legacy")];
    for (tenant, call, side) in calls {
        let begun = lab.webhook(tenant, "/ivr/welcome", call, "&CallStatus=ringing");
        assert_eq!(begun.side(), side);
    }
    // What the split says by now is for new calls.
    lab.order(&["set", "0", "--reason", "a pause"]);
    let mut open_now = Vec::new();
    for (_, call, side) in calls {
        let mut stream = open(&lab, "/ivr/audio?x=%2B1", None).expect("it is taken");
        let connected = r#"{"event":"connected","version":"1.0.0"}"#;
        for text in [connected, &start(call), r#"{"event":"media"}"#] {
            say(&mut stream, text);
        }
        for text in [connected, &start(call), r#"{"event":"media"}"#] {
            assert_eq!(
                hear(&mut stream),
                format!("{side}: {text}"),
                "from the first on"
            );
        }
        let backend = if side == "new" { &lab.new } else { &lab.legacy };
        assert_eq!(backend.last().first, "GET /ivr/audio?x=%2B1 HTTP/1.1");
        open_now.push(stream);
    }
    for side in ["new", "legacy"] {
        lab.until("it is open", || {
            streams(&lab, side) == [1.0, 0.0, 1.0].map(Some)
                && lab.status()["backends"][side]["streams_active"] == 1
        });
    }
    for mut stream in open_now {
        stream.close(None).expect("it is open");
        assert_eq!(
            closed(&mut stream),
            None,
            "the backend's own Close says nothing"
        );
    }
    for side in ["new", "legacy"] {
        lab.until("it is over", || {
            streams(&lab, side) == [1.0, 0.0, 0.0].map(Some)
                && lab.status()["backends"][side]["streams_active"] == 0
        });
    }
}

#[test]
fn a_stream_s_url_leads_to_its_call_s_backend_on_any_machine() {
    let machine = |percentage| line::machine(percentage, Some(SECRET), |_| {});
    let (first, other) = (machine(50), machine(0));
    let document =
        |url: &str| format!("<Response><Connect><Stream url=\"{url}\"/></Connect></Response>");
    let own = format!("ws://{}/ivr/audio", first.new.address);
    first
        .new
        .says("content-type: application/xml", &document(&own));
    let welcome = first.begin(NEAR, "/ivr/welcome");
    let token = token(&welcome);
    let target = format!("/ivr/audio?_sb={}", token);
    let public = format!("wss://voice.example.com{target}");
    assert_eq!(welcome.text(), document(&public));
    let mut stream = open(&other, &target, None).expect("it is taken");
    say(&mut stream, &start("v3:never-heard-of"));
    assert!(hear(&mut stream).starts_with("new: "));
    assert_eq!(other.new.last().first, "GET /ivr/audio HTTP/1.1");
    let mut stream = open(&other, "/ivr/audio", None).expect("it is taken");
    say(&mut stream, &start("v3:never-heard-of"));
    assert!(hear(&mut stream).starts_with("legacy: "), "without it");
}

#[test]
fn a_drain_waits_for_a_stream_so_long_and_then_says_goodbye() {
    let mut lab = Lab::started(|file| {
        file.sections =
            "[limits]\ndrain_timeout = \"100ms\"\nstream_drain_timeout = \"3s\"".to_owned();
    });
    let mut stream = on_new(&lab);
    lab.signal("TERM");
    lab.until("nothing new is taken", || {
        TcpStream::connect(lab.webhooks()).is_err()
    });
    // Longer than a request may take to finish.
    for round in 0..3 {
        std::thread::sleep(Duration::from_millis(100));
        say(&mut stream, "still here");
        assert_eq!(hear(&mut stream), "new: still here", "{round}");
    }
    assert_eq!(closed(&mut stream), Some(CloseCode::Away));
    assert_eq!(lab.ended().code(), Some(0));
    assert!(lab.log().contains("Stopped."), "{}", lab.log());
}

#[test]
fn a_drain_ends_with_its_last_stream() {
    let mut lab = Lab::started(|file| {
        file.sections = "[limits]\nstream_drain_timeout = \"5m\"".to_owned();
    });
    let mut stream = on_new(&lab);
    lab.signal("TERM");
    lab.until("it drains", || lab.log().contains("Draining"));
    say(&mut stream, "goodbye");
    assert_eq!(hear(&mut stream), "new: goodbye");
    stream.close(None).expect("it is open");
    assert_eq!(closed(&mut stream), None);
    drop(stream);
    assert_eq!(lab.ended().code(), Some(0));
}

#[test]
fn a_second_term_waits_for_no_stream() {
    let mut lab = Lab::started(|file| {
        file.sections = "[limits]\nstream_drain_timeout = \"5m\"".to_owned();
    });
    let mut stream = on_new(&lab);
    lab.signal("TERM");
    lab.until("it drains", || lab.log().contains("Draining"));
    say(&mut stream, "still here");
    assert_eq!(hear(&mut stream), "new: still here");
    lab.signal("TERM");
    assert_eq!(lab.ended().code(), Some(0));
    assert!(lab.log().contains("second signal"), "{}", lab.log());
    assert!(stream.read().is_err(), "it has ended too");
}

const AUTH: &str = "c0ffee5f1de0a7b94e3d8c6a90b7e4f2";

#[test]
fn a_handshake_that_nobody_signed_is_refused_where_it_must_be_signed() {
    let mut lab = Lab::prepared(|file| {
        file.protocol = "twilio";
        file.listen = "public_url = \"https://voice.example.com\"";
        file.own = "host = \"backend\"";
        file.route = "verify = { mode = \"required\", auth_token = { file = \"auth.token\" }, \
            resign = true }";
    });
    lab.write("auth.token", AUTH);
    lab.start_at_file();
    let fields = [("CallSid", "CA77aa"), ("From", CALLER), ("To", NEAR)];
    let signed = |url: &str, fields| sign::twilio(AUTH, url, fields);
    let begin = signed("https://voice.example.com/ivr/welcome", &fields);
    let headers = [FORM, ("x-twilio-signature", &*begin)];
    let body = form(NEAR, "CA77aa", "");
    let begun = http::ask(lab.webhooks(), "POST", "/ivr/welcome", &headers, &body).unwrap();
    assert_eq!((begun.status(), begun.side()), (200, "new"));

    let right = signed("wss://voice.example.com/ivr/audio?CallSid=CA77aa", &[]);
    let other = signed("wss://voice.example.com/ivr/audio?CallSid=CA77ab", &[]);
    let target = "/ivr/audio?CallSid=CA77aa";
    for wrong in [None, Some(&*other), Some("nonsense")] {
        assert_eq!(open(&lab, target, wrong).err(), Some(403), "{wrong:?}");
    }
    let mut stream = open(&lab, target, Some(&right)).expect("it is taken");
    say(&mut stream, "hello");
    assert_eq!(hear(&mut stream), "new: hello");
    let got = lab.new.last();
    let own = signed(&format!("ws://{}{target}", lab.new.address), &[]);
    assert_eq!(got.header("x-twilio-signature"), Some(&*own), "signed anew");
    lab.until("all are counted", || {
        lab.metric("switchback_refused_total{status=\"403\"}") == Some(3.0)
            && streams(&lab, "new") == [1.0, 0.0, 1.0].map(Some)
    });
    assert_eq!(streams(&lab, "legacy"), [0.0; 3].map(Some));
    assert_eq!(lab.new.book().len(), 2, "no backend heard of the others");
}
