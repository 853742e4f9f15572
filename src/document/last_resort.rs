//! What a caller hears when nobody could answer.

use bytes::Bytes;

use crate::protocol::Asks;

/// A route's last resort.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastResort {}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Its type.
    pub content_type: &'static str,
    /// Its text.
    pub body: Bytes,
}

impl LastResort {
    /// stand-in
    pub fn answer(&self, asks: Asks, beside: bool, _request: &[u8]) -> Option<Said> {
        (asks == Asks::Document).then(|| Said {
            content_type: "text/xml; charset=utf-8",
            body: if beside {
                Bytes::from_static(b"<Response/>")
            } else {
                Bytes::from_static(b"<Response><Say>We are sorry.</Say><Hangup/></Response>")
            },
        })
    }
}

/// stand-in
pub fn entry_redirect(path: &str, method: &http::Method) -> Bytes {
    format!("<Response><Redirect method=\"{method}\">{path}</Redirect></Response>").into()
}
