//! Ways in which the backend can be told to misbehave, and what it then sends.

use serde::Deserialize;

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Nothing: the good document.
    #[default]
    None,
    /// Status 500 with a short text.
    #[serde(rename = "500")]
    Error500,
    /// Status 503 with a short text.
    #[serde(rename = "503")]
    Error503,
    /// The good document, late.
    Slow,
    /// The connection is reset instead of answered.
    Reset,
    /// The connection is closed in good order instead of answered.
    Close,
    /// No answer at all.
    Hang,
    /// Status 200 with an HTML error page.
    Html,
    /// Status 200 with an empty body.
    Empty,
    /// Status 200 with a document that is not well-formed.
    Broken,
    /// Half of the announced body, then the connection closes.
    Truncated,
}

/// One backend's order to misbehave, as `POST /_fault` gives it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    /// What goes wrong.
    pub(crate) kind: Kind,
    /// For `slow`: how late, in milliseconds.
    #[serde(default)]
    pub(crate) ms: u64,
    /// Share of the requests it hits, 0..=1.
    #[serde(default = "all")]
    pub(crate) share: f64,
}

impl Default for Fault {
    fn default() -> Self {
        Self {
            kind: Kind::None,
            ms: 0,
            share: 1.0,
        }
    }
}

const fn all() -> f64 {
    1.0
}

/// Everything one backend can send, rendered once.
pub(crate) struct Answers {
    good: Vec<u8>,
    error500: Vec<u8>,
    error503: Vec<u8>,
    html: Vec<u8>,
    empty: Vec<u8>,
    broken: Vec<u8>,
    truncated: Vec<u8>,
}

const DOCUMENT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<Response>
  <Gather input="dtmf speech" action="/ivr/choice?from=main&amp;try=1" method="POST" numDigits="1" timeout="5">
    <Say voice="Polly.Joanna" language="en-US">Thank you for calling. For opening hours press one, for your latest invoice press two, or say what you need.</Say>
    <Play>http://media.example.net/menu/main-en.mp3</Play>
  </Gather>
  <Say voice="Polly.Joanna" language="en-US">We did not hear anything.</Say>
  <Redirect method="POST">/ivr/menu?from=main&amp;try=2</Redirect>
</Response>
"#;

impl Answers {
    /// The answers of the backend of that name.
    pub(crate) fn of(backend: &str) -> Self {
        let xml = "application/xml; charset=utf-8";
        let render = |status: &str, content_type: &str, body: &str| {
            format!(
                "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
                 Cache-Control: no-store\r\nX-Backend: {backend}\r\n\r\n{body}",
                body.len()
            )
            .into_bytes()
        };
        let good = render("200 OK", xml, DOCUMENT);
        let mut truncated = good.clone();
        truncated.truncate(good.len() - DOCUMENT.len() / 2);
        let page = "<!DOCTYPE html><html><head><title>Error</title></head><body><h1>Something went wrong</h1></body></html>";
        Self {
            error500: render(
                "500 Internal Server Error",
                "text/plain",
                "told to fail with 500\n",
            ),
            error503: render(
                "503 Service Unavailable",
                "text/plain",
                "told to fail with 503\n",
            ),
            html: render("200 OK", "text/html; charset=utf-8", page),
            empty: render("200 OK", xml, ""),
            broken: render(
                "200 OK",
                xml,
                "<Response><Say>the end tag is missing</Response>",
            ),
            truncated,
            good,
        }
    }

    /// What is sent for a kind of fault, and the status to note; nothing where the
    /// fault is that nothing is sent.
    pub(crate) fn get(&self, kind: Kind) -> (&[u8], u16) {
        match kind {
            Kind::None | Kind::Slow => (&self.good, 200),
            Kind::Error500 => (&self.error500, 500),
            Kind::Error503 => (&self.error503, 503),
            Kind::Html => (&self.html, 200),
            Kind::Empty => (&self.empty, 200),
            Kind::Broken => (&self.broken, 200),
            Kind::Truncated => (&self.truncated, 200),
            Kind::Reset | Kind::Close | Kind::Hang => (&[], 0),
        }
    }
}

/// Chance without a crate: xorshift, from a fixed seed, so that a run repeats.
pub(crate) struct Dice(u64);

impl Dice {
    /// Always the same sequence.
    pub(crate) const fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    /// True with probability `share`.
    pub(crate) fn hits(&mut self, share: f64) -> bool {
        self.throw() < share
    }

    /// Anything from 0 to below 1.
    pub(crate) fn throw(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // The upper 53 bits, as many as a double holds exactly.
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}
