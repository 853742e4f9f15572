//! The life of a request, top to bottom.
//!
//! [`serve`] is what hyper calls: refuse, or answer. [`answer`] is the story:
//! collect, verify, recognize, place, and let `rescue` see to it that somebody answers.

use std::rc::Rc;

use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use memchr::memchr;

use crate::clock;
use crate::measure::{Cause, Observation};
use crate::model::Tick;
use crate::proxy::Routing;
use crate::proxy::account::Account;
use crate::proxy::body::{Answered, Reply};
use crate::proxy::collect::collect;
use crate::proxy::forward::Errand;
use crate::proxy::genuine;
use crate::proxy::head::{Outgoing, Upgrade};
use crate::proxy::peer::Peer;
use crate::proxy::rescue::{self, Case};
use crate::proxy::settings::{Affinity, Route, Verify};
use crate::proxy::stream;
use crate::proxy::strict::{self, Refusal};
use crate::proxy::told::{Arrival, Told};
use crate::proxy::upstream::Failure;
use crate::proxy::websocket;
use crate::proxy::wire::{Conn, Parking};
use crate::proxy::worker::Worker;
use crate::split::token;

/// Answers one request of a connection.
pub(super) async fn serve(
    worker: Rc<Worker>,
    conn: Rc<Conn>,
    request: Request<Incoming>,
) -> Answered {
    conn.taken.set(conn.taken.get() + 1);
    let busy = Busy::new(conn);
    let (head, body) = request.into_parts();
    let mut response = match answer(&worker, &busy.0, &head, body).await {
        Ok(response) => response,
        Err(refusal) => {
            worker.note(Observation::Refused {
                status: refusal.status.as_u16(),
            });
            refuse(refusal)
        }
    };
    if worker.draining() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        close_after(&mut response);
    }
    if worker.crowded() {
        busy.0.parking.set(Parking::Asked);
    }
    Ok(response)
}

/// The story. Err: it was refused, and no backend heard of it.
async fn answer(
    worker: &Rc<Worker>,
    conn: &Rc<Conn>,
    head: &Parts,
    body: Incoming,
) -> Result<Response<Reply>, Refusal> {
    let routing = worker.shared.routing.load_full();
    let settings = &*routing.settings;
    let received = strict::check(head, settings.limits.body)?;
    let (path, _) = split(received);
    let route = find_route(&settings.routes, path)?;
    let peer = Peer::new(conn.peer, &settings.trusted_proxies).over_tls(conn.secure.get());
    if !peer.admitted(&route.sources, &head.headers, &settings.trusted_proxies) {
        return Err(Refusal::closing(
            StatusCode::FORBIDDEN,
            "not from this address\n",
        ));
    }
    if websocket::is_handshake(head) {
        // On the heap, so that other requests do not carry room for it.
        let stream = stream::answer(worker, conn, head, &routing, route, received, peer);
        return Box::pin(stream).await;
    }
    let body = collect(body, settings.limits.body, conn).await?;
    let public = settings.public.as_ref();
    let genuine = genuine::check(worker, route, (public, peer), head, received, &body)?;
    // Our own token is for us alone; the signature was over it, the backend's part is not.
    let stripped = stripped(&routing, route, received);
    let target = stripped.as_ref().map_or(received, |(target, _)| target);
    let (path, query) = split(target);
    let arrival = Arrival {
        worker,
        routing: &routing,
        route,
        head,
        path,
        query,
        body: &body,
        token: stripped.as_ref().map(|(_, text)| *text),
        at: clock::tick(),
    };
    let told = Told::read(&arrival, genuine);
    let key = told.tenant_key(&arrival);
    let caller = told.caller();
    let subject = told.subject(key.as_deref(), caller.as_deref(), settings);
    let seat = told.seat(&arrival, subject.as_ref());
    let reaches_served = route.served.iter().any(|served| is_under(path, served));
    let webhook = told.webhook(&arrival, &seat, reaches_served, conn.arrived.get());
    let errand = Errand {
        worker,
        conn,
        settings,
        breakers: routing.breakers,
        kind: webhook.kind,
        outgoing: Outgoing {
            head,
            target,
            body: body.len(),
            is_read: told.is_answer_read(),
            upgrade: Upgrade::No,
            peer,
            peer_text: &conn.peer_text,
            public,
            upstream: &settings.backends[seat.placement.backend],
            lots: [worker.lot(), worker.lot(), worker.lot()],
        },
        body: &body,
        subject: subject.as_ref(),
        token: told.hints.token,
        // Only what the provider signed may be vouched for.
        resign: (route.verify.as_ref())
            .filter(|_| genuine.verified)
            .and_then(Verify::resigns_by),
        whole_max: told.whole_max(),
    };
    let case = Case {
        errand: &errand,
        arrival: &arrival,
        told: &told,
        verdict: told.verdict(&arrival),
        webhook,
        patient: told.patient(&arrival, &seat),
        call: seat.key,
        routing: &routing,
        body: &body,
        deadline: rescue::deadline(&arrival, told.asks()),
    };
    if routing.split.stopped && told.is_stopped(&seat) {
        return Ok(case.stop(seat));
    }
    if case.moves(&seat)
        && let Some(response) = case.move_now(seat)
    {
        return Ok(response);
    }
    let account = Account::open(worker.clone(), webhook, seat);
    Ok(rescue::answer(&case, seat, account).await)
}

