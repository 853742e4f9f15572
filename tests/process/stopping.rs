//! TERM: what runs is finished, nothing new is taken, and a second one ends it.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::http::{self, Link};
use super::lab::{FORM, Lab, NEAR, form};

/// A webhook that new has and does not answer until it is released.
fn in_flight(lab: &Lab) -> Link {
    let mut link = Link::to(lab.webhooks()).expect("it listens");
    let form = form(NEAR, "in-flight", "&CallStatus=ringing");
    link.send(&http::request(
        "POST",
        "/ivr/welcome?new=held",
        &[FORM],
        &form,
    ))
    .expect("it takes the request");
    lab.until("new has it", || lab.new.times("in-flight") == 1);
    link
}

#[test]
fn a_drain_answers_what_runs_and_takes_nothing_new() {
    let mut lab = Lab::started(|_| {});
    let mut running = in_flight(&lab);
    // Idle, and kept open by the provider: it must not keep us.
    let mut idle = Link::to(lab.webhooks()).unwrap();
    let form = form(NEAR, "idle", "&CallStatus=ringing");
    idle.send(&http::request("POST", "/ivr/welcome", &[FORM], &form))
        .unwrap();
    assert_eq!(idle.answer().unwrap().status(), 200);

    lab.signal("TERM");
    let webhooks = lab.webhooks();
    lab.until("nothing new is taken", || {
        TcpStream::connect(webhooks).is_err()
    });
    assert_eq!(lab.get("/livez").status(), 200, "a drain can be watched");
    assert!(
        idle.receive().unwrap().is_none(),
        "an idle connection is closed"
    );

    lab.new.release();
    let answer = running.answer().unwrap();
    assert_eq!((answer.status(), answer.side()), (200, "new"));
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(lab.ended().code(), Some(0));
}

#[test]
fn a_rollback_does_not_wait_for_the_end_of_a_drain() {
    let mut lab = Lab::started(|_| {});
    let mut running = in_flight(&lab);
    lab.signal("TERM");
    lab.until("it drains", || lab.log().contains("Draining"));
    lab.order(&["rollback", "total", "--reason", "silence"]);
    assert_eq!(lab.status()["latched"], true);
    lab.new.release();
    assert_eq!(running.answer().unwrap().side(), "new");
    assert_eq!(lab.ended().code(), Some(0));
}

#[test]
fn a_second_term_stops_now() {
    let mut lab = Lab::started(|_| {});
    let mut running = in_flight(&lab);
    lab.signal("TERM");
    lab.until("it drains", || lab.log().contains("Draining"));
    lab.signal("TERM");
    assert_eq!(lab.ended().code(), Some(0));
    assert!(lab.log().contains("second signal"), "{}", lab.log());
    assert!(running.answer().is_err(), "nobody waits for it any more");
}

#[test]
fn a_request_that_never_ends_is_cut_when_the_time_to_finish_is_over() {
    let mut lab = Lab::started(|file| {
        file.sections = "[limits]\ndrain_timeout = \"500ms\"".to_owned();
    });
    let mut running = in_flight(&lab);
    assert_eq!(lab.stop().code(), Some(0));
    assert!(running.answer().is_err());
}

#[test]
fn int_drains_as_term_does_and_leaves_the_state_to_the_next() {
    let mut lab = Lab::started(|_| {});
    lab.begin(NEAR, "/ivr/welcome");
    lab.order(&["set", "70", "--reason", "before the end"]);
    lab.signal("INT");
    assert_eq!(lab.ended().code(), Some(0));
    assert!(lab.log().contains("Stopped."), "{}", lab.log());
    lab.start();
    assert_eq!(lab.status()["percentage"], 70);
}

#[test]
fn a_stop_under_load_loses_no_request_that_was_taken() {
    let mut lab = Lab::started(|_| {});
    let (webhooks, answered) = (lab.webhooks(), AtomicUsize::new(0));
    thread::scope(|scope| {
        for caller in 0..8 {
            let answered = &answered;
            // Until the port is closed; a connection that was made is answered.
            scope.spawn(move || {
                for number in 0.. {
                    let mut link = match Link::to(webhooks) {
                        Ok(link) => link,
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
                            return;
                        }
                    };
                    let call = format!("last-{caller}-{number}");
                    let form = form(NEAR, &call, "&CallStatus=ringing");
                    let request = http::request("POST", "/ivr/welcome", &[FORM], &form);
                    let answer = link.send(&request).and_then(|()| link.answer());
                    let answer = answer.unwrap_or_else(|error| panic!("{call}: {error}"));
                    assert_eq!(answer.status(), 200, "{call}");
                    answered.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(3));
                }
            });
        }
        lab.until("there is load", || answered.load(Ordering::Relaxed) > 100);
        lab.signal("TERM");
    });
    assert_eq!(lab.ended().code(), Some(0));
    assert_eq!(lab.new.book().len(), answered.into_inner(), "each once");
}
