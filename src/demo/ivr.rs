//! A small IVR in TeXML, played by both backends of the demo, with a switch that
//! breaks it.
//!
//! It keeps its own book of which calls it has met, so that the demo can prove
//! from the backend's side, not the proxy's, that no new call came after the
//! reversal.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
    /// Calls met, for "is this call new to me?". Bounded by the demo's length:
    /// some thousand calls.
    met: Mutex<HashSet<String>>,
    sealed: AtomicBool,
    late_newcomers: AtomicU64,
}

impl Ivr {
    pub(crate) fn new(backend: Backend, fault: Fault) -> Arc<Self> {
        Arc::new(Self {
            backend,
            fault,
            broken: AtomicBool::new(false),
            met: Mutex::default(),
            sealed: AtomicBool::new(false),
            late_newcomers: AtomicU64::new(0),
        })
    }

    /// From now on it misbehaves.
    pub(crate) fn break_down(&self) {
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
        self.late_newcomers.load(Ordering::Relaxed)
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
        let body = request
            .into_body()
            .collect()
            .await
            .map(|body| body.to_bytes())
            .unwrap_or_default();
        let form = String::from_utf8_lossy(&body).into_owned();
        let event = path.ends_with("/status");
        if !event {
            self.meet(&field(&form, "CallSid").unwrap_or_default());
        }
        if self.fault == Fault::Down && self.broken.load(Ordering::Relaxed) {
            // Longer than the route's timeout: nobody sees an answer.
            tokio::time::sleep(Duration::from_secs(30)).await;
        }
        tokio::time::sleep(between(8..40)).await;
        let (status, document) = self.document(&path, &form, event).await;
        let response = Response::builder()
            .status(status)
            .header("content-type", "application/xml")
            .header(NAME_HEADER, self.backend.name())
            .body(Full::new(Bytes::from(document)))
            .expect("a response of constants is valid");
        Ok(response)
    }

    fn meet(&self, call: &str) {
        let newcomer = self.met.lock().insert(call.to_owned());
        if newcomer && self.sealed.load(Ordering::Relaxed) {
            self.late_newcomers.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn document(&self, path: &str, form: &str, event: bool) -> (StatusCode, String) {
        let broken = !event && self.broken.load(Ordering::Relaxed);
        if broken {
            match self.fault {
                Fault::Errors if unlucky() => {
                    return (
                        StatusCode::INTERNAL_SERVER_ERROR,
                        "database connection lost".to_owned(),
                    );
                }
                Fault::Slow => tokio::time::sleep(between(1500..2300)).await,
                Fault::Documents if unlucky() => {
                    return (
                        StatusCode::OK,
                        "<Response><Say>Fish & chips</Say></Response>".to_owned(),
                    );
                }
                Fault::Errors | Fault::Documents | Fault::Down | Fault::None => {}
            }
        }
        (
            StatusCode::OK,
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response>{}</Response>\n",
                step(path, form)
            ),
        )
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
