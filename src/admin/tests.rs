mod access;
mod data;
mod status;

use std::time::Duration;

use axum::http::header;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower::ServiceExt;

use super::*;
use crate::desk::{Ask, Reloaded};
use crate::engine::{
    BackendStatus, Done, Refusal, RefusalKind, ReportKind, RuleStatus, Verification,
};
use crate::model::{PerBackend, Percentage, Wall};
use crate::rollout::{Command, Level, List, Phase};
use crate::rules::{Action, Finding, Measure, Verdict};
use crate::split::Live;

const TOKEN: &str = "a-long-token";

/// An admin over a desk whose engine is the caller's business.
fn admin(token: Option<&str>, loopback: bool) -> (Admin, mpsc::Receiver<Ask>) {
    let (desk, waiting) = Desk::new(8);
    let admin = Admin {
        status: Arc::default(),
        desk,
        explain: Arc::new(|subject| match subject {
            Subject::Tenant(tenant) => Some(json!({ "tenant": tenant, "backend": "new" })),
            Subject::Call(_) => None,
        }),
        journal: Arc::new(|limit| {
            (0..limit.min(3))
                .map(|n| json!({ "sequence": n }))
                .collect()
        }),
        restore: Arc::new(|| None),
        emergency: Arc::new(|| Emergency::LastResort),
        metrics: Arc::new(Metrics::new(&["/ivr"], &[])),
        ready: Arc::new(|| Ok(())),
        token: token.and_then(Secret::new),
        loopback,
        hosts: vec!["switchback.internal".to_owned()],
    };
    (admin, waiting)
}

/// An engine that takes every order, and refuses a raise to 100 as latched.
async fn engine(mut waiting: mpsc::Receiver<Ask>) {
    while let Some(ask) = waiting.recv().await {
        match ask {
            Ask::Order { order, reply } => {
                let done = if order.command == Command::Percentage(Percentage::FULL) {
                    Err(Refusal {
                        kind: RefusalKind::Conflict,
                        why: "latched: resume first".to_owned(),
                    })
                } else {
                    Ok(Done {
                        said: format!(
                            "{:?} by {} because {}",
                            order.command, order.actor, order.reason
                        ),
                        durable: true,
                        generation: 2,
                    })
                };
                drop(reply.send(done));
            }
            Ask::Backups { reply } => drop(reply.send(Ok(Vec::new()))),
            Ask::Restore { order, reply } => {
                let done = Done {
                    said: format!(
                        "{} by {} because {}",
                        order.backup, order.actor, order.reason
                    ),
                    durable: true,
                    generation: 2,
                };
                drop(reply.send(Ok(done)));
            }
            Ask::Report { report, reply } => {
                let known = report.kind == ReportKind::CriticalError;
                drop(reply.send(if known { Ok(()) } else { Err(not_durable()) }));
            }
            Ask::Reload { reload, reply } => {
                let answer = if reload.force {
                    Err("error: unknown key".to_owned())
                } else {
                    Ok(Reloaded {
                        changed: vec!["percentage".to_owned()],
                        ..Reloaded::default()
                    })
                };
                drop(reply.send(answer));
            }
        }
    }
}

fn not_durable() -> Refusal {
    Refusal {
        kind: RefusalKind::NotDurable,
        why: "the disk is full".to_owned(),
    }
}

/// A request as `METHOD /path`, headers as `name: value`.
fn request(line: &str, headers: &[&str], body: &str) -> Request<Body> {
    let (method, path) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path);
    for header in headers {
        let (name, value) = header.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

async fn ask(router: &Router, request: Request<Body>) -> (u16, Value) {
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let kind = response.headers().get(header::CONTENT_TYPE).cloned();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    if status >= 400 {
        assert_eq!(kind.unwrap(), "application/problem+json", "{status}");
    }
    let value = serde_json::from_slice(&body);
    (
        status,
        value.unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned().into()),
    )
}

