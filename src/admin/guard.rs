//! Who may ask: three checks before any handler runs.
//!
//! A browser on the operator's machine can be made to talk to `127.0.0.1` by any
//! page it shows. So the host must be one of ours (against DNS rebinding), a
//! change must come as JSON and from no foreign page (against forged forms), and
//! a change needs the token where there is one.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header, uri::Authority};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Admin;
use super::problem::{Answer, Problem};

/// A reading that is guarded like a change.
pub(super) const BACKUPS: &str = "/api/v1/backups";

/// Refuses what may not pass, and gives every answer the headers that keep a
/// browser from making use of it.
pub(super) async fn guard(
    State(admin): State<Arc<Admin>>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let mut response = match permit(&admin, &request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    harden(response.headers_mut());
    response
}

/// The three checks. Health is for anybody: a probe carries no token, and the
/// answer tells nothing.
fn permit(admin: &Admin, request: &Request<Body>) -> Answer<()> {
    if matches!(request.uri().path(), "/livez" | "/readyz") {
        return Ok(());
    }
    let change = !matches!(*request.method(), Method::GET | Method::HEAD);
    // To list backups runs a program of the operator's.
    let acts = change || request.uri().path() == BACKUPS;
    if admin.loopback {
        known_host(admin, request)?;
    }
    if acts {
        no_foreign_page(request)?;
    }
    known_operator(admin, request.headers(), acts)?;
    if change {
        json(request.headers())?;
    }
    Ok(())
}

fn known_host(admin: &Admin, request: &Request<Body>) -> Answer<()> {
    let ours = |authority: &Authority| is_ours(authority.host(), &admin.hosts);
    let mut named = request.headers().get_all(header::HOST).iter().peekable();
    let is_named = named.peek().is_some();
    let all_ours = named.all(|host| {
        let host = host.to_str().ok().and_then(|host| host.parse().ok());
        host.as_ref().is_some_and(ours)
    });
    // An absolute target wins over Host, so both must be ours.
    if is_named && all_ours && request.uri().authority().is_none_or(ours) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::MISDIRECTED_REQUEST,
        "this listener answers to localhost, loopback addresses and the names configured for it; \
         call it by one of them",
    ))
}

/// `localhost`, a loopback address, or a configured name; the port is the business
/// of whoever forwarded it.
fn is_ours(host: &str, configured: &[String]) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        || configured
            .iter()
            .any(|name| name.eq_ignore_ascii_case(bare))
}

/// A page of our own names this very host as its origin; a program names none.
fn no_foreign_page(request: &Request<Body>) -> Answer<()> {
    let headers = request.headers();
    let mut sites = headers.get_all("sec-fetch-site").iter();
    let own_site = sites.all(|site| site == "same-origin" || site == "none");
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let own_origin = headers.get_all(header::ORIGIN).iter().all(|origin| {
        let origin = origin.to_str().ok().and_then(|origin| {
            let bare = origin.strip_prefix("http://");
            bare.or_else(|| origin.strip_prefix("https://"))
        });
        matches!((origin, host), (Some(origin), Some(host)) if origin.eq_ignore_ascii_case(host))
    });
    if own_site && own_origin {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "what changes or runs something is refused to a page of another origin; use the command \
         line or a program",
    ))
}

fn known_operator(admin: &Admin, headers: &HeaderMap, acts: bool) -> Answer<()> {
    let Some(token) = &admin.token else {
        if admin.loopback {
            return Ok(());
        }
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "this listener can be reached from outside and has no token, so it answers nothing; \
             configure a token for it, or bind it to 127.0.0.1",
        ));
    };
    match bearer(headers) {
        Some(guess) if token.is(guess) => Ok(()),
        Some(_) => Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "the token is not this Switchback's; see SWITCHBACK_TOKEN or --token-file",
        )),
        None if admin.loopback && !acts => Ok(()),
        None => Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "send the admin token as `Authorization: Bearer …`; the command line takes it from \
             SWITCHBACK_TOKEN or --token-file",
        )),
    }
}

/// The token that was sent; empty where `Authorization` is there and is no bearer
/// token, or is there twice.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let first = all.next()?.to_str().unwrap_or_default();
    let token = match first.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => "",
    };
    Some(if all.next().is_none() { token } else { "" })
}

/// A form cannot say `application/json` without asking permission first.
fn json(headers: &HeaderMap) -> Answer<()> {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "send the change as JSON, with `Content-Type: application/json`",
    ))
}

fn harden(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; frame-ancestors 'none'",
        ),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
