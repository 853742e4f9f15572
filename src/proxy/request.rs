//! The life of a request, top to bottom.
//!
//! [`serve`] is what hyper calls: refuse, or answer. [`answer`] is the story:
//! collect, recognize, place, forward, judge, account. The latch is looked at once
//! more just before the first byte of a new call leaves, in [`forward`].

use std::borrow::Cow;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::calls;
use crate::clock;
use crate::measure::{Cause, Kind, Observation};
use crate::model::{Backend, Tick};
use crate::protocol::{self, CallEvent, EventKind};
use crate::proxy::Routing;
use crate::proxy::account::{Account, Webhook};
use crate::proxy::body::{Answered, Long, Reply};
use crate::proxy::head::{Outgoing, Upgrade, text};
use crate::proxy::peer::Peer;
use crate::proxy::settings::{Route, Settings, Upstream};
use crate::proxy::strict::{self, Refusal};
use crate::proxy::upstream::{self, Answer, Body, Failure};
use crate::proxy::verdict::Verdict;
use crate::proxy::websocket::{self, Finder, Handshake, Whose};
use crate::proxy::wire::{Conn, Parking, Trouble};
use crate::proxy::worker::{Scratch, Worker};
use crate::split::tenants;
use crate::split::{Because, Placement, Subject};
use crate::table::Seat;

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
    let target = strict::check(head, settings.limits.body)?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let route = find_route(&settings.routes, path)?;
    let peer = Peer::new(conn.peer, &settings.trusted_proxies);
    if !peer.admitted(&route.sources, &head.headers, &settings.trusted_proxies) {
        return Err(Refusal::closing(
            StatusCode::FORBIDDEN,
            "not from this address\n",
        ));
    }
    if websocket::is_handshake(head) {
        // On the heap, so that other requests do not carry room for it.
        return Box::pin(stream(worker, conn, head, &routing, route, target, peer)).await;
    }
    let body = collect(body, settings.limits.body, conn).await?;

    let arrived = conn.arrived.get();
    let said = protocol::Head {
        query,
        content_type: text(&head.headers, header::CONTENT_TYPE),
        encoded: head.headers.contains_key(header::CONTENT_ENCODING),
    };
    // No provider uses another method; what does is passed on and is no call's.
    let event = match head.method {
        Method::GET | Method::POST => protocol::recognize(route.protocol, &said, &body),
        _ => None,
    };
    let key = event
        .as_ref()
        .and_then(|event| tenant_key(event, route, head, path, query));
    let caller = event
        .as_ref()
        .and_then(|event| tenants::caller(&event.keys, event.outbound));
    let subject = event
        .as_ref()
        .map(|event| subject(event, key.as_deref(), caller.as_deref(), settings));
    let ready = clock::tick();
    let seat = place(worker, &routing, event.as_ref(), subject.as_ref(), ready);
    let webhook = Webhook {
        route: route.number,
        kind: kind(event.as_ref()),
        speech: event.as_ref().and_then(|event| event.facts.speech),
        reaches_served: route.served.iter().any(|served| is_under(path, served)),
        arrived,
        ready,
    };
    let mut account = Account::open(worker.clone(), webhook, seat);
    let errand = Errand {
        worker,
        conn,
        settings,
        outgoing: Outgoing {
            head,
            target,
            body: body.len(),
            upgrade: Upgrade::No,
            peer,
            peer_text: &conn.peer_text,
            public: settings.public.as_ref(),
            upstream: &settings.backends[seat.placement.backend],
            lots: [worker.lot(), worker.lot(), worker.lot()],
        },
        body: &body,
        subject: subject.as_ref(),
    };
    let deadline = ready + route.timeout;
    let forwarded = conn
        .within(deadline, forward(&errand, seat, ready, &mut account))
        .await
        .unwrap_or_else(|| Err(Failure::timeout()));
    let response = match forwarded {
        Ok(delivery) => {
            conn.answered.set(delivery.at);
            let verdict = Verdict {
                protocol: route.protocol,
                kind: webhook.kind,
                recognized: event.is_some(),
                habits: routing.habits,
                method: &head.method,
                seen: &worker.seen,
            };
            deliver(&errand, delivery, &verdict, account, deadline)
        }
        Err(failure) => {
            account.fail(failure.cause);
            conn.answered.set(clock::tick());
            tracing::debug!(
                cause = failure.cause.name(),
                retry_safe = failure.retry_safe,
                source = failure.source,
                "A backend gave no answer."
            );
            no_answer(failure.cause)
        }
    };
    Ok(response)
}

