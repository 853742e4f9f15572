//! What a change may say, and what becomes of it on the desk.

use super::*;
use crate::rollout::{Level, List};
use crate::split::Live;

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
