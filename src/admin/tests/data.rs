//! Data that is restored, and the emergency stop.

use super::*;

#[tokio::test]
async fn a_restore_needs_its_backup_and_the_word() {
    let router = open();
    let good = json!({"level": "data", "backup": "b-1", "confirm": "CONFIRM", "reason": "r"});
    let (status, done) = post(&router, "/api/v1/rollback", good.clone()).await;
    assert_eq!(status, 202, "it has only begun: {done}");
    assert_eq!(done["said"], "b-1 by operator via api because r");
    for (field, value) in [
        ("confirm", json!("confirm")),
        ("confirm", Value::Null),
        ("backup", Value::Null),
        ("percentage", json!(5)),
        ("live", json!("move")),
        ("reason", json!(" ")),
        ("level", json!("total")),
    ] {
        let mut body = good.clone();
        body[field] = value;
        let (status, problem) = post(&router, "/api/v1/rollback", body.clone()).await;
        assert_eq!(status, 400, "{body}: {problem}");
    }
}

// A slip in the id ran the restore command all the same.
#[tokio::test]
async fn a_backup_that_is_not_listed_is_refused_with_those_that_are() {
    let order = json!({"level": "data", "backup": "b-3", "confirm": "CONFIRM", "reason": "r"});
    let (status, problem) = post(&open(), "/api/v1/rollback", order.clone()).await;
    let why = problem["detail"].as_str().unwrap();
    assert_eq!(status, 409, "{why}");
    assert!(why.contains("no backup b-3; it lists b-1, b-2"), "{why}");
    // Nor where nobody can tell which there are.
    let (admin, mut waiting) = admin(None, true);
    tokio::spawn(async move {
        while let Some(ask) = waiting.recv().await {
            match ask {
                Ask::Backups { reply } => drop(reply.send(Err(Refusal {
                    kind: RefusalKind::Conflict,
                    why: "backups could not be listed: it exited with 1".to_owned(),
                }))),
                other => panic!("{other:?} is ordered all the same"),
            }
        }
    });
    let (status, problem) = post(&router(Arc::new(admin)), "/api/v1/rollback", order).await;
    assert_eq!(status, 409, "{problem}");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("could not be listed")
    );
}

#[tokio::test]
async fn backups_are_listed_and_no_restore_is_told_as_none() {
    let router = open();
    let (status, listed) = get(&router, "/api/v1/backups").await;
    let backups = json!([{ "id": "b-1", "about": "monday" }, { "id": "b-2", "about": "monday" }]);
    assert_eq!((status, listed), (200, json!({ "backups": backups })));
    let (status, problem) = get(&router, "/api/v1/restore").await;
    assert_eq!(status, 404, "{problem}");
}

#[tokio::test]
async fn an_emergency_stop_goes_where_the_configuration_says() {
    let (status, done) = post(&open(), "/api/v1/emergency-stop", json!({"reason": "r"})).await;
    assert_eq!(status, 200);
    let said = done["said"].as_str().unwrap();
    assert!(
        said.starts_with("EmergencyStop(LastResort) by operator"),
        "{said}"
    );
}
