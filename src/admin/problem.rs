//! What the API says when it says no: `application/problem+json` (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::engine::{Refusal, RefusalKind};

/// One refusal, with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What kind of problem, for programs: `/problems/conflict`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same, for people.
    pub title: String,
    /// The HTTP status it is sent with.
    pub status: u16,
    /// What was wrong this time, and what to do.
    pub detail: String,
}

/// The answer of a handler that may refuse. A `Problem` holds three strings, and
/// a refusal is rare: not worth a box at each return.
pub(super) type Answer<T> = Result<T, Problem>;

impl Problem {
    /// A problem of that status; type and title follow from it.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let (kind, title) = words(status);
        Self {
            kind: format!("/problems/{kind}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
        }
    }

    /// A request that makes no sense (400).
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let mut problem = match refusal.kind {
            RefusalKind::Invalid => Self::invalid(refusal.why),
            RefusalKind::Conflict => Self::new(StatusCode::CONFLICT, refusal.why),
            RefusalKind::NotDurable | RefusalKind::Busy => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, refusal.why)
            }
        };
        if refusal.kind == RefusalKind::NotDurable {
            "/problems/not-durable".clone_into(&mut problem.kind);
            "It cannot be made durable now".clone_into(&mut problem.title);
        }
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).expect("four plain fields can be written as JSON");
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"switchback\""),
            );
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

fn words(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::BAD_REQUEST => ("invalid", "The request makes no sense"),
        StatusCode::UNAUTHORIZED => ("token-needed", "A token is needed"),
        StatusCode::FORBIDDEN => ("not-permitted", "Not permitted"),
        StatusCode::NOT_FOUND => ("not-found", "There is nothing here"),
        StatusCode::METHOD_NOT_ALLOWED => ("method", "Not with this method"),
        StatusCode::CONFLICT => ("conflict", "It does not fit the present state"),
        StatusCode::PAYLOAD_TOO_LARGE => ("too-large", "The body is too large"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ("content-type", "The body is not JSON"),
        StatusCode::MISDIRECTED_REQUEST => ("host", "This is not the host you are looking for"),
        StatusCode::UNPROCESSABLE_ENTITY => ("configuration", "The configuration was refused"),
        StatusCode::SERVICE_UNAVAILABLE => ("busy", "Not now"),
        StatusCode::GATEWAY_TIMEOUT => ("timeout", "It took too long"),
        _ => ("internal", "Something is wrong in Switchback itself"),
    }
}
