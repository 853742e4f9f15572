//! Simulated callers, and the provider between them and the webhook: they wait,
//! press digits, speak, lose patience and hang up, and every call has its status
//! callbacks as Telnyx sends them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use quick_xml::events::Event;
use rand::RngExt;
use tokio::net::TcpStream;

use super::ivr::{Ivr, NAME_HEADER};
use super::ledger::{Fate, Ledger, Line};
use crate::clock;
use crate::document::last_resort::LastResort;
use crate::model::{Backend, Protocol, Tick};
use crate::protocol::Asks;

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
    /// Asked of its own book only: did it meet this call, did it fail it?
    new: Arc<Ivr>,
    /// What the proxy says itself when nobody could answer.
    apology: Bytes,
    lines: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

#[derive(Debug, PartialEq)]
enum Next {
    Press { action: String },
    Speak { action: String },
    Talk { action: Option<String> },
    Go { method: Method, path: String },
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
    Apology,
    Nothing,
}

/// How far a call has come.
#[derive(Debug, Default)]
struct Journey {
    /// Who answered last.
    home: Option<Backend>,
    /// The proxy has sent the caller to the entry; since when the caller had waited for
    /// what new should have said.
    sent: Option<Tick>,
    /// The caller was connected to a person.
    connected: bool,
}

impl Phone {
    pub(crate) fn new(proxy: std::net::SocketAddr, new: Arc<Ivr>) -> Arc<Self> {
        let apology = LastResort::shipped(Protocol::TelnyxTexml, None);
        let apology = apology.answer(Asks::Document, false, &[]);
        Arc::new(Self {
            proxy,
            ledger: Ledger::default(),
            new,
            apology: apology.map(|said| said.body).unwrap_or_default(),
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
        let (fate, hung_up_by) = self.talk(&call, &base, &mut line).await;
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
        drop(self.send(&Method::POST, "/ivr/status", &last).await);
        self.ledger.end(line, fate);
    }

    async fn talk(&self, call: &str, base: &str, line: &mut Line) -> (Fate, Hangup) {
        let mut journey = Journey::default();
        let mut method = Method::POST;
        let mut path = "/ivr/welcome".to_owned();
        let mut extra = "&CallStatus=ringing".to_owned();
        for _ in 0..12 {
            let asked = clock::tick();
            let form = format!("{base}{extra}");
            let heard = tokio::time::timeout(PATIENCE, self.fetch(&method, &path, &form)).await;
            let (backend, next) = match heard {
                Err(_) | Ok(Heard::Nothing) if journey.connected => {
                    return (Fate::SilenceAfter, Hangup::Caller);
                }
                Err(_) | Ok(Heard::Nothing) => return (Fate::Lost, Hangup::Caller),
                Ok(Heard::Apology) if journey.connected => {
                    return (Fate::SorryAfter, Hangup::Application);
                }
                Ok(Heard::Apology) => return (Fate::Apology, Hangup::Application),
                Ok(Heard::Failure { backend }) => (backend, None),
                Ok(Heard::Document { backend, next }) => (backend, Some(next)),
            };
            match (backend, &next) {
                (Some(backend), Some(_)) => self.met(call, line, &mut journey, backend, asked),
                // A redirect that no backend gave: the proxy sends us to the entry.
                (None, Some(Next::Go { .. })) => journey.sent = Some(asked),
                _ => {}
            }
            let Some(next) = next else {
                return (Fate::Lost, Hangup::Platform);
            };
            method = Method::POST;
            // The platform follows a redirect at once.
            if !matches!(next, Next::Go { .. }) {
                think(300..1200).await;
            }
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
                    journey.connected = true;
                    (
                        action,
                        "&DialCallStatus=completed&DialCallDuration=60".to_owned(),
                    )
                }
                Next::Go { method: by, path } => {
                    method = by;
                    (path, String::new())
                }
                Next::Talk { action: None } | Next::Over => {
                    return (Fate::Served, Hangup::Application);
                }
            };
        }
        (Fate::Served, Hangup::Application)
    }