/// Opens a websocket on its call's backend: by the call id in the query, else by
/// what its frames say. A call that nobody knows is legacy's.
async fn stream(
    worker: &Rc<Worker>,
    conn: &Rc<Conn>,
    head: &Parts,
    routing: &Routing,
    route: &Route,
    target: &str,
    peer: Peer,
) -> Result<Response<Reply>, Refusal> {
    let said = protocol::Head {
        query: target.split_once('?').map_or("", |(_, query)| query),
        content_type: None,
        encoded: false,
    };
    let event = protocol::recognize(route.protocol, &said, b"");
    let known = event.and_then(|event| {
        [event.call, event.alias, event.parent]
            .into_iter()
            .flatten()
            .find_map(|id| worker.shared.table.find(&id))
    });
    let whose = known.map_or_else(
        || {
            let table = worker.shared.table.clone();
            Whose::Named(Finder(Box::new(move |ids| {
                let known = ids.iter().find_map(|id| table.find(id));
                known.map_or(Backend::Legacy, |call| call.backend)
            })))
        },
        |call| Whose::On(call.backend),
    );
    let handshake = Handshake {
        worker: worker.clone(),
        settings: routing.settings.clone(),
        head: head.clone(),
        target: target.to_owned(),
        peer,
        timeout: route.timeout,
    };
    websocket::answer(conn, handshake, whose).await
}

/// Everything forwarding needs that does not change on the way.
#[derive(Debug)]
struct Errand<'a> {
    worker: &'a Rc<Worker>,
    conn: &'a Rc<Conn>,
    settings: &'a Settings,
    outgoing: Outgoing<'a>,
    body: &'a [u8],
    subject: Option<&'a Subject<'a>>,
}

/// What came back, and from where.
#[derive(Debug)]
struct Delivery {
    answer: Answer,
    link: crate::proxy::pool::Link,
    backend: Backend,
    at: Tick,
}

/// Sends the request to the backend of its seat and reads the answer.
///
/// It is written a second time only if no byte of it went out the first time.
async fn forward(
    errand: &Errand<'_>,
    mut seat: Seat,
    ready: Tick,
    account: &mut Account,
) -> Result<Delivery, Failure> {
    let Errand {
        worker, settings, ..
    } = errand;
    // Until its table entry says that the call has started.
    let mut unstarted = errand.subject.filter(|_| seat.starting);
    let mut used_ones = true;
    loop {
        let backend = seat.placement.backend;
        let to = &settings.backends[backend];
        let pool = &worker.pools[backend];
        let waiting = if used_ones {
            pool.take(to, ready)
        } else {
            None
        };
        let mut link = match waiting {
            Some(link) => link,
            None => pool.connect(to).await.map_err(Failure::connect)?,
        };
        // Before the byte leaves: a reversal may have come while we waited for the
        // body or a connection.
        let now = worker.shared.routing.load();
        if let Some(subject) = unstarted.take() {
            let table = &worker.shared.table;
            table.start(&mut seat, subject, &now.split, clock::tick());
            if seat.placement.backend != backend {
                pool.give_back(to, link, clock::tick());
                continue;
            }
        }
        let after_latch = seat.starting && now.split.latched && is_new_on_new(seat.placement);
        if after_latch {
            // It came while we waited for this connection, when the table had said its
            // word already. Nothing was sent yet, so the table says it once more.
            worker.shared.table.unstart(&seat);
            unstarted = errand.subject;
            pool.give_back(to, link, clock::tick());
            continue;
        }
        drop(now);
        account.sent(seat, seat.starting, after_latch);
        let mut scratch = worker.scratch();
        write_message(&mut scratch, errand, to);
        let sent = upstream::send(&mut link, &scratch.message).await?;
        // While the backend thinks, this request holds no buffer.
        worker.keep(scratch);
        if !sent {
            used_ones = false;
            continue;
        }
        upstream::wait(&link).await?;
        let mut scratch = worker.scratch();
        let method = &errand.outgoing.head.method;
        let answer = upstream::receive(&mut link, &mut scratch.input, method).await?;
        worker.keep(scratch);
        return Ok(Delivery {
            answer,
            link,
            backend,
            at: clock::tick(),
        });
    }
}

/// Would this be a new call on new? Legs of a call that is there already, and
/// calls that new began itself, are not.
fn is_new_on_new(placement: Placement) -> bool {
    placement.backend == Backend::New
        && !matches!(placement.because, Because::Inherited | Because::Claimed)
}

fn write_message(scratch: &mut Scratch, errand: &Errand<'_>, to: &Upstream) {
    scratch.message.clear();
    Outgoing {
        upstream: to,
        ..errand.outgoing
    }
    .write(&mut scratch.message);
    scratch.message.extend_from_slice(errand.body);
}

