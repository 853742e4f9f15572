//! Tokens in URLs: where they are put, what they say, and when they say nothing.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use switchback::document::address::Addresses;
use switchback::measure::Outcome;
use switchback::model::{Backend, Wall};
use switchback::proxy::settings::Affinity;
use switchback::split::Split;
use switchback::split::token::Token;

use super::backend::{SOUND, nobody, recorder};
use super::http::{form, get, post, status, webhook};
use super::lab::{Edge, key, secs_ago, split};

/// We are voice.example.com, and new calls itself by a name of its own.
fn addresses() -> Addresses {
    Addresses::new(
        "https://voice.example.com",
        &["https://ivr-new.example.com".to_owned()],
        &["/ivr".to_owned()],
    )
}

/// A token of the tests' key.
fn token(backend: Backend, began: Wall) -> String {
    key().mint(Token { backend, began })
}

// Found in a review: Twilio follows redirects, and this one went past us.
#[test]
fn a_redirect_that_names_a_backend_leads_back_to_us() {
    const AWAY: &str = "HTTP/1.1 302 Found\r\nLocation: https://ivr-new.example.com/ivr/menu?a=1#b\r\nContent-Length: 0\r\n\r\n";
    const ELSEWHERE: &str = "HTTP/1.1 302 Found\r\nLocation: https://cdn.example.com/ivr/menu\r\nContent-Length: 0\r\n\r\n";
    for (answer, affinity, location) in [
        (
            AWAY,
            Affinity::Memory,
            "https://voice.example.com/ivr/menu?a=1#b",
        ),
        (
            AWAY,
            Affinity::Url,
            "https://voice.example.com/ivr/menu?a=1&_sb=",
        ),
        (
            ELSEWHERE,
            Affinity::Url,
            "https://cdn.example.com/ivr/menu\r\n",
        ),
    ] {
        let (new, _) = recorder(answer);
        let edge = Edge::with(nobody(), new, |settings| {
            settings.routes[0].affinity = affinity;
            settings.addresses = Some(Arc::new(addresses()));
        });
        let answer = edge.raw(&webhook("CA1", "t")).to_lowercase();
        assert!(
            answer.contains(&format!("location: {location}")),
            "{answer}"
        );
        assert_eq!(edge.outcome(), Outcome::Served);
    }
}

// Found in a review: what a document of new's plays comes back without the call's name,
// and went to legacy, which does not have it.
#[test]
fn what_names_no_call_follows_its_token() {
    let (legacy, at_legacy) = recorder(SOUND);
    let (new, at_new) = recorder(SOUND);
    let edge = Edge::new(legacy, new);
    let play = |token: &str| status(&edge.raw(&get(&format!("/ivr/hello.mp3?_sb={token}"))));
    let on_new = token(Backend::New, secs_ago(60));
    for (token, new_so_far) in [
        (token(Backend::Legacy, secs_ago(60)), 0),
        ("AAAAAAAAAAAAAAAAAAAA".to_owned(), 0),
        (on_new.clone(), 1),
        (token(Backend::New, secs_ago(2 * 86_400)), 1),
    ] {
        assert_eq!(play(&token), 200);
        assert_eq!(at_new.lock().unwrap().len(), new_so_far, "{token}");
    }
    let asked = String::from_utf8(at_new.lock().unwrap()[0].clone()).unwrap();
    assert!(
        asked.starts_with("GET /ivr/hello.mp3 HTTP/1.1\r\n"),
        "{asked}"
    );
    // A call that began before a latch goes on, one that began after it does not.
    edge.latch();
    assert_eq!(play(&on_new), 200);
    assert_eq!(at_new.lock().unwrap().len(), 1, "nobody knows since when");
    edge.publish(Split {
        latched_since: Some(secs_ago(30)),
        ..split(9, true)
    });
    assert_eq!(play(&on_new), 200);
    assert_eq!(at_new.lock().unwrap().len(), 2);
    assert_eq!(play(&token(Backend::New, secs_ago(20))), 200);
    assert_eq!(at_new.lock().unwrap().len(), 2);
    assert_eq!(at_legacy.lock().unwrap().len(), 5);
}

