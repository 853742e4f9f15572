//! Host × origin × token × method: who gets in.

use super::*;

#[tokio::test]
async fn who_may_read_and_who_may_change() {
    // token set, loopback, request, Authorization, status
    let status = "GET /api/v1/status";
    let hold = "POST /api/v1/hold";
    for (token, loopback, line, authorization, expected) in [
        (false, true, status, "", 200),
        (false, true, hold, "", 200),
        (true, true, status, "", 200),
        (true, true, status, "Bearer a-long-token", 200),
        (true, true, status, "Bearer wrong", 401),
        (true, true, hold, "", 401),
        (true, true, hold, "Bearer a-long-tokeN", 401),
        (true, true, hold, "Bearer a-long-token", 200),
        (true, true, hold, "bearer a-long-token", 200),
        (true, true, hold, "Basic a-long-token", 401),
        (true, true, hold, "a-long-token", 401),
        (true, false, status, "", 401),
        (true, false, "GET /metrics", "", 401),
        (true, false, "GET /", "", 401),
        (true, false, "GET /nowhere", "", 401),
        (true, false, status, "Bearer a-long-token", 200),
        (true, false, hold, "Bearer a-long-token", 200),
        (true, false, hold, "", 401),
        (false, false, status, "", 403),
        (false, false, hold, "Bearer a-long-token", 403),
        (false, false, "GET /livez", "", 200),
        (true, false, "GET /readyz", "", 200),
    ] {
        let (admin, waiting) = admin(token.then_some(TOKEN), loopback);
        tokio::spawn(engine(waiting));
        let mut headers = vec![HOST.to_owned(), JSON.to_owned()];
        if !authorization.is_empty() {
            headers.push(format!("authorization: {authorization}"));
        }
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let router = router(Arc::new(admin));
        let (got, _) = ask(&router, request(line, &headers, REASON)).await;
        assert_eq!(
            got, expected,
            "token {token}, loopback {loopback}: {line} {authorization}"
        );
    }
}

#[tokio::test]
async fn a_reading_that_runs_a_program_is_guarded_like_a_change() {
    let headers = |more: &[&'static str]| [&[HOST], more].concat();
    for (token, more, expected) in [
        (false, &[][..], 200),
        (false, &["sec-fetch-site: same-origin"], 200),
        (false, &["sec-fetch-site: cross-site"], 403),
        (false, &["origin: http://evil.example"], 403),
        (true, &[], 401),
        (true, &["authorization: Bearer wrong"], 401),
        (true, &[BEARER], 200),
        (true, &[BEARER, "sec-fetch-site: cross-site"], 403),
    ] {
        for method in ["GET", "HEAD"] {
            let (admin, waiting) = admin(token.then_some(TOKEN), true);
            tokio::spawn(engine(waiting));
            let line = format!("{method} /api/v1/backups");
            let router = router(Arc::new(admin));
            let response = ask(&router, request(&line, &headers(more), "")).await;
            assert_eq!(response.0, expected, "token {token}: {line} {more:?}");
        }
    }
}

#[tokio::test]
async fn two_tokens_are_a_wrong_one() {
    let (admin, _waiting) = admin(Some(TOKEN), true);
    let headers = [HOST, BEARER, "authorization: Bearer other"];
    let (status, _) = ask(
        &router(Arc::new(admin)),
        request("GET /api/v1/status", &headers, ""),
    )
    .await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn on_loopback_only_our_own_hosts_are_answered() {
    let router = open();
    for (host, expected) in [
        ("host: localhost", 200),
        ("host: LOCALHOST:9901", 200),
        ("host: 127.0.0.1:9901", 200),
        ("host: 127.0.0.2", 200),
        ("host: [::1]:9901", 200),
        ("host: switchback.internal:80", 200),
        ("host: evil.example", 421),
        ("host: localhost.evil.example", 421),
        ("host: 127.0.0.1.evil.example", 421),
        ("host: 10.0.0.1", 421),
        ("host: a b", 421),
        ("x-nothing: at all", 421),
    ] {
        for line in ["GET /api/v1/status", "GET /metrics", "POST /api/v1/hold"] {
            let (status, _) = ask(&router, request(line, &[host, JSON], REASON)).await;
            assert_eq!(status, expected, "{line} {host}");
        }
        let (status, _) = ask(&router, request("GET /livez", &[host], "")).await;
        assert_eq!(status, 200, "a probe may call us anything: {host}");
    }
    let twice = [HOST, "host: evil.example"];
    let (status, _) = ask(&router, request("GET /api/v1/status", &twice, "")).await;
    assert_eq!(status, 421, "each Host must be ours");
    let absolute = "GET http://evil.example/api/v1/status";
    let (status, _) = ask(&router, request(absolute, &[HOST], "")).await;
    assert_eq!(status, 421, "an absolute target counts as well");
}

#[tokio::test]
async fn off_loopback_any_host_will_do_because_a_token_is_needed() {
    let (admin, _waiting) = admin(Some(TOKEN), false);
    let headers = ["host: switchback.example.com", BEARER];
    let request = request("GET /api/v1/status", &headers, "");
    assert_eq!(ask(&router(Arc::new(admin)), request).await.0, 200);
}

#[tokio::test]
async fn a_foreign_page_changes_nothing() {
    let router = open();
    for (header, expected) in [
        ("x-plain: program", 200),
        ("origin: http://127.0.0.1:9901", 200),
        ("sec-fetch-site: same-origin", 200),
        ("sec-fetch-site: none", 200),
        ("origin: http://evil.example", 403),
        ("origin: http://127.0.0.1:3000", 403),
        ("origin: null", 403),
        ("sec-fetch-site: cross-site", 403),
        ("sec-fetch-site: same-site", 403),
    ] {
        let (status, _) = ask(
            &router,
            request("POST /api/v1/hold", &[HOST, JSON, header], REASON),
        )
        .await;
        assert_eq!(status, expected, "{header}");
    }
}

#[tokio::test]
async fn a_change_comes_as_json() {
    let router = open();
    for (kind, expected) in [
        ("content-type: application/json; charset=utf-8", 200),
        ("content-type: Application/JSON", 200),
        ("content-type: text/plain", 415),
        ("content-type: application/x-www-form-urlencoded", 415),
        ("content-type: application/json-not", 415),
        ("x-no: type", 415),
    ] {
        let (status, _) = ask(&router, request("POST /api/v1/hold", &[HOST, kind], REASON)).await;
        assert_eq!(status, expected, "{kind}");
    }
}
