//! What is there to be asked, on which listener, and what is not.

use super::*;

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
