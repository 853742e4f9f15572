//! A small IVR in TeXML, played by both backends of the demo, with a switch that
//! breaks it.
//!
//! It keeps its own book: which calls it has met, so that the demo can prove from
//! the backend's side, not the proxy's, that no new call came after the reversal;
//! and which it has failed, which is what the fault would have cost.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rand::RngExt;
use tokio::net::TcpListener;

use super::Fault;
use super::callers::field;
use crate::model::Backend;

/// What an answer carries so that a caller can check who gave it.
pub(crate) const NAME_HEADER: &str = "x-demo-backend";

/// One of the two sample backends.
#[derive(Debug)]
pub(crate) struct Ivr {
    backend: Backend,
    fault: Fault,
    broken: AtomicBool,
    sealed: AtomicBool,
    book: Mutex<Book>,
}

/// What a backend remembers of its calls. Bounded by the demo's length: some thousand
/// calls.
#[derive(Debug, Default)]
struct Book {
    /// Calls met, for "is this call new to me?".
    met: HashSet<String>,
    /// How many there were when it broke down.
    met_well: usize,
    /// Calls first met while broken.
    exposed: HashSet<String>,
    /// Calls that it has failed.
    failed: HashSet<String>,
    failed_webhooks: u64,
    late_newcomers: u64,
}

/// What a fault has done, by the book of the backend that has it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Damage {
    /// Webhooks that it failed: a bad status, a broken document, an answer that no
    /// caller waits for, none at all.
    pub(crate) webhooks: u64,
    /// Calls they belonged to.
    pub(crate) calls: usize,
    /// Calls met before the fault.
    pub(crate) met_well: usize,
    /// Of the calls that began with it while it was broken, the share that it failed.
    pub(crate) share: f64,
}

impl Book {
    fn meet(&mut self, call: &str, broken: bool, sealed: bool) {
        if !self.met.insert(call.to_owned()) {
            return;
        }
        if broken {
            self.exposed.insert(call.to_owned());
        }
        self.late_newcomers += u64::from(sealed);
    }

    fn fail(&mut self, call: &str) {
        self.failed_webhooks += 1;
        self.failed.insert(call.to_owned());
    }

    fn damage(&self) -> Damage {
        let failed = self.exposed.intersection(&self.failed).count();
        Damage {
            webhooks: self.failed_webhooks,
            calls: self.failed.len(),
            met_well: self.met_well,
            share: failed as f64 / self.exposed.len().max(1) as f64,
        }
    }
}

/// What goes wrong with one webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Status,
    Document,
    Late,
    Silence,
}

impl Ivr {
    pub(crate) fn new(backend: Backend, fault: Fault) -> Arc<Self> {
        Arc::new(Self {
            backend,
            fault,
            broken: AtomicBool::new(false),
            sealed: AtomicBool::new(false),
            book: Mutex::default(),
        })
    }

    /// From now on it misbehaves.
    pub(crate) fn break_down(&self) {
        let mut book = self.book.lock();
        book.met_well = book.met.len();
        self.broken.store(true, Ordering::Relaxed);
    }

    /// Somebody has repaired it.
    pub(crate) fn mend(&self) {
        self.broken.store(false, Ordering::Relaxed);
    }

    /// New calls are welcome again.
    pub(crate) fn unseal(&self) {
        self.sealed.store(false, Ordering::Relaxed);
    }

    /// From now on every call it has not met is counted as a latecomer.
    pub(crate) fn seal(&self) {
        self.sealed.store(true, Ordering::Relaxed);
    }

    /// Calls it met for the first time after [`Self::seal`].
    pub(crate) fn late_newcomers(&self) -> u64 {
        self.book.lock().late_newcomers
    }

    /// Has a webhook of this call ever come?
    pub(crate) fn has_met(&self, call: &str) -> bool {
        self.book.lock().met.contains(call)
    }

    /// Has it failed a webhook of this call?
    pub(crate) fn has_failed(&self, call: &str) -> bool {
        self.book.lock().failed.contains(call)
    }

    /// What its fault has done.
    pub(crate) fn damage(&self) -> Damage {
        self.book.lock().damage()
    }

