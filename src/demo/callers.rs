//! Simulated callers, and the provider between them and the webhook: they wait,
//! press digits, speak, lose patience and hang up, and every call has its status
//! callbacks as Telnyx sends them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use quick_xml::events::Event;
use rand::RngExt;
use tokio::net::TcpStream;

use super::ivr::NAME_HEADER;
use super::ledger::{Fate, Ledger, Line};
use crate::clock;
use crate::model::Backend;

/// The demo's tenants: one number each.
pub(crate) const TENANTS: [&str; 16] = [
    "+13125550100",
    "+13125550101",
    "+13125550102",
    "+13125550103",
    "+13125550104",
    "+13125550105",
    "+13125550106",
    "+13125550107",
    "+13125550108",
    "+13125550109",
    "+13125550110",
    "+13125550111",
    "+13125550112",
    "+13125550113",
    "+13125550114",
    "+13125550115",
];

/// A caller waits this long for an answer before hanging up.
const PATIENCE: Duration = Duration::from_millis(2500);

/// Everything a caller needs.
#[derive(Debug)]
pub(crate) struct Phone {
    /// Where the webhooks go.
    pub(crate) proxy: std::net::SocketAddr,
    /// The common book.
    pub(crate) ledger: Ledger,
    lines: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

enum Next {
    Press { action: String },
    Speak { action: String },
    Talk { action: Option<String> },
    Go(String),
    Over,
}

enum Heard {
    Document {
        backend: Option<Backend>,
        next: Next,
    },
    Failure {
        backend: Option<Backend>,
    },
    Nothing,
}

impl Phone {
    pub(crate) fn new(proxy: std::net::SocketAddr) -> Arc<Self> {
        Arc::new(Self {
            proxy,
            ledger: Ledger::default(),
            lines: Mutex::default(),
        })
    }

    /// One whole call.
    pub(crate) async fn call(self: Arc<Self>, number: u64) {
        let call = format!("v3:demo{number:08}{:016x}", rand::random::<u64>());
        let tenant = TENANTS[rand::rng().random_range(0..TENANTS.len())];
        let caller = format!("+1415555{:04}", rand::rng().random_range(0..10_000));
        let base = format!(
            "CallSid={}&From={}&To={}&ConnectionId=1684641123236054244",
            encode(&call),
            encode(&caller),
            encode(tenant)
        );
        let mut line = self.ledger.begin(tenant);
        let began = clock::tick();
        let (fate, hung_up_by) = self.talk(&base, &mut line).await;
        let seconds = clock::tick().since(began).as_secs_f64().ceil();
        let (status, source) = match hung_up_by {
            Hangup::Application => ("completed", "callee"),
            Hangup::Caller => ("completed", "caller"),
            Hangup::Platform => ("failed", "unknown"),
        };
        let last = format!(
            "{base}&CallStatus={status}&CallbackSource=call-progress-events&HangupSource={source}&CallDuration={seconds}&SequenceNumber=3"
        );
        // Nobody waits for the answer to a status callback.
        drop(self.post("/ivr/status", &last).await);
        self.ledger.end(line, fate);
    }

    async fn talk(&self, base: &str, line: &mut Line) -> (Fate, Hangup) {
        let mut home: Option<Backend> = None;
        let mut path = "/ivr/welcome".to_owned();
        let mut extra = "&CallStatus=ringing".to_owned();
        for _ in 0..8 {
            let heard =
                tokio::time::timeout(PATIENCE, self.fetch(&path, &format!("{base}{extra}"))).await;
            let (backend, next) = match heard {
                Err(_) | Ok(Heard::Nothing) => return (Fate::Lost, Hangup::Caller),
                Ok(Heard::Failure { backend }) => (backend, None),
                Ok(Heard::Document { backend, next }) => (backend, Some(next)),
            };
            if let Some(backend) = backend {
                match home {
                    None => self.ledger.answered(line, backend),
                    Some(home) if home != backend => {
                        self.ledger.moved.fetch_add(1, Ordering::Relaxed);
                    }
                    Some(_) => {}
                }
                home = Some(backend);
            }
            let Some(next) = next else {
                return (Fate::Lost, Hangup::Platform);
            };
            think(300..1200).await;
            (path, extra) = match next {
                Next::Press { .. } if chance(0.03) => return (Fate::HungUp, Hangup::Caller),
                Next::Press { action } => (
                    action,
                    format!("&Digits={}", rand::rng().random_range(1..=3)),
                ),
                Next::Speak { action } => (
                    action,
                    if chance(0.9) {
                        "&SpeechResult=my+bill&Confidence=0.91"
                    } else {
                        "&SpeechResult=&Confidence=0"
                    }
                    .to_owned(),
                ),
                Next::Talk {
                    action: Some(action),
                } => {
                    think(1500..4000).await;
                    (
                        action,
                        "&DialCallStatus=completed&DialCallDuration=60".to_owned(),
                    )
                }
                Next::Go(action) => (action, String::new()),
                Next::Talk { action: None } | Next::Over => {
                    return (Fate::Served, Hangup::Application);
                }
            };
        }
        (Fate::Served, Hangup::Application)
    }

