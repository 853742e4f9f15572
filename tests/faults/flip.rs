//! What a flip does to those who are on the line.

use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;

use crate::calls::{Call, Webhook, Wire};
use crate::http::Message;
use crate::lab::{Lab, Text, story};

/// A route on which nobody is rescued or given up before a test's patience ends: what
/// is answered in spite of new was answered because of the flip.
fn route(path: &str, protocol: &str, more: &str) -> String {
    format!(
        "[[route]]\npath = \"/{path}\"\nprotocol = \"{protocol}\"\n\
         rescue_after = \"40s\"\ntimeout = \"60s\"\n{more}\n"
    )
}

async fn lab(routes: String) -> Arc<Lab> {
    let text = Text {
        routes,
        ..Text::default()
    };
    Arc::new(Lab::started(&text).await)
}

async fn send(lab: &Lab, call: &Call, webhook: Webhook, query: &str) -> Message {
    lab.ask(&call.webhook(webhook).with(query)).await
}

fn call(wire: Wire, route: &str, id: &str) -> Call {
    Call {
        wire,
        route: route.to_owned(),
        id: id.to_owned(),
    }
}

async fn roll_back(lab: &Lab, live: &str) {
    let total = json!({ "level": "total", "live": live, "reason": "a test" });
    lab.order("/api/v1/rollback", &total).await;
}

#[test]
fn who_waits_on_new_for_a_first_answer_is_answered_by_legacy_at_once() {
    story(async {
        let lab = lab(route("texml", "telnyx-texml", "")).await;
        // A call that is on new already finishes there.
        let old = call(Wire::TexmlPost, "/texml", "old");
        assert_eq!(send(&lab, &old, Webhook::First, "").await.side(), "new");
        let finishes = {
            let lab = Arc::clone(&lab);
            tokio::spawn(async move { send(&lab, &old, Webhook::Gather, "new=slow-1500").await })
        };
        let mut callers = JoinSet::new();
        for (n, wire) in [Wire::TexmlGet, Wire::TexmlPost, Wire::TexmlPost]
            .into_iter()
            .enumerate()
        {
            let lab = Arc::clone(&lab);
            callers.spawn(async move {
                let caller = call(wire, "/texml", &format!("waits-{n}"));
                let answer = send(&lab, &caller, Webhook::First, "new=hangs").await;
                (caller, answer)
            });
        }
        lab.until("all wait on new", async || lab.new.now() == 4)
            .await;
        roll_back(&lab, "drain").await;
        for (caller, answer) in callers.join_all().await {
            assert_eq!((answer.status(), answer.side()), (200, "legacy"));
            let menu = send(&lab, &caller, Webhook::Gather, "").await;
            assert_eq!(menu.side(), "legacy", "and stays");
        }
        let menu = finishes.await.expect("it is answered");
        assert_eq!((menu.status(), menu.side()), (200, "new"));
        let rescues = "switchback_rescues_total{route=\"/texml\",result=\"served\"}";
        lab.until("they are counted", async || {
            lab.metric(rescues).await == Some(3.0)
        })
        .await;
        assert_eq!(
            lab.metric("switchback_new_calls_after_latch_total").await,
            Some(0.0)
        );
    });
}

#[test]
fn a_rollback_that_moves_sends_each_call_to_the_entry_once_and_nobody_beside_it() {
    story(async {
        let routes = route("texml", "telnyx-texml", "entry = \"/texml/entry\"")
            + &route("twilio", "twilio", "entry = \"/twilio/entry\"").replace("40s", "10s");
        let lab = lab(routes).await;
        let calls = [
            call(Wire::TexmlGet, "/texml", "by-get"),
            call(Wire::TexmlPost, "/texml", "by-post"),
            call(Wire::Twilio, "/twilio", "CA-moves"),
        ];
        let beside = call(Wire::TexmlPost, "/texml", "has-a-leg");
        let bridged = call(Wire::TexmlPost, "/texml", "is-bridged");
        for call in calls.iter().chain([&beside, &bridged]) {
            assert_eq!(send(&lab, call, Webhook::First, "").await.side(), "new");
        }
        roll_back(&lab, "move").await;

        // Who is beside the caller stays, and so does what nobody waits for.
        for webhook in [Webhook::Whisper, Webhook::Wait, Webhook::Status] {
            let answer = send(&lab, &beside, webhook, "").await;
            assert_eq!(
                (answer.status(), answer.side()),
                (200, "new"),
                "{webhook:?}"
            );
        }
        let dialled = send(&lab, &bridged, Webhook::DialBridged, "").await;
        assert_eq!(dialled.side(), "new", "somebody else is on the line");

        let had = lab.new.total();
        for call in &calls {
            let answer = send(&lab, call, Webhook::Gather, "").await;
            assert_eq!((answer.status(), answer.side()), (200, "-"), "{}", call.id);
            let method = match call.wire {
                Wire::TexmlGet => "GET",
                _ => "POST",
            };
            let entry = format!(
                "<Redirect method=\"{method}\">{}/entry</Redirect>",
                call.route
            );
            assert!(answer.text().contains(&entry), "{}", answer.text());
            for webhook in [Webhook::Entry, Webhook::Gather, Webhook::Gather] {
                let answer = send(&lab, call, webhook, "").await;
                let came = (answer.status(), answer.side());
                assert_eq!(came, (200, "legacy"), "{}: {webhook:?}", call.id);
            }
        }
        assert_eq!(lab.new.total(), had, "new hears of them no more");
    });
}

#[test]
fn a_rollback_that_drains_moves_nobody() {
    story(async {
        let lab = lab(route("texml", "telnyx-texml", "entry = \"/texml/entry\"")).await;
        let stays = call(Wire::TexmlPost, "/texml", "stays");
        assert_eq!(send(&lab, &stays, Webhook::First, "").await.side(), "new");
        roll_back(&lab, "drain").await;
        let menu = send(&lab, &stays, Webhook::Gather, "").await;
        assert_eq!((menu.status(), menu.side()), (200, "new"));
    });
}
