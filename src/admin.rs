//! The operators' door: status, explanations, metrics, and every command.
//!
//! It decides nothing. What is read comes from snapshots and from functions that
//! the wiring hands over; what is changed goes over the desk to the engine. It
//! knows no other adapter.

mod api;
mod data;
mod guard;
mod problem;
mod request;
mod secret;
mod serve;
pub mod shapes;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::error_handling::HandleErrorLayer;
use axum::extract::DefaultBodyLimit;
use axum::http::{Request, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower::ServiceBuilder;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower_http::catch_panic::CatchPanicLayer;

pub use self::problem::Problem;
pub use self::secret::Secret;
pub use self::serve::serve;
use crate::desk::Desk;
use crate::engine::Status;
use crate::metrics::Metrics;
use crate::rollout::Emergency;

/// Bytes of a request body; more is 413.
pub const BODY_MAX: usize = 64 * 1024;

/// Requests in progress at once, over both listeners of one router; more hear 503.
const CONCURRENT_MAX: usize = 64;

/// A request must be answered in this time, else 504. Longer than the desk's
/// patience, so that the engine's silence is told in the desk's words.
const TIME_MAX: Duration = Duration::from_secs(10);

/// What an explanation is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Where this tenant's next call would go.
    Tenant(String),
    /// Where the call of this id is.
    Call(String),
}

/// Everything the handlers need.
pub struct Admin {
    /// The engine's latest snapshot.
    pub status: Arc<ArcSwap<Status>>,
    /// Where commands are laid.
    pub desk: Desk,
    /// Where a tenant or call goes and why; None for a call nobody knows.
    pub explain: Arc<dyn Fn(Subject) -> Option<serde_json::Value> + Send + Sync>,
    /// The latest so many journal entries, latest last.
    pub journal: Arc<dyn Fn(usize) -> Vec<serde_json::Value> + Send + Sync>,
    /// How the restore that runs is doing, or how the last one went; None before the first.
    pub restore: Arc<dyn Fn() -> Option<shapes::Restore> + Send + Sync>,
    /// Where an emergency stop sends calls that begin, by the configuration.
    pub emergency: Arc<dyn Fn() -> Emergency + Send + Sync>,
    /// What `/metrics` shows.
    pub metrics: Arc<Metrics>,
    /// Ready to take webhooks, or why not. Must not ask a backend.
    pub ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// Needed for every change, and off loopback for every reading.
    pub token: Option<Secret>,
    /// The listener is bound to a loopback address.
    pub loopback: bool,
    /// Host names this listener answers to on loopback, besides `localhost` and
    /// loopback addresses; without port.
    pub hosts: Vec<String>,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("loopback", &self.loopback)
            .field("token", &self.token)
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

/// The whole API.
pub fn router(admin: Arc<Admin>) -> Router {
    let api = Router::new()
        .route("/", get(api::front))
        .route("/livez", get(api::livez))
        .route("/readyz", get(api::readyz))
        .route("/metrics", get(api::metrics))
        .route("/api/v1/status", get(api::status))
        .route("/api/v1/explain", get(api::explain))
        .route("/api/v1/journal", get(api::journal))
        .route(guard::BACKUPS, get(data::backups))
        .route("/api/v1/restore", get(data::progress))
        .route("/api/v1/emergency-stop", post(data::emergency_stop))
        .route("/api/v1/percentage", post(api::percentage))
        .route("/api/v1/advance", post(api::advance))
        .route("/api/v1/hold", post(api::hold))
        .route("/api/v1/resume", post(api::resume))
        .route("/api/v1/rollback", post(api::rollback))
        .route("/api/v1/tenants/{id}", post(api::tenant))
        .route("/api/v1/reload", post(api::reload))
        .route("/api/v1/events", post(api::events));
    let guard = from_fn_with_state(Arc::clone(&admin), guard::guard);
    bounded(with_fallbacks(api).layer(guard)).with_state(admin)
}

/// Only what a scraper and a probe need, with no token and no host list: it tells
/// nothing about anybody and changes nothing.
pub fn metrics_router(admin: Arc<Admin>) -> Router {
    let api = Router::new()
        .route("/livez", get(api::livez))
        .route("/readyz", get(api::readyz))
        .route("/metrics", get(api::metrics));
    bounded(with_fallbacks(api)).with_state(admin)
}

fn with_fallbacks(router: Router<Arc<Admin>>) -> Router<Arc<Admin>> {
    router
        .fallback(api::nothing_here)
        .method_not_allowed_fallback(api::not_with_this_method)
}

/// An end to everything: bytes, time, how many at once, and panics.
fn bounded(router: Router<Arc<Admin>>) -> Router<Arc<Admin>> {
    let limits = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(overloaded))
        .layer(LoadShedLayer::new())
        .layer(GlobalConcurrencyLimitLayer::new(CONCURRENT_MAX));
    router
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn(in_time))
        .layer(limits)
        .layer(CatchPanicLayer::custom(panicked))
}

async fn in_time(request: Request<Body>, next: Next) -> Response {
    let answer = tokio::time::timeout(TIME_MAX, next.run(request)).await;
    answer.unwrap_or_else(|_| {
        let detail = "no answer within 10 seconds; look at the status before trying again";
        Problem::new(StatusCode::GATEWAY_TIMEOUT, detail).into_response()
    })
}

async fn overloaded(_: tower::BoxError) -> Problem {
    let detail = "too many requests at once on the admin listener; try again";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
}

/// The panic itself was printed by the hook, with its place.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    let detail = "a bug in Switchback stopped this request; calls are not affected";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail).into_response()
}

#[cfg(test)]
mod tests;