    /// Serves until the runtime goes.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let ivr = Arc::clone(&self);
            tokio::spawn(async move {
                let answer = service_fn(move |request| Arc::clone(&ivr).answer(request));
                // A proxy that closes its pool ends the connection; that is no error here.
                let served = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), answer)
                    .await;
                if let Err(error) = served {
                    tracing::debug!(%error, "A demo connection ended.");
                }
            });
        }
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let path = request.uri().path().to_owned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let body = request
            .into_body()
            .collect()
            .await
            .map(|body| body.to_bytes())
            .unwrap_or_default();
        let form = match &body[..] {
            [] => query,
            body => String::from_utf8_lossy(body).into_owned(),
        };
        let event = path.ends_with("/status");
        let trouble = self.enter(&form, event);
        tokio::time::sleep(between(8..40)).await;
        let (status, document) = match trouble {
            Some(Trouble::Status) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "database connection lost".to_owned(),
            ),
            Some(Trouble::Document) => (
                StatusCode::OK,
                "<Response><Say>Fish & chips</Say></Response>".to_owned(),
            ),
            Some(Trouble::Late | Trouble::Silence) | None => {
                tokio::time::sleep(delay(trouble)).await;
                (
                    StatusCode::OK,
                    format!(
                        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response>{}</Response>\n",
                        step(&path, &form)
                    ),
                )
            }
        };
        let response = Response::builder()
            .status(status)
            .header("content-type", "application/xml")
            .header(NAME_HEADER, self.backend.name())
            .body(Full::new(Bytes::from(document)))
            .expect("a response of constants is valid");
        Ok(response)
    }

    /// Enters a webhook in the book: before it is answered, because whoever asked may
    /// be gone by then. Nobody hears what is said to an event.
    fn enter(&self, form: &str, event: bool) -> Option<Trouble> {
        let broken = self.broken.load(Ordering::Relaxed);
        let trouble = broken.then(|| trouble(self.fault)).flatten();
        if event {
            return trouble.filter(|trouble| *trouble == Trouble::Silence);
        }
        let call = field(form, "CallSid").unwrap_or_default();
        let mut book = self.book.lock();
        book.meet(&call, broken, self.sealed.load(Ordering::Relaxed));
        if trouble.is_some() {
            book.fail(&call);
        }
        trouble
    }
}

fn trouble(fault: Fault) -> Option<Trouble> {
    match fault {
        Fault::Errors | Fault::Both => unlucky().then_some(Trouble::Status),
        Fault::Documents => unlucky().then_some(Trouble::Document),
        Fault::Slow => Some(Trouble::Late),
        Fault::Down => Some(Trouble::Silence),
        Fault::None => None,
    }
}

fn delay(trouble: Option<Trouble>) -> Duration {
    match trouble {
        // Longer than a caller waits, and shorter than the route's timeout.
        Some(Trouble::Late) => between(2600..3400),
        // Longer than the route's timeout: nobody sees an answer.
        Some(Trouble::Silence) => Duration::from_secs(30),
        _ => Duration::ZERO,
    }
}

fn between(ms: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(rand::rng().random_range(ms))
}

/// Six times in ten.
fn unlucky() -> bool {
    rand::rng().random_bool(0.6)
}

/// The menu itself.
fn step(path: &str, form: &str) -> &'static str {
    match path.rsplit('/').next().unwrap_or_default() {
        "menu" => match field(form, "Digits").as_deref() {
            Some("1") => "<Say>Your balance is twenty dollars. Goodbye.</Say><Hangup/>",
            Some("2") => "<Dial action=\"/ivr/dialed\"><Number>+13125550199</Number></Dial>",
            Some("3") => {
                "<Gather input=\"speech\" action=\"/ivr/speech\"><Say>In a few words, how can we help?</Say></Gather>"
            }
            _ => "<Redirect>/ivr/welcome</Redirect>",
        },
        "speech" => match field(form, "SpeechResult").as_deref() {
            Some("") | None => {
                "<Gather input=\"speech\" action=\"/ivr/speech\"><Say>Sorry, once more please.</Say></Gather>"
            }
            Some(_) => "<Say>Thank you, we will call you back.</Say><Hangup/>",
        },
        "dialed" => "<Say>Goodbye.</Say><Hangup/>",
        "status" => "",
        _ => {
            "<Gather input=\"dtmf\" numDigits=\"1\" action=\"/ivr/menu\"><Say>One for your balance, two for a person, three to tell us.</Say></Gather>"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_book_tells_what_the_fault_has_done_and_to_how_many_of_the_calls_it_met() {
        let ivr = Ivr::new(Backend::New, Fault::Down);
        let enter = |call: &str| ivr.enter(&format!("CallSid={call}"), false);
        assert_eq!(enter("early"), None);
        assert_eq!(enter("gone"), None);
        assert_eq!(ivr.damage().calls, 0);
        ivr.break_down();
        for call in ["early", "late", "late"] {
            assert_eq!(enter(call), Some(Trouble::Silence));
        }
        ivr.mend();
        assert_eq!(enter("later"), None);
        let damage = Damage {
            webhooks: 3,
            calls: 2,
            met_well: 2,
            share: 1.0,
        };
        assert_eq!(ivr.damage(), damage);
        assert!(ivr.has_failed("early") && !ivr.has_failed("gone"));
        assert!(ivr.has_met("later") && !ivr.has_met("never"));
    }

    #[test]
    fn an_event_is_neither_a_call_met_nor_one_failed() {
        let ivr = Ivr::new(Backend::New, Fault::Errors);
        ivr.break_down();
        for number in 0..40 {
            assert_eq!(ivr.enter(&format!("CallSid={number}"), true), None);
        }
        assert_eq!((ivr.damage().calls, ivr.has_met("7")), (0, false));
    }

    #[test]
    fn a_call_first_met_after_the_reversal_is_a_latecomer() {
        let ivr = Ivr::new(Backend::New, Fault::None);
        ivr.enter("CallSid=old", false);
        ivr.seal();
        ivr.enter("CallSid=old", false);
        assert_eq!(ivr.late_newcomers(), 0);
        ivr.enter("CallSid=fresh", false);
        assert_eq!(ivr.late_newcomers(), 1);
    }
}
