//! Health checks and breakers, as a whole process lives with them.

use serde_json::Value;

use super::lab::{Lab, NEAR};

const DOWN: &str =
    "health = { path = \"/healthz?new=500\", interval = \"100ms\", fall = 2, rise = 2 }";
const UP: &str = "health = { path = \"/healthz\", interval = \"100ms\", fall = 2, rise = 2 }";

fn new(lab: &Lab) -> Value {
    lab.status()["backends"]["new"].clone()
}

#[test]
fn a_backend_that_its_check_finds_down_is_said_to_be_and_a_reload_asks_another_way() {
    let mut lab = Lab::started(|file| file.own = DOWN);
    lab.until("new is down", || new(&lab)["health"]["state"] == "down");
    lab.next_look();
    let status = lab.status();
    assert_eq!(status["condition"]["state"], "new", "{status:#}");
    assert_eq!(status["backends"]["new"]["breaker"]["state"], "open");
    assert_eq!(status["backends"]["legacy"]["health"], Value::Null);
    let up = |backend: &str| {
        let name = format!("switchback_backend_up{{backend=\"{backend}\"}}");
        lab.metric(&name)
    };
    assert_eq!((up("legacy"), up("new")), (Some(1.0), Some(0.0)));
    let said = lab.order(&["status"]).out;
    assert!(said.contains("New is failing: it is down"), "{said}");
    assert!(lab.log().contains("The health check says that new is down"));

    lab.rewrite(|file| file.own = UP);
    lab.hangup();
    lab.until("new is up", || new(&lab)["health"]["state"] == "up");
    let asked = lab.new.last();
    assert_eq!(asked.first, "GET /healthz HTTP/1.1");
    assert_eq!(asked.header("user-agent"), Some("switchback-health"));
    // One call at a time shows that it is well.
    lab.begin_many(3, NEAR, "/ivr/welcome");
    lab.until("the breaker is closed", || {
        new(&lab)["breaker"]["state"] == "closed"
    });
    assert_eq!(new(&lab)["breaker"]["opens_last_hour"], 1);
    assert!(lab.stop().success(), "the checks' thread ends as well");
}

#[test]
fn five_calls_that_fail_in_a_row_open_the_breaker() {
    let lab = Lab::started(|file| file.own = "breaker = {}");
    lab.begin_many(5, NEAR, "/ivr/welcome?new=500");
    lab.until("the breaker is open", || {
        new(&lab)["breaker"]["because"] == "5 failures in a row"
    });
    let opens = "switchback_breaker_opens_total{backend=\"new\"}";
    lab.until("it is counted", || lab.metric(opens) == Some(1.0));
    let open = "switchback_breaker_state{backend=\"new\",state=\"closed\"}";
    assert_eq!(lab.metric(open), Some(0.0));
}
