//! The handlers: each reads one thing or lays one ask on the desk.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::problem::{Answer, Problem};
use super::request::{
    self, Advance, Plain, Reload, Report, Resume, Rollback, SetPercentage, SetTenant,
};
use super::{Admin, BODY_MAX, Subject, data, shapes};
use crate::desk;
use crate::engine::RefusalKind;
use crate::rollout::{Command, Order, Waives};

pub(super) type Shared = State<Arc<Admin>>;

/// Journal entries shown where nobody says how many.
const JOURNAL_DEFAULT: usize = 100;

/// Journal entries shown at most.
const JOURNAL_MAX: usize = 10_000;

const TEXT: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];

pub(super) async fn front() -> impl IntoResponse {
    (TEXT, FRONT)
}

const FRONT: &str = concat!(
    "Switchback ",
    env!("CARGO_PKG_VERSION"),
    "\n\n",
    "  GET  /api/v1/status                where the rollout stands\n",
    "  GET  /api/v1/explain?tenant=|call= where a call goes, and why\n",
    "  GET  /api/v1/journal?limit=        what was decided, latest last\n",
    "  GET  /api/v1/backups               of data, by the configured command\n",
    "  GET  /api/v1/restore               how the last restore goes or went\n",
    "  GET  /metrics                      for Prometheus\n",
    "  GET  /livez /readyz                for probes\n\n",
    "  POST /api/v1/percentage            {percentage, reason, hotfix?}\n",
    "  POST /api/v1/advance               {reason, hotfix?, insist?}\n",
    "  POST /api/v1/hold                  {reason}\n",
    "  POST /api/v1/resume                {percentage?, reason, hotfix?}\n",
    "  POST /api/v1/rollback              {level, tenant?, percentage?, live?, reason}\n",
    "  POST /api/v1/rollback              {level: \"data\", backup, confirm: \"CONFIRM\", reason}\n",
    "  POST /api/v1/emergency-stop        {reason}\n",
    "  POST /api/v1/tenants/{id}          {list: \"enabled\"|\"disabled\"|null, reason, hotfix?}\n",
    "  POST /api/v1/reload                {dry_run?, force?, reason}\n",
    "  POST /api/v1/events                {kind, message, id?, backend?, call?, tenant?, value?}\n\n",
    "On a terminal: switchback status --watch\n",
);

/// This thread turns: the engine lives on it.
pub(super) async fn livez() -> impl IntoResponse {
    (TEXT, "ok\n")
}

pub(super) async fn readyz(State(admin): Shared) -> Response {
    match (admin.ready)() {
        Ok(()) => (TEXT, "ready\n").into_response(),
        Err(why) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, why).into_response(),
    }
}

pub(super) async fn metrics(State(admin): Shared) -> impl IntoResponse {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], admin.metrics.page())
}

