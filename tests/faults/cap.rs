//! Caps: a backend is never asked more at once than it can do, and whoever waits on the
//! line goes before reports.

use std::sync::Arc;

use serde_json::json;
use tokio::task::{JoinHandle, JoinSet};

use crate::calls::{Call, Webhook, Wire};
use crate::http::Message;
use crate::lab::{Lab, Text, story};

const ROUTE: &str = "/texml/start";

async fn lab(legacy: &'static str, new: &'static str) -> Arc<Lab> {
    let text = Text {
        legacy,
        new,
        // Nobody is late in these tests.
        routes: format!(
            "[[route]]\npath = \"{ROUTE}\"\nprotocol = \"telnyx-texml\"\n\
             rescue_after = \"8s\"\ntimeout = \"10s\"\n"
        ),
        ..Text::default()
    };
    Arc::new(Lab::started(&text).await)
}

async fn send(lab: &Lab, id: &str, webhook: Webhook, query: &str) -> Message {
    let call = Call {
        wire: Wire::TexmlPost,
        route: ROUTE.to_owned(),
        id: id.to_owned(),
    };
    lab.ask(&call.webhook(webhook).with(query)).await
}

/// A webhook that takes its time, once new has it.
async fn busy(lab: &Arc<Lab>, id: &'static str, webhook: Webhook) -> JoinHandle<Message> {
    let own = Arc::clone(lab);
    let sent = tokio::spawn(async move { send(&own, id, webhook, "new=slow-1000").await });
    lab.until("new has it", async || lab.new.now() == 1).await;
    sent
}

async fn full(lab: &Lab, backend: &str, kind: &str) -> Option<f64> {
    lab.metric(&format!(
        "switchback_webhooks_total{{backend=\"{backend}\",route=\"{ROUTE}\",kind=\"{kind}\",outcome=\"full\"}}"
    ))
    .await
}

#[test]
fn a_full_backend_sheds_events_and_lets_callers_wait_a_little() {
    story(async {
        let cap = "concurrency = 1\nqueue = 4\nqueue_wait = \"2s\"";
        let lab = lab("", cap).await;
        for id in ["one", "two"] {
            assert_eq!(send(&lab, id, Webhook::First, "").await.side(), "new");
        }
        let one = busy(&lab, "one", Webhook::Gather).await;
        let event = send(&lab, "two", Webhook::Status, "").await;
        assert_eq!((event.status(), event.side()), (503, "-"));
        assert_eq!(event.header("retry-after"), Some("1"));
        let two = send(&lab, "two", Webhook::Gather, "").await;
        assert_eq!((two.status(), two.side()), (200, "new"), "after its turn");
        assert_eq!(one.await.expect("it is answered").side(), "new");
        assert_eq!(lab.new.most(), 1, "never two at once");
        lab.until("the event is counted", async || {
            full(&lab, "new", "event").await == Some(1.0)
        })
        .await;
        assert_eq!(full(&lab, "new", "voice").await, Some(0.0));
        // The neighbour: with room the same event is taken.
        assert_eq!(send(&lab, "two", Webhook::Status, "").await.side(), "new");
    });
}

#[test]
fn a_new_call_too_many_for_new_is_legacys_and_counts_against_new() {
    story(async {
        let lab = lab("", "concurrency = 1\nqueue = 0").await;
        let one = busy(&lab, "one", Webhook::First).await;
        for id in ["two", "three"] {
            let answer = send(&lab, id, Webhook::First, "").await;
            assert_eq!((answer.status(), answer.side()), (200, "legacy"), "{id}");
            let menu = send(&lab, id, Webhook::Gather, "").await;
            assert_eq!((menu.status(), menu.side()), (200, "legacy"), "{id} stays");
        }
        assert_eq!(one.await.expect("it is answered").side(), "new");
        lab.until("they count against new", async || {
            full(&lab, "new", "voice").await == Some(2.0)
        })
        .await;
        assert_eq!(lab.new.most(), 1);
    });
}

#[test]
fn a_flip_never_sends_legacy_more_than_its_cap() {
    story(async {
        const CALLERS: usize = 24;
        let lab = lab("concurrency = 2\nqueue = 0", "").await;
        let mut callers = JoinSet::new();
        for n in 0..CALLERS {
            let lab = Arc::clone(&lab);
            callers.spawn(async move {
                let query = "new=hangs&legacy=slow-500";
                send(&lab, &format!("waits-{n}"), Webhook::First, query).await
            });
        }
        lab.until("all wait on new", async || lab.new.now() == CALLERS)
            .await;
        let total = json!({ "level": "total", "reason": "a test" });
        lab.order("/api/v1/rollback", &total).await;
        let answers = callers.join_all().await;
        let of = |side: &str| answers.iter().filter(|it| it.side() == side).count();
        assert_eq!(
            of("legacy") + of("-"),
            CALLERS,
            "all are answered, by legacy or by us"
        );
        assert!(of("legacy") >= 2, "{} were legacy's", of("legacy"));
        for answer in &answers {
            assert_eq!(answer.status(), 200, "{}", answer.text());
            assert!(answer.text().contains("<Response>"), "{}", answer.text());
        }
        assert!(lab.legacy.most() <= 2, "legacy had {}", lab.legacy.most());
    });
}
