//! What a proxy cannot see, told to it: `POST /api/v1/events`.

use serde_json::json;

use super::lab::Lab;

const COMPLAINTS: &str = "
[[reversal]]
name = \"complaints\"
measure = \"complaints\"
above = 2
over = \"1h\"
action = \"reverse\"
[[alert]]
name = \"memory\"
measure = \"memory_used\"
above = \"80%\"
over = \"1m\"
";

#[test]
fn an_event_told_twice_counts_once() {
    let lab = Lab::started(|file| file.rules = COMPLAINTS);
    for _ in 0..5 {
        let told = lab.report("complaint", &json!({ "id": "ticket-1" }));
        assert_eq!(told.status(), 200, "a repetition is no error");
    }
    lab.report("complaint", &json!({ "id": "ticket-2" }));
    let two = lab.rule_at("complaints", 2);
    assert_eq!(two["value"], 2.0);
    lab.next_look();
    assert_eq!(lab.status()["latched"], false, "2 is not above 2");
    // Without an id each is another one.
    lab.report("complaint", &json!({}));
    lab.until_latched();
}

#[test]
fn the_words_of_an_event_are_in_the_log_and_no_number() {
    let lab = Lab::started(|file| file.rules = COMPLAINTS);
    let words = "booking lost for +14155550142";
    lab.report("complaint", &json!({ "message": words, "id": "ticket-7" }));
    lab.report("complaint", &json!({ "message": words, "id": "ticket-7" }));
    let told = || lab.log().matches("booking lost for").count();
    lab.until("it is told", || told() == 1);
    lab.next_look();
    assert_eq!(told(), 1, "once for each event");
    assert!(!lab.log().contains("4155550142"), "{}", lab.log());
}

#[test]
fn a_gauge_is_what_was_told_last() {
    let lab = Lab::started(|file| file.rules = COMPLAINTS);
    let firing = || lab.rule("memory")["firing"] == true;
    lab.report("memory_used", &json!({ "value": 0.8 }));
    lab.until("it is seen", || lab.rule("memory")["value"] == 0.8);
    assert!(!firing(), "80 % is not above 80 %");
    lab.report("memory_used", &json!({ "value": 0.95 }));
    lab.until("it fires", firing);
}

#[test]
fn an_event_that_says_nothing_is_refused() {
    let lab = Lab::started(|file| file.rules = COMPLAINTS);
    for (kind, more) in [
        ("earthquake", json!({})),
        ("complaint", json!({ "message": "" })),
        ("complaint", json!({ "value": 3 })),
        ("complaint", json!({ "backend": "third" })),
        ("memory_used", json!({})),
        ("memory_used", json!({ "value": 1.5 })),
        ("complaint", json!({ "unknown": 1 })),
    ] {
        let answer = lab.report(kind, &more);
        assert_eq!(answer.status(), 400, "{kind} {more}: {}", answer.text());
        let kind = answer.header("content-type");
        assert_eq!(kind, Some("application/problem+json"));
    }
    assert_eq!(lab.rule("complaints")["samples"], 0);
}