    async fn fetch(&self, path: &str, form: &str) -> Heard {
        match self.post(path, form).await {
            None => Heard::Nothing,
            Some((200, backend, body)) => match read(&body) {
                Some(next) => Heard::Document { backend, next },
                None => Heard::Failure { backend },
            },
            Some((_, backend, _)) => Heard::Failure { backend },
        }
    }

    /// Posts a form as the provider does. None: no answer came. The answer's
    /// backend is unknown where the proxy had to answer itself.
    async fn post(&self, path: &str, form: &str) -> Option<(u16, Option<Backend>, String)> {
        let mut line = self.line().await?;
        let request = Request::post(path)
            .header("host", "voice.example.com")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("user-agent", "switchback-demo")
            .body(Full::new(Bytes::from(form.to_owned())))
            .expect("a request of our own is valid");
        let response = line.send_request(request).await.ok()?;
        let status = response.status().as_u16();
        let named = response.headers().get(NAME_HEADER);
        let backend = Backend::ALL
            .into_iter()
            .find(|backend| named.is_some_and(|name| name == backend.name()));
        let body = response.into_body().collect().await.ok()?.to_bytes();
        self.lines.lock().push(line);
        Some((status, backend, String::from_utf8_lossy(&body).into_owned()))
    }

    async fn line(&self) -> Option<SendRequest<Full<Bytes>>> {
        // Bounded by the number of calls at once; a broken line is thrown away.
        while let Some(line) = { self.lines.lock().pop() } {
            if line.is_ready() {
                return Some(line);
            }
        }
        let stream = TcpStream::connect(self.proxy).await.ok()?;
        let (line, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .ok()?;
        tokio::spawn(connection);
        Some(line)
    }
}

enum Hangup {
    Application,
    Caller,
    Platform,
}

/// What the document asks of the caller; None if the platform could not run it.
fn read(document: &str) -> Option<Next> {
    let mut reader = quick_xml::Reader::from_str(document);
    let mut next = None;
    let mut text_of_redirect = false;
    loop {
        match reader.read_event().ok()? {
            Event::Eof => return Some(next.unwrap_or(Next::Over)),
            Event::Start(tag) | Event::Empty(tag) => {
                let action = tag
                    .try_get_attribute("action")
                    .ok()?
                    .map(|it| it.value.into_owned());
                let speech = tag
                    .try_get_attribute("input")
                    .ok()?
                    .is_some_and(|it| it.value.as_ref() == "speech");
                match (tag.name().as_ref(), action) {
                    ("Gather", Some(action)) if speech => next = Some(Next::Speak { action }),
                    ("Gather", Some(action)) => next = Some(Next::Press { action }),
                    ("Dial", action) => next = Some(Next::Talk { action }),
                    ("Redirect", _) => text_of_redirect = true,
                    _ => {}
                }
            }
            Event::Text(text) if text_of_redirect => {
                next = Some(Next::Go(text.to_string()));
                text_of_redirect = false;
            }
            _ => {}
        }
    }
}

/// A field of a form, decoded.
pub(crate) fn field(form: &str, name: &str) -> Option<String> {
    form.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then(|| {
            percent_decode_str(&value.replace('+', " "))
                .decode_utf8_lossy()
                .into_owned()
        })
    })
}

fn encode(value: &str) -> String {
    utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()
}

fn chance(share: f64) -> bool {
    rand::rng().random_bool(share)
}

async fn think(ms: std::ops::Range<u64>) {
    let ms = rand::rng().random_range(ms);
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_follows_what_the_document_asks() {
        assert!(
            matches!(read("<Response><Gather action=\"/a\"/></Response>"), Some(Next::Press { action }) if action == "/a")
        );
        assert!(matches!(
            read("<Response><Gather input=\"speech\" action=\"/s\"/></Response>"),
            Some(Next::Speak { .. })
        ));
        assert!(
            matches!(read("<Response><Redirect>/w</Redirect></Response>"), Some(Next::Go(path)) if path == "/w")
        );
        assert!(matches!(
            read("<Response><Hangup/></Response>"),
            Some(Next::Over)
        ));
        assert!(
            read("<Response><Say>a</Response>").is_none(),
            "the platform cannot run it"
        );
    }

    #[test]
    fn a_form_field_is_found_whole_and_decoded() {
        assert_eq!(
            field("To=%2B1&CallSid=v3%3Ax", "CallSid").as_deref(),
            Some("v3:x")
        );
        assert_eq!(field("XTo=1", "To"), None);
    }
}