#[test]
fn a_parameter_of_the_backends_own_is_left_alone_where_no_tokens_are_handed_out() {
    let ours = token(Backend::Legacy, secs_ago(1));
    for (affinity, value, left) in [
        (Affinity::Memory, "mine", "/ivr?a=1&_sb=mine"),
        (Affinity::Memory, &*ours, "/ivr?a=1"),
        (Affinity::Url, "mine", "/ivr?a=1"),
        (Affinity::Url, &*ours, "/ivr?a=1"),
    ] {
        let (legacy, received) = recorder(SOUND);
        let edge = Edge::with(legacy, nobody(), |settings| {
            settings.routes[0].affinity = affinity;
        });
        assert_eq!(
            status(&edge.raw(&get(&format!("/ivr?a=1&_sb={value}")))),
            200
        );
        let received = String::from_utf8(received.lock().unwrap()[0].clone()).unwrap();
        let expected = format!("GET {left} HTTP/1.1\r\n");
        assert!(received.starts_with(&expected), "{received}");
    }
}

// Found in a review: a token copied from a log into a provider's console would have
// taken every call to new for ever, while latched too.
#[test]
fn a_token_of_long_ago_places_no_call() {
    let (legacy, at_legacy) = recorder(SOUND);
    let (new, at_new) = recorder(SOUND);
    let edge = Edge::new(legacy, new);
    edge.publish(Split {
        latched_since: Some(secs_ago(30)),
        ..split(2, true)
    });
    for (call, age, on_new) in [("CA1", 2 * 86_400, 0), ("CA2", 3600, 1)] {
        let target = format!("/ivr?_sb={}", token(Backend::New, secs_ago(age)));
        let answer = edge.raw(&post(&target, &form(call, "t"), "Connection: close\r\n"));
        assert_eq!(status(&answer), 200);
        assert_eq!(at_new.lock().unwrap().len(), on_new, "{call}");
    }
    assert_eq!(at_legacy.lock().unwrap().len(), 1);
}

// Found in a review: Twilio caches what it fetches by GET, and would have given one
// call's tokens to the next.
#[test]
fn what_carries_a_token_is_kept_from_caches_and_says_when_the_call_began() {
    const ASKS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nETag: \"1\"\r\nCache-Control: max-age=60\r\nContent-Length: 54\r\n\r\n<Response><Gather action=\"/ivr/menu\"></Gather></Response>";
    let answer: &'static str = Box::leak(ASKS.replace("54", "57").into_boxed_str());
    for (affinity, cached) in [(Affinity::Memory, true), (Affinity::Url, false)] {
        let (new, _) = recorder(answer);
        let edge = Edge::with(nobody(), new, |settings| {
            settings.routes[0].affinity = affinity;
            settings.addresses = Some(Arc::new(addresses()));
        });
        let answer = edge.raw(&webhook("CA1", "t")).to_lowercase();
        assert_eq!(answer.contains("etag"), cached, "{answer}");
        assert_eq!(answer.contains("max-age"), cached, "{answer}");
        assert_eq!(
            answer.contains("cache-control: no-store"),
            !cached,
            "{answer}"
        );
        if affinity == Affinity::Memory {
            continue;
        }
        let token_in = |answer: &str| {
            let (_, after) = answer.split_once("_sb=").unwrap();
            let (text, _) = after.split_at(20);
            key().read(text).unwrap()
        };
        let before = token_in(&edge.raw(&webhook("CA1", "t")));
        thread::sleep(Duration::from_millis(2100));
        let after = token_in(&edge.raw(&webhook("CA1", "t")));
        assert!(
            after.began.0 <= before.began.0 + 1000,
            "it began when it began"
        );
    }
}