/// The target without our token, and the token's text. Where no tokens are handed out, a
/// parameter of that name is a backend's own, unless it can be read as one.
pub(super) fn stripped<'a>(
    routing: &Routing,
    route: &Route,
    received: &'a str,
) -> Option<(String, &'a str)> {
    token::strip(received)
        .filter(|(_, text)| route.affinity == Affinity::Url || routing.tokens.read(text).is_some())
}

/// Path and query of a target.
fn split(target: &str) -> (&str, &str) {
    let at = memchr(b'?', target.as_bytes()).unwrap_or(target.len());
    let (path, query) = target.split_at(at);
    (path, query.get(1..).unwrap_or_default())
}

/// The first route whose path this is, or is below.
fn find_route<'a>(routes: &'a [Route], path: &str) -> Result<&'a Route, Refusal> {
    routes
        .iter()
        .find(|route| is_under(path, &route.path))
        .ok_or(Refusal::polite(StatusCode::NOT_FOUND, "no such route\n"))
}

/// Is `path` this prefix or below it? `/ivr` takes `/ivr/menu` but not `/ivrx`.
fn is_under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'))
}

fn refuse(refusal: Refusal) -> Response<Reply> {
    let mut response = plain(refusal.status, refusal.text);
    if refusal.close {
        close_after(&mut response);
    }
    response
}

/// The provider is told that there is no answer.
pub(super) fn no_answer(failure: &Failure) -> Response<Reply> {
    tracing::debug!(
        cause = failure.cause.name(),
        retry_safe = failure.retry_safe,
        source = failure.source,
        "A backend gave no answer."
    );
    match failure.cause {
        Cause::Timeout => plain(StatusCode::GATEWAY_TIMEOUT, ""),
        Cause::Full => busy(),
        _ => plain(StatusCode::BAD_GATEWAY, ""),
    }
}

/// The backend has enough to do; the provider may come again.
fn busy() -> Response<Reply> {
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, "");
    let second = HeaderValue::from_static("1");
    response.headers_mut().insert(header::RETRY_AFTER, second);
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Reply> {
    let mut response = Response::new(Reply::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

fn close_after(response: &mut Response<Reply>) {
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
}

/// Marks a connection as busy for as long as a request of it is answered.
#[derive(Debug)]
pub(super) struct Busy(Rc<Conn>);

impl Busy {
    pub(super) fn new(conn: Rc<Conn>) -> Self {
        conn.busy.set(conn.busy.get() + 1);
        Self(conn)
    }

    /// The last byte of its answer was there.
    pub(super) fn answered(&self, at: Tick) {
        self.0.answered.set(at);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.set(self.0.busy.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_takes_its_path_and_what_is_below() {
        for (path, prefix, under) in [
            ("/ivr", "/ivr", true),
            ("/ivr/menu", "/ivr", true),
            ("/ivrx", "/ivr", false),
            ("/ivr/menu", "/ivr/", true),
            ("/any", "/", true),
            ("/iv", "/ivr", false),
        ] {
            assert_eq!(is_under(path, prefix), under, "{path} {prefix}");
        }
    }
}