const HOST: &str = "host: 127.0.0.1:9901";
const JSON: &str = "content-type: application/json";
const BEARER: &str = "authorization: Bearer a-long-token";
const REASON: &str = r#"{"reason":"r"}"#;

/// An open loopback listener with an engine behind it.
fn open() -> Router {
    let (admin, waiting) = admin(None, true);
    tokio::spawn(engine(waiting));
    router(Arc::new(admin))
}

async fn post(router: &Router, path: &str, body: Value) -> (u16, Value) {
    let line = format!("POST {path}");
    ask(router, request(&line, &[HOST, JSON], &body.to_string())).await
}

async fn get(router: &Router, path: &str) -> (u16, Value) {
    ask(router, request(&format!("GET {path}"), &[HOST], "")).await
}

#[tokio::test]
async fn a_bad_body_is_refused_with_what_was_wrong_in_it() {
    let router = open();
    for (path, body, word) in [
        ("hold", "", "EOF"),
        ("hold", "not json", "expected"),
        ("hold", "{}", "missing field `reason`"),
        ("hold", r#"{"reason":" "}"#, "`reason` is empty"),
        ("hold", r#"{"reason":"r","live":1}"#, "unknown field `live`"),
        (
            "percentage",
            r#"{"reason":"r"}"#,
            "missing field `percentage`",
        ),
        (
            "percentage",
            r#"{"reason":"r","percentage":"5"}"#,
            "invalid type",
        ),
        (
            "percentage",
            r#"{"reason":"r","percentage":101}"#,
            "0 to 100",
        ),
        (
            "percentage",
            r#"{"reason":"r","percentage":-1}"#,
            "0 to 100",
        ),
        ("percentage", r#"{"reason":"r","percentage":0.001}"#, "0.01"),
        ("resume", r#"{"reason":"r","percentage":1e9}"#, "0 to 100"),
        ("rollback", r#"{"reason":"r","level":"full"}"#, "`level` is"),
        (
            "rollback",
            r#"{"reason":"r","level":"data"}"#,
            "needs `backup`",
        ),
        (
            "rollback",
            r#"{"reason":"r","level":"tenant"}"#,
            "needs `tenant`",
        ),
        (
            "rollback",
            r#"{"reason":"r","level":"partial"}"#,
            "needs `percentage`",
        ),
        (
            "rollback",
            r#"{"reason":"r","level":"total","percentage":5}"#,
            "neither",
        ),
        (
            "rollback",
            r#"{"reason":"r","level":"total","live":"cut"}"#,
            "`live` is `drain` (live calls finish where they are) or `move`",
        ),
        (
            "rollback",
            r#"{"reason":"r","level":"tenant","tenant":""}"#,
            "`tenant` is 1 to",
        ),
        ("tenants/a", r#"{"reason":"r"}"#, "missing field `list`"),
        ("tenants/a", r#"{"reason":"r","list":"both"}"#, "`list` is"),
        ("events", r#"{"kind":"party","message":"m"}"#, "`kind` is"),
        (
            "events",
            r#"{"kind":"memory_used","message":"m"}"#,
            "`value` is needed",
        ),
        (
            "events",
            r#"{"kind":"memory_used","message":"m","value":80}"#,
            "0 to 1",
        ),
        (
            "events",
            r#"{"kind":"complaint","message":"m","value":1}"#,
            "belongs to",
        ),
        (
            "events",
            r#"{"kind":"complaint","message":""}"#,
            "`message` is empty",
        ),
        (
            "events",
            r#"{"kind":"complaint","message":"m","backend":"old"}"#,
            "`backend` is",
        ),
        (
            "reload",
            r#"{"reason":"r","dry-run":true}"#,
            "unknown field `dry-run`",
        ),
    ] {
        let line = format!("POST /api/v1/{path}");
        let (status, problem) = ask(&router, request(&line, &[HOST, JSON], body)).await;
        let detail = problem["detail"].as_str().unwrap();
        assert_eq!(status, 400, "{path} {body}: {detail}");
        assert!(detail.contains(word), "{path} {body}: {detail}");
    }
}

#[tokio::test]
async fn a_body_has_64_kib_and_one_byte_more_is_too_large() {
    let router = open();
    for (length, expected) in [(BODY_MAX, 400), (BODY_MAX + 1, 413)] {
        let (status, _) = ask(
            &router,
            request("POST /api/v1/hold", &[HOST, JSON], &" ".repeat(length)),
        )
        .await;
        assert_eq!(status, expected, "{length} bytes of nothing");
    }
    let (status, _) = post(
        &router,
        "/api/v1/hold",
        json!({ "reason": "r".repeat(1000) }),
    )
    .await;
    assert_eq!(status, 200);
    let (status, _) = post(
        &router,
        "/api/v1/hold",
        json!({ "reason": "r".repeat(1001) }),
    )
    .await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn what_is_not_there_is_said_so() {
    let router = open();
    for (line, expected) in [
        ("GET /nowhere", 404),
        ("GET /api/v1/advance", 405),
        ("GET /api/v1/live", 404),
        ("GET /openapi.json", 404),
        ("GET /api/v1/hold", 405),
        ("POST /api/v1/status", 405),
        ("DELETE /api/v1/tenants/a", 405),
    ] {
        let (status, problem) = ask(&router, request(line, &[HOST, JSON], "{}")).await;
        assert_eq!(status, expected, "{line}");
        assert_eq!(problem["status"], expected, "{line}");
    }
}

#[tokio::test]
async fn each_change_becomes_its_command() {
    let router = open();
    let tenant = |list| Command::Tenant {
        id: "clínica/1".to_owned(),
        list,
    };
    let percent = |number| Percentage::new(number).unwrap();
    for (path, body, command) in [
        (
            "percentage",
            json!({"percentage": 12.5}),
            Command::Percentage(percent(12.5)),
        ),
        ("advance", json!({}), Command::Advance),
        (
            "advance",
            json!({"hotfix": true, "insist": true}),
            Command::Advance,
        ),
        ("hold", json!({}), Command::Hold),
        ("resume", json!({}), Command::Resume { percentage: None }),
        (
            "resume",
            json!({"percentage": 5}),
            Command::Resume {
                percentage: Some(percent(5.0)),
            },
        ),
        (
            "rollback",
            json!({"level": "total", "live": "drain"}),
            Command::Rollback(Level::Total, Live::Drain),
        ),
        (
            "rollback",
            json!({"level": "total", "live": "move"}),
            Command::Rollback(Level::Total, Live::Move),
        ),
        (
            "rollback",
            json!({"level": "partial", "percentage": 5}),
            Command::Rollback(Level::Partial(percent(5.0)), Live::Drain),
        ),
        (
            "rollback",
            json!({"level": "tenant", "tenant": "a"}),
            Command::Rollback(Level::Tenant("a".to_owned()), Live::Drain),
        ),
        (
            "rollback",
            json!({"level": "tenant", "tenant": "+1 (312) 555-0100"}),
            Command::Rollback(Level::Tenant("+13125550100".to_owned()), Live::Drain),
        ),
        (
            "tenants/cl%C3%ADnica%2F1",
            json!({"list": "enabled"}),
            tenant(Some(List::Enabled)),
        ),
        (
            "tenants/cl%C3%ADnica%2F1",
            json!({"list": "disabled"}),
            tenant(Some(List::Disabled)),
        ),
        (
            "tenants/cl%C3%ADnica%2F1",
            json!({"list": null}),
            tenant(None),
        ),
    ] {
        let mut body = body;
        body["reason"] = "two\nlines".into();
        let (status, done) = post(&router, &format!("/api/v1/{path}"), body).await;
        assert_eq!(status, 200, "{path}: {done}");
        let said = format!("{command:?} by operator via api because two lines");
        assert_eq!(
            done,
            json!({ "said": said, "durable": true, "generation": 2 })
        );
    }
}

#[tokio::test]
async fn who_it_was_stands_in_the_order() {
    let router = open();
    for (headers, actor) in [
        (vec!["user-agent: curl/8"], "operator via api"),
        (vec!["user-agent: switchback/0.1.0"], "operator via cli"),
        (
            vec!["x-switchback-actor: ana@ops"],
            "operator via api (ana@ops)",
        ),
        (vec!["x-switchback-actor: ana, root"], "operator via api"),
    ] {
        let mut all = vec![HOST, JSON];
        all.extend(headers);
        let (_, done) = ask(&router, request("POST /api/v1/hold", &all, REASON)).await;
        assert_eq!(done["said"], format!("Hold by {actor} because r"));
    }
}

#[tokio::test]
async fn a_refusal_keeps_its_words_and_has_its_status() {
    let router = open();
    let body = json!({ "percentage": 100, "reason": "r" });
    let (status, problem) = post(&router, "/api/v1/percentage", body).await;
    let expected = json!({
        "type": "/problems/conflict",
        "title": "It does not fit the present state",
        "status": 409,
        "detail": "latched: resume first",
    });
    assert_eq!((status, problem), (409, expected));

    let body = json!({ "kind": "complaint", "message": "silence" });
    let (status, problem) = post(&router, "/api/v1/events", body).await;
    assert_eq!(
        (status, &problem["type"]),
        (503, &json!("/problems/not-durable"))
    );
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_does_not_answer_is_503() {
    let (admin, _waiting) = admin(None, true);
    let router = router(Arc::new(admin));
    let (status, problem) = post(&router, "/api/v1/hold", json!({ "reason": "r" })).await;
    assert_eq!(status, 503);
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("did not answer")
    );
}

#[tokio::test]
async fn an_event_is_taken_with_call_and_tenant_masked() {
    let (admin, mut waiting) = admin(None, true);
    let router = router(Arc::new(admin));
    let reported = tokio::spawn(async move {
        let Some(Ask::Report { report, reply }) = waiting.recv().await else {
            panic!("a report was laid on the desk");
        };
        reply.send(Ok(())).unwrap();
        report
    });
    let body = json!({
        "id": "7", "kind": "critical-error", "message": "double booking",
        "tenant": "+525512345678", "call": "v3:abcdef",
    });
    let (status, answer) = post(&router, "/api/v1/events", body).await;
    assert_eq!((status, answer), (200, json!({ "accepted": true })));
    let report = reported.await.unwrap();
    assert_eq!(report.id.as_deref(), Some("7"));
    assert_eq!(
        report.backend,
        crate::model::Backend::New,
        "new if not said"
    );
    assert_eq!(report.message, "double booking (call …ef) (tenant …78)");
}

#[tokio::test]
async fn a_reload_tells_what_changed_and_a_wrong_file_is_422() {
    let router = open();
    let (status, reloaded) = post(
        &router,
        "/api/v1/reload",
        json!({ "reason": "r", "dry_run": true }),
    )
    .await;
    assert_eq!((status, &reloaded["dry_run"]), (200, &json!(true)));
    assert_eq!(reloaded["changed"], json!(["percentage"]));

    let (status, problem) = post(
        &router,
        "/api/v1/reload",
        json!({ "reason": "r", "force": true }),
    )
    .await;
    assert_eq!(status, 422);
    assert_eq!(problem["detail"], "error: unknown key");
}

#[tokio::test]
async fn an_explanation_is_about_a_tenant_or_a_call() {
    let router = open();
    let (status, explanation) = get(&router, "/api/v1/explain?tenant=%2B5255").await;
    assert_eq!((status, &explanation["tenant"]), (200, &json!("+5255")));
    for (query, expected) in [
        ("?call=unknown", 404),
        ("", 400),
        ("?tenant=a&call=b", 400),
        ("?tenant=", 400),
        ("?tenant=a&verbose=1", 400),
        ("?tenant=a&tenant=b", 400),
    ] {
        let (status, _) = get(&router, &format!("/api/v1/explain{query}")).await;
        assert_eq!(status, expected, "{query}");
    }
}

#[tokio::test]
async fn the_journal_is_as_long_as_asked_for() {
    let router = open();
    for (query, length) in [("", 3), ("?limit=2", 2), ("?limit=0", 0)] {
        let (status, journal) = get(&router, &format!("/api/v1/journal{query}")).await;
        assert_eq!(status, 200, "{query}");
        assert_eq!(
            journal["entries"].as_array().unwrap().len(),
            length,
            "{query}"
        );
    }
    assert_eq!(get(&router, "/api/v1/journal?limit=all").await.0, 400);
}

#[tokio::test]
async fn not_ready_is_503_and_still_alive() {
    let (mut admin, _waiting) = admin(None, true);
    admin.ready = Arc::new(|| Err("the journal is being read".to_owned()));
    let router = router(Arc::new(admin));
    let (status, problem) = get(&router, "/readyz").await;
    assert_eq!(
        (status, &problem["detail"]),
        (503, &json!("the journal is being read"))
    );
    assert_eq!(get(&router, "/livez").await.0, 200);
}

#[tokio::test]
async fn the_metrics_listener_shows_metrics_and_health_and_nothing_else() {
    let (admin, _waiting) = admin(Some(TOKEN), false);
    let router = metrics_router(Arc::new(admin));
    for (line, expected) in [
        ("GET /metrics", 200),
        ("HEAD /metrics", 200),
        ("GET /livez", 200),
        ("GET /readyz", 200),
        ("GET /", 404),
        ("GET /api/v1/status", 404),
        ("POST /api/v1/hold", 404),
        ("POST /metrics", 405),
    ] {
        let headers = ["host: anything.example", BEARER, JSON];
        let (status, _) = ask(&router, request(line, &headers, REASON)).await;
        assert_eq!(status, expected, "{line}");
    }
}

#[tokio::test]
async fn a_browser_is_told_to_make_nothing_of_it() {
    let response = open().oneshot(request("GET /", &[HOST], "")).await.unwrap();
    for name in [
        "content-security-policy",
        "x-frame-options",
        "x-content-type-options",
    ] {
        assert!(response.headers().contains_key(name), "{name}");
    }
    assert_eq!(response.headers()["cache-control"], "no-store");
}

#[tokio::test]
async fn a_panic_ends_one_request_alone() {
    let (mut admin, _waiting) = admin(None, true);
    admin.explain = Arc::new(|_| panic!("on purpose"));
    let router = router(Arc::new(admin));
    assert_eq!(get(&router, "/api/v1/explain?tenant=a").await.0, 500);
    assert_eq!(get(&router, "/api/v1/status").await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn sixty_four_requests_wait_at_once_and_one_more_is_refused() {
    let (mut admin, _small) = admin(None, true);
    let (desk, mut waiting) = Desk::new(CONCURRENT_MAX + 1);
    admin.desk = desk;
    let router = router(Arc::new(admin));
    let ask = || {
        let router = router.clone();
        tokio::spawn(async move { post(&router, "/api/v1/hold", json!({ "reason": "r" })).await })
    };
    let waiters: Vec<_> = (0..CONCURRENT_MAX).map(|_| ask()).collect();
    let mut held = Vec::new();
    for _ in 0..CONCURRENT_MAX {
        held.push(waiting.recv().await);
    }
    let (status, problem) = ask().await.unwrap();
    assert_eq!(status, 503);
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("too many requests")
    );
    drop(held);
    for waiter in waiters {
        waiter.await.unwrap();
    }
}
