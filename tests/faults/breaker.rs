//! A breaker in front of new: open, half open, closed again, as callers meet it.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::calls::{Call, Webhook, Wire};
use crate::lab::{Lab, Text, story};

const ROUTE: &str = "/texml/start";

async fn lab(breaker: &'static str) -> Arc<Lab> {
    let text = Text {
        new: breaker,
        // Nobody is late in these tests.
        routes: format!(
            "[[route]]\npath = \"{ROUTE}\"\nprotocol = \"telnyx-texml\"\n\
             rescue_after = \"8s\"\ntimeout = \"10s\"\n"
        ),
        ..Text::default()
    };
    Arc::new(Lab::started(&text).await)
}

fn call(id: impl Into<String>) -> Call {
    Call {
        wire: Wire::TexmlPost,
        route: ROUTE.to_owned(),
        id: id.into(),
    }
}

/// Who answers the first webhook of a new call; it is always answered.
async fn begin(lab: &Lab, id: &str, query: &str) -> String {
    let answer = lab.ask(&call(id).webhook(Webhook::First).with(query)).await;
    assert_eq!(answer.status(), 200, "{id}: {}", answer.text());
    answer.side().to_owned()
}

async fn until_state(lab: &Lab, state: &str) {
    lab.until(state, async || {
        lab.status().await["backends"]["new"]["breaker"]["state"] == state
    })
    .await;
}

/// Three calls that new fails, and their callers do not hear of it.
async fn open(lab: &Lab) {
    for n in 0..3 {
        let side = begin(lab, &format!("opens-{n}"), "new=page-500").await;
        assert_eq!(side, "legacy", "rescued");
    }
}

async fn counted(lab: &Lab, outcome: &str) -> Option<f64> {
    lab.metric(&format!(
        "switchback_webhooks_total{{backend=\"new\",route=\"{ROUTE}\",kind=\"voice\",outcome=\"{outcome}\"}}"
    ))
    .await
}

#[test]
fn open_it_keeps_new_calls_from_new_and_counts_each_as_failed_for_it() {
    story(async {
        let lab = lab("breaker = { consecutive = 3, open_for = \"60s\" }").await;
        assert_eq!(begin(&lab, "goes-on", "").await, "new");
        for n in 0..2 {
            begin(&lab, &format!("fails-{n}"), "new=page-500").await;
        }
        // The neighbour: a good answer between them, and two failures open nothing.
        assert_eq!(begin(&lab, "between", "").await, "new");
        open(&lab).await;
        until_state(&lab, "open").await;
        let had = lab.new.total();
        for n in 0..5 {
            let id = format!("kept-{n}");
            assert_eq!(begin(&lab, &id, "").await, "legacy", "straight");
            let menu = lab.ask(&call(id).webhook(Webhook::Gather)).await;
            assert_eq!((menu.status(), menu.side()), (200, "legacy"), "and stays");
        }
        assert_eq!(lab.new.total(), had, "new is left alone");
        lab.until("they count against new", async || {
            counted(&lab, "breaker").await == Some(5.0)
        })
        .await;
        // A call that began on new has nobody else.
        let menu = lab.ask(&call("goes-on").webhook(Webhook::Gather)).await;
        assert_eq!((menu.status(), menu.side()), (200, "new"));
    });
}

#[test]
fn half_open_it_lets_one_call_at_a_time_through_and_closes_after_good_answers() {
    story(async {
        let own = "breaker = { consecutive = 3, open_for = \"300ms\", close_after = 2 }";
        let lab = lab(own).await;
        open(&lab).await;
        until_state(&lab, "half-open").await;
        let had = lab.new.total();
        let tried = {
            let lab = Arc::clone(&lab);
            tokio::spawn(async move { begin(&lab, "tried", "new=slow-1000").await })
        };
        lab.until("new has it", async || lab.new.now() == 1).await;
        let mut others = JoinSet::new();
        for n in 0..6 {
            let lab = Arc::clone(&lab);
            others.spawn(async move { begin(&lab, &format!("waits-not-{n}"), "").await });
        }
        for side in others.join_all().await {
            assert_eq!(side, "legacy", "one at a time");
        }
        assert_eq!(tried.await.expect("it is answered"), "new");
        assert_eq!(lab.new.total(), had + 1);
        lab.until("it closes after another good one", async || {
            let n = lab.new.total() + lab.legacy.total();
            begin(&lab, &format!("closes-{n}"), "").await;
            lab.status().await["backends"]["new"]["breaker"]["state"] == "closed"
        })
        .await;
        for n in 0..5 {
            assert_eq!(begin(&lab, &format!("as-before-{n}"), "").await, "new");
        }
    });
}

#[test]
fn a_trial_that_fails_costs_its_caller_nothing_and_opens_it_again() {
    story(async {
        let lab = lab("breaker = { consecutive = 3, open_for = \"2s\" }").await;
        open(&lab).await;
        until_state(&lab, "half-open").await;
        assert_eq!(begin(&lab, "tried", "new=closes-in-head").await, "legacy");
        until_state(&lab, "open").await;
    });
}