pub(super) async fn status(State(admin): Shared) -> Json<shapes::Status> {
    Json(shapes::Status::from(admin.status.load().as_ref()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Explain {
    tenant: Option<String>,
    call: Option<String>,
}

pub(super) async fn explain(
    State(admin): Shared,
    query: Result<Query<Explain>, axum::extract::rejection::QueryRejection>,
) -> Answer<Json<serde_json::Value>> {
    let Query(query) = query.map_err(|wrong| Problem::invalid(wrong.body_text()))?;
    let subject = match (query.tenant, query.call) {
        (Some(tenant), None) if !tenant.is_empty() => Subject::Tenant(tenant),
        (None, Some(call)) if !call.is_empty() => Subject::Call(call),
        _ => {
            return Err(Problem::invalid(
                "say either `?tenant=` or `?call=`, and encode a leading + as %2B",
            ));
        }
    };
    // It may read the whole journal, and the engine turns on this thread.
    let explanation = tokio::task::spawn_blocking(move || (admin.explain)(subject)).await;
    let explanation = explanation.map_err(|_| {
        let detail = "it could not be explained; please report it";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    })?;
    explanation.map(Json).ok_or_else(|| {
        let detail = "no such call is known here: it was never seen, its pin has expired, or its webhooks do \
                      not count since they are not verified";
        Problem::new(StatusCode::NOT_FOUND, detail)
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Journal {
    limit: Option<usize>,
}

pub(super) async fn journal(
    State(admin): Shared,
    query: Result<Query<Journal>, axum::extract::rejection::QueryRejection>,
) -> Answer<Json<serde_json::Value>> {
    let Query(query) = query.map_err(|wrong| Problem::invalid(wrong.body_text()))?;
    let limit = query.limit.unwrap_or(JOURNAL_DEFAULT).min(JOURNAL_MAX);
    let entries = (admin.journal)(limit);
    Ok(Json(serde_json::json!({ "entries": entries })))
}

pub(super) async fn percentage(
    State(admin): Shared,
    headers: HeaderMap,
    Body(body): Body<SetPercentage>,
) -> Answer<Json<shapes::Done>> {
    let waives = request::hotfix(body.hotfix);
    order(&admin, &headers, &body.reason, waives, body.command()?).await
}

pub(super) async fn advance(
    State(admin): Shared,
    headers: HeaderMap,
    Body(body): Body<Advance>,
) -> Answer<Json<shapes::Done>> {
    let waives = body.waives();
    order(&admin, &headers, &body.reason, waives, Command::Advance).await
}

pub(super) async fn hold(
    State(admin): Shared,
    headers: HeaderMap,
    Body(body): Body<Plain>,
) -> Answer<Json<shapes::Done>> {
    let waives = Waives::default();
    order(&admin, &headers, &body.reason, waives, Command::Hold).await
}

pub(super) async fn resume(
    State(admin): Shared,
    headers: HeaderMap,
    Body(body): Body<Resume>,
) -> Answer<Json<shapes::Done>> {
    let waives = request::hotfix(body.hotfix);
    order(&admin, &headers, &body.reason, waives, body.command()?).await
}

pub(super) async fn rollback(
    State(admin): Shared,
    headers: HeaderMap,
    Body(body): Body<Rollback>,
) -> Answer<Response> {
    if body.is_of_data() {
        return data::restore(&admin, &headers, body).await;
    }
    let reason = body.reason.clone();
    let waives = Waives::default();
    let done = order(&admin, &headers, &reason, waives, body.command()?).await?;
    Ok(done.into_response())
}

pub(super) async fn tenant(
    State(admin): Shared,
    headers: HeaderMap,
    id: Result<Path<String>, axum::extract::rejection::PathRejection>,
    Body(body): Body<SetTenant>,
) -> Answer<Json<shapes::Done>> {
    let Path(id) = id.map_err(|wrong| Problem::invalid(wrong.body_text()))?;
    let waives = request::hotfix(body.hotfix);
    let command = body.command(id)?;
    order(&admin, &headers, &body.reason, waives, command).await
}

pub(super) async fn order(
    admin: &Admin,
    headers: &HeaderMap,
    reason: &str,
    waives: Waives,
    command: Command,
) -> Answer<Json<shapes::Done>> {
    let order = Order {
        actor: request::actor(headers),
        reason: request::text("reason", reason)?,
        waives,
        command,
    };
    Ok(Json(admin.desk.order(order).await?.into()))
}

pub(super) async fn reload(
    State(admin): Shared,
    headers: HeaderMap,
    Body(body): Body<Reload>,
) -> Answer<Json<shapes::Reloaded>> {
    let dry_run = body.dry_run;
    let reload = desk::Reload {
        dry_run,
        force: body.force,
        actor: request::actor(&headers),
        reason: request::text("reason", &body.reason)?,
    };
    match admin.desk.reload(reload).await {
        Ok(reloaded) => Ok(Json(shapes::Reloaded::new(reloaded, dry_run))),
        // The request was well; the file was not.
        Err(refusal) if refusal.kind == RefusalKind::Invalid => {
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, refusal.why))
        }
        Err(refusal) => Err(refusal.into()),
    }
}

pub(super) async fn events(
    State(admin): Shared,
    Body(body): Body<Report>,
) -> Answer<Json<serde_json::Value>> {
    admin.desk.report(body.reported()?).await?;
    Ok(Json(serde_json::json!({ "accepted": true })))
}

pub(super) async fn nothing_here(request: Request) -> Problem {
    let detail = format!(
        "{} is no part of this API; GET / lists what is",
        request.uri().path().chars().take(100).collect::<String>()
    );
    Problem::new(StatusCode::NOT_FOUND, detail)
}

pub(super) async fn not_with_this_method(request: Request) -> Problem {
    let detail = format!("{} does not go with this path", request.method());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}

/// A JSON body, refused with what was wrong in it.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state).await.map_err(|wrong| {
            if wrong.status() == StatusCode::PAYLOAD_TOO_LARGE {
                let detail = format!("a body has at most {BODY_MAX} bytes here");
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
            } else {
                Problem::invalid("the body did not arrive whole")
            }
        })?;
        let body = serde_json::from_slice(&bytes);
        body.map(Self)
            .map_err(|wrong| Problem::invalid(format!("the body is not what is expected: {wrong}")))
    }
}
