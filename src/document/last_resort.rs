//! What a caller hears when nobody could answer.
//!
//! A failure passed on to a provider is heard as its own error message or as silence
//! and a dropped call. So each route has an answer of its own for when both backends
//! failed: made when the configuration is loaded, judged then by the same judge as any
//! backend's answer, and handed out without asking anybody.
//!
//! The shipped answers name no URL: one that led back to us would bring the caller
//! back to the backends that have just failed.

mod own;
mod shipped;

use std::fmt;

use bytes::Bytes;
use http::Method;
use quick_xml::escape::escape;

pub use self::own::Unsound;
use super::vapi_reply;
use crate::model::{Protocol, mask};
use crate::protocol::Asks;

const XML: &str = "text/xml; charset=utf-8";
const JSON: &str = "application/json";

/// What stands before a document's root.
const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// A route's last resort.
#[derive(Clone, PartialEq, Eq)]
pub struct LastResort {
    protocol: Protocol,
    kind: Kind,
    /// What a call hears that waits for a document or an assistant. None on a route
    /// whose webhooks nobody listens to.
    body: Option<Bytes>,
    /// See [`LastResort::asks_again`].
    asks_again: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Shipped,
    Forward(Number),
    Own,
}

/// An answer, to be sent with status 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// Its body.
    pub body: Bytes,
}

impl LastResort {
    /// The words we ship: sorry in English and in Spanish, then hang up, or connect
    /// the caller with `forward`.
    pub fn shipped(protocol: Protocol, forward: Option<&Number>) -> Self {
        Self {
            protocol,
            kind: forward.map_or(Kind::Shipped, |number| Kind::Forward(number.clone())),
            body: shipped::body(protocol, forward),
            asks_again: false,
        }
    }

    /// An operator's own answer, whole: a TeXML or TwiML document, or the JSON that
    /// answers Vapi's assistant-request.
    ///
    /// # Errors
    ///
    /// What a provider would not run, and anything on Call Control, whose webhooks are
    /// answered by a status alone.
    pub fn own(protocol: Protocol, body: impl Into<Bytes>) -> Result<Self, Unsound> {
        let body = body.into();
        let does = own::check(protocol, &body)?;
        Ok(Self {
            protocol,
            kind: Kind::Own,
            body: Some(body),
            asks_again: protocol != Protocol::Vapi && !does.ends && !does.serves,
        })
    }

    /// May the call come back to the application, which is what failed? So does a
    /// document that neither ends the call nor connects the caller.
    pub const fn asks_again(&self) -> bool {
        self.asks_again
    }

    /// What is said to a webhook that `asks`. `beside`: it is of a child leg, or its
    /// document is played to somebody who waits or is about to be connected; that one
    /// is not to hear why, and the call goes on without it. None: there is nothing to
    /// say, and the failure is passed on.
    ///
    /// Allocates only for tool calls, whose ids it repeats from `request`.
    pub fn answer(&self, asks: Asks, beside: bool, request: &[u8]) -> Option<Said> {
        let heard = self.body.as_ref()?;
        let (content_type, body) = match (self.protocol, asks) {
            (Protocol::TelnyxTexml | Protocol::Twilio, Asks::Document) if beside => {
                (XML, Bytes::from_static(shipped::NOTHING))
            }
            (Protocol::TelnyxTexml | Protocol::Twilio, Asks::Document) => (XML, heard.clone()),
            (Protocol::Vapi, Asks::Assistant) => (JSON, heard.clone()),
            (Protocol::Vapi, Asks::Tools) => {
                let results = vapi_reply::failed_tools(request, shipped::NO_TOOL)?;
                (JSON, results.into())
            }
            (Protocol::Vapi, Asks::Destination) => {
                (JSON, Bytes::from_static(shipped::NO_DESTINATION))
            }
            (Protocol::Vapi, Asks::Knowledge) => (JSON, Bytes::from_static(shipped::NO_DOCUMENTS)),
            _ => return None,
        };
        Some(Said { content_type, body })
    }
}

/// In words, for an operator: a number is masked, a document told by its size.
impl fmt::Display for LastResort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.kind, &self.body) {
            (_, None) => f.write_str("the status alone"),
            (Kind::Shipped, _) => f.write_str("the shipped words"),
            (Kind::Forward(number), _) => write!(f, "forwarded to {number}"),
            (Kind::Own, Some(body)) => write!(f, "a file of {} bytes", body.len()),
        }
    }
}

impl fmt::Debug for LastResort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The body may hold a telephone number.
        write!(f, "LastResort({self})")
    }
}

/// A telephone number in E.164, which an answer may carry as it is. It prints masked.
#[derive(Clone, PartialEq, Eq)]
pub struct Number(String);

impl Number {
    /// `+`, a country code and a number: eight to fifteen digits, nothing between
    /// them. Shorter ones are only dialled within one network.
    pub fn new(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('+')?;
        let is_number = (8..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0');
        is_number.then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask(&self.0))
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Number({self})")
    }
}

/// The document that sends a call to `entry`, a path on this host that may carry a
/// query. The provider fetches it as it fetched what this answers: by `method`, of
/// which it knows GET and POST.
pub fn entry_redirect(entry: &str, method: &Method) -> Bytes {
    let method = match *method {
        Method::GET | Method::HEAD => "GET",
        _ => "POST",
    };
    let entry = escape(entry);
    let document = format!(
        "{DECLARATION}<Response><Redirect method=\"{method}\">{entry}</Redirect></Response>\n"
    );
    Bytes::from(document)
}

#[cfg(test)]
mod tests;