    /// A backend answered; `asked` is since when the caller waited for it.
    fn met(
        &self,
        call: &str,
        line: &mut Line,
        journey: &mut Journey,
        backend: Backend,
        asked: Tick,
    ) {
        let since = journey.sent.take();
        let now = clock::tick();
        let waited = now.since(since.unwrap_or(asked));
        let rescued = match (journey.home, backend) {
            (None, _) => {
                let new_met = self.new.has_met(call);
                self.ledger.answered(line, backend, new_met, now);
                backend == Backend::Legacy && self.new.has_failed(call)
            }
            (Some(Backend::New), Backend::Legacy) if since.is_some() => {
                self.ledger.goes_to(line, backend);
                self.new.has_failed(call)
            }
            (Some(home), _) => {
                let moved = u64::from(home != backend);
                self.ledger.moved.fetch_add(moved, Ordering::Relaxed);
                false
            }
        };
        if rescued {
            self.ledger.rescued(line, waited);
        }
        journey.home = Some(backend);
    }

    async fn fetch(&self, method: &Method, path: &str, form: &str) -> Heard {
        match self.send(method, path, form).await {
            None => Heard::Nothing,
            Some((200, None, body)) if body == self.apology => Heard::Apology,
            Some((200, backend, body)) => match read(&String::from_utf8_lossy(&body)) {
                Some(next) => Heard::Document { backend, next },
                None => Heard::Failure { backend },
            },
            Some((_, backend, _)) => Heard::Failure { backend },
        }
    }

    /// Sends a form as the provider does. None: no answer came. The answer's
    /// backend is unknown where the proxy had to answer itself.
    async fn send(
        &self,
        method: &Method,
        path: &str,
        form: &str,
    ) -> Option<(u16, Option<Backend>, Bytes)> {
        let mut line = self.line().await?;
        let (target, body) = match *method {
            Method::GET => {
                let joint = if path.contains('?') { '&' } else { '?' };
                (format!("{path}{joint}{form}"), String::new())
            }
            _ => (path.to_owned(), form.to_owned()),
        };
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header("host", "voice.example.com")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("user-agent", "switchback-demo")
            .body(Full::new(Bytes::from(body)))
            // A redirect may name anything.
            .ok()?;
        let response = line.send_request(request).await.ok()?;
        let status = response.status().as_u16();
        let named = response.headers().get(NAME_HEADER);
        let backend = Backend::ALL
            .into_iter()
            .find(|backend| named.is_some_and(|name| name == backend.name()));
        let body = response.into_body().collect().await.ok()?.to_bytes();
        self.lines.lock().push(line);
        Some((status, backend, body))
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
    let mut redirect: Option<(Method, String)> = None;
    loop {
        match reader.read_event().ok()? {
            Event::Eof => return Some(next.unwrap_or(Next::Over)),
            Event::Start(tag) | Event::Empty(tag) => {
                let attribute = |name| -> Option<Option<String>> {
                    let found = tag.try_get_attribute(name).ok()?;
                    Some(found.map(|it| it.value.into_owned()))
                };
                let action = attribute("action")?;
                let speech = attribute("input")?.is_some_and(|it| it == "speech");
                match (tag.name().as_ref(), action) {
                    ("Gather", Some(action)) if speech => next = Some(Next::Speak { action }),
                    ("Gather", Some(action)) => next = Some(Next::Press { action }),
                    ("Dial", action) => next = Some(Next::Talk { action }),
                    ("Redirect", _) => {
                        let get = attribute("method")?.is_some_and(|it| it == "GET");
                        let method = if get { Method::GET } else { Method::POST };
                        redirect = Some((method, String::new()));
                    }
                    _ => {}
                }
            }
            Event::Text(text) => {
                if let Some((_, path)) = &mut redirect {
                    path.push_str(&text);
                }
            }
            Event::GeneralRef(name) => {
                if let (Some((_, path)), "amp") = (&mut redirect, &*name) {
                    path.push('&');
                }
            }
            Event::End(_) => {
                if let Some((method, path)) = redirect.take() {
                    next = Some(Next::Go { method, path });
                }
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
        for (document, by, to) in [
            ("<Redirect>/w</Redirect>", Method::POST, "/w"),
            (
                "<Redirect method=\"GET\">/w?a=1&amp;b=2</Redirect>",
                Method::GET,
                "/w?a=1&b=2",
            ),
        ] {
            let document = format!("<Response>{document}</Response>");
            let next = Next::Go {
                method: by,
                path: to.to_owned(),
            };
            assert_eq!(read(&document), Some(next));
        }
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