/// Judges what came back and passes it on.
fn deliver(
    errand: &Errand<'_>,
    delivery: Delivery,
    verdict: &Verdict<'_>,
    mut account: Account,
    deadline: Tick,
) -> Response<Reply> {
    let Delivery {
        answer: Answer { head, body },
        link,
        backend,
        at,
    } = delivery;
    let upstream = &errand.settings.backends[backend];
    let reply = match body {
        Body::Whole(bytes) => {
            if head.reusable {
                errand.worker.pools[backend].give_back(upstream, link, at);
            }
            let sentence = verdict.on(head.status, &head.headers, Some(&bytes));
            sentence.pass(&mut account, at);
            Reply::Whole(bytes)
        }
        Body::Long(first, decoder) => Reply::Long(Box::new(Long {
            left: match decoder {
                crate::proxy::answer::Decoder::Length(left) => Some(left + first.len() as u64),
                _ => None,
            },
            first,
            decoder,
            link: Some(link),
            reusable: head.reusable,
            deadline: Box::pin(tokio::time::sleep_until(clock::instant(deadline))),
            sentence: verdict.on(head.status, &head.headers, None),
            account,
            worker: errand.worker.clone(),
            backend,
            upstream: upstream.clone(),
            busy: Busy::new(errand.conn.clone()),
        })),
    };
    let mut response = Response::new(reply);
    *response.status_mut() = verdict.status_for_provider(head.status);
    *response.headers_mut() = head.headers;
    response
}

/// Collects a body. One that came in one piece, as nearly all do, is not copied.
async fn collect(mut body: Incoming, max: usize, conn: &Conn) -> Result<Bytes, Refusal> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let first = next_data(&mut body, conn).await?.unwrap_or_default();
    if body.is_end_stream() {
        return if first.len() > max {
            Err(strict::too_large())
        } else {
            Ok(first)
        };
    }
    let mut whole = BytesMut::from(first);
    while let Some(data) = next_data(&mut body, conn).await? {
        if whole.len() + data.len() > max {
            return Err(strict::too_large());
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// The next piece of a body; None at its end. Trailers are dropped.
async fn next_data(body: &mut Incoming, conn: &Conn) -> Result<Option<Bytes>, Refusal> {
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Err(_) if conn.trouble.get() == Some(Trouble::Slow) => {
                return Err(Refusal::closing(
                    StatusCode::REQUEST_TIMEOUT,
                    "the body did not come in time\n",
                ));
            }
            Err(_) => {
                return Err(Refusal::closing(
                    StatusCode::BAD_REQUEST,
                    "malformed body\n",
                ));
            }
        }
    }
    Ok(None)
}

/// Where the webhook goes, and why. Without a call it goes to legacy, which has
/// always answered whatever else there is.
fn place(
    worker: &Worker,
    routing: &Routing,
    event: Option<&CallEvent<'_>>,
    subject: Option<&Subject<'_>>,
    now: Tick,
) -> Seat {
    let (Some(event), Some(subject)) = (event, subject) else {
        let placement = Placement {
            backend: Backend::Legacy,
            because: Because::Unrecognized,
        };
        return Seat::passing(placement, routing.split.generation);
    };
    let table = &worker.shared.table;
    let seat = table.place(event, subject, calls::Hints::default(), &routing.split, now);
    if let EventKind::Final(end) = &event.kind
        && let Some(ended) = table.finish(event, end, now)
    {
        worker.note(Observation::Ended(ended));
    }
    seat
}

fn tenant_key<'a>(
    event: &'a CallEvent<'_>,
    route: &Route,
    head: &'a Parts,
    path: &'a str,
    query: &'a str,
) -> Option<Cow<'a, str>> {
    tenants::resolve(
        &route.tenant,
        &event.keys,
        |name| head.headers.get(name)?.to_str().ok().map(Cow::Borrowed),
        |name| protocol::form::find(query.as_bytes(), name),
        path,
        event.outbound,
    )
}

fn subject<'a>(
    event: &'a CallEvent<'_>,
    key: Option<&'a str>,
    caller: Option<&'a str>,
    settings: &'a Settings,
) -> Subject<'a> {
    Subject {
        tenant: tenants::tenant(key, settings.directory.as_deref(), settings.unlisted),
        call: event.call.as_deref(),
        caller,
    }
}

fn kind(event: Option<&CallEvent<'_>>) -> Kind {
    match event.map(|event| event.kind) {
        Some(EventKind::Start | EventKind::Step) => Kind::Voice,
        _ => Kind::Event,
    }
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

fn no_answer(cause: Cause) -> Response<Reply> {
    match cause {
        Cause::Timeout => plain(StatusCode::GATEWAY_TIMEOUT, ""),
        _ => plain(StatusCode::BAD_GATEWAY, ""),
    }
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
    fn new(conn: Rc<Conn>) -> Self {
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
