//! The API without its sockets, before an engine that is made up: what is answered when the
//! engine refuses or says nothing, too many ask, or something breaks. Who gets in is in
//! `tests/access.rs`, what is there in `tests/paths.rs`, what may be changed in
//! `tests/changes.rs` and `tests/data.rs`, what scripts read in `tests/status.rs`.

mod access;
mod changes;
mod data;
mod paths;
mod status;

use axum::http::header;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower::ServiceExt;

use super::*;
use crate::desk::{Ask, Backup, Reloaded};
use crate::engine::{Done, Refusal, RefusalKind, ReportKind};
use crate::model::Percentage;
use crate::rollout::Command;

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
            Ask::Backups { reply } => {
                let backup = |id: &str| Backup {
                    id: id.to_owned(),
                    about: "monday".to_owned(),
                };
                drop(reply.send(Ok(["b-1", "b-2"].map(backup).into())));
            }
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
