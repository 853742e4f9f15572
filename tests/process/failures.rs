//! Webhooks that nobody answers, and providers that do not wait.

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use super::http::{self, Link};
use super::lab::{FORM, Lab, NEAR, form};

fn outcome(lab: &Lab, outcome: &str) -> Option<f64> {
    lab.metric(&format!(
        "switchback_webhooks_total{{backend=\"new\",route=\"/ivr\",kind=\"voice\",outcome=\"{outcome}\"}}"
    ))
}

#[test]
fn no_answer_is_502_and_none_in_time_is_504() {
    let lab = Lab::started(|file| file.route = "timeout = \"500ms\"");
    let reset = lab.begin(NEAR, "/ivr/welcome?new=hang-up");
    assert_eq!((reset.status(), reset.side()), (502, "-"));
    let late = lab.begin(NEAR, "/ivr/welcome?new=slow-3000");
    assert_eq!((late.status(), late.side()), (504, "-"));
    let said = lab.begin(NEAR, "/ivr/welcome?new=503");
    assert_eq!((said.status(), said.side()), (503, "new"), "as it was said");
    let broken = lab.begin(NEAR, "/ivr/welcome?new=broken");
    assert_eq!((broken.status(), broken.side()), (200, "new"));
    for cause in ["reset", "timeout", "status", "document"] {
        lab.until(cause, || outcome(&lab, cause) == Some(1.0));
    }
    assert_eq!(lab.status()["backends"]["new"]["errors"], 4);
    assert_eq!(lab.status()["backends"]["legacy"]["webhooks"], 0);
}

#[test]
fn a_backend_that_is_not_there_is_502() {
    // Held and never accepted from, then let go: nobody listens there.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let lab = Lab::started(|file| file.new = Some(address));
    assert_eq!(lab.begin(NEAR, "/ivr/welcome").status(), 502);
    lab.until("it is counted", || outcome(&lab, "connect") == Some(1.0));
}

#[test]
fn a_connection_that_died_while_it_waited_costs_no_webhook() {
    let lab = Lab::started(|_| {});
    // The pooled connections of every worker are closed by the backend; the next
    // webhooks go out over new ones.
    for _ in 0..8 {
        lab.begin(NEAR, "/ivr/welcome?new=hang-up");
    }
    for _ in 0..8 {
        assert_eq!(lab.begin(NEAR, "/ivr/welcome").status(), 200);
    }
}

#[test]
fn a_provider_that_hangs_up_is_counted_and_blamed_on_new_only_after_a_second() {
    let lab = Lab::started(|_| {});
    let hang_up = |call: &str, after: Duration| {
        let mut link = Link::to(lab.webhooks()).unwrap();
        let form = form(NEAR, call, "&CallStatus=ringing");
        let request = http::request("POST", "/ivr/welcome?new=held", &[FORM], &form);
        link.send(&request).unwrap();
        lab.until("new has it", || lab.new.times(call) == 1);
        thread::sleep(after);
    };
    hang_up("impatient", Duration::ZERO);
    lab.until("it is counted", || {
        outcome(&lab, "client-gone") == Some(1.0)
    });
    assert_eq!(lab.status()["backends"]["new"]["errors"], 0);
    hang_up("let-down", Duration::from_millis(1100));
    lab.until("it is counted", || outcome(&lab, "abandoned") == Some(1.0));
    assert_eq!(lab.status()["backends"]["new"]["errors"], 1);
    assert_eq!(outcome(&lab, "client-gone"), Some(1.0));
    lab.new.release();
}

#[test]
fn what_belongs_to_no_route_is_refused_and_counted() {
    let lab = Lab::started(|file| file.sections = "[limits]\nbody = \"1KiB\"".to_owned());
    assert_eq!(lab.begin(NEAR, "/elsewhere").status(), 404);
    let long = format!("&x={}", "y".repeat(2000));
    let answer = lab.webhook(NEAR, "/ivr/welcome", "long", &long);
    assert_eq!(answer.status(), 413);
    for status in ["404", "413"] {
        let series = format!("switchback_refused_total{{status=\"{status}\"}}");
        lab.until(&series, || lab.metric(&series) == Some(1.0));
    }
    assert!(lab.new.book().is_empty() && lab.legacy.book().is_empty());
}

#[test]
fn what_names_no_call_goes_to_legacy() {
    let lab = Lab::started(|file| file.percentage = 100);
    let answer = http::ask(lab.webhooks(), "GET", "/ivr/prompt.mp3", &[], "");
    assert_eq!(answer.unwrap().side(), "legacy");
    lab.until("it is counted", || {
        lab.metric("switchback_placements_total{backend=\"legacy\",because=\"unrecognized\"}")
            == Some(1.0)
    });
    assert_eq!(lab.status()["backends"]["legacy"]["calls"], 0);
}
