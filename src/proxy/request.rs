//! The life of a request, top to bottom.
//!
//! [`serve`] is what hyper calls: refuse, or answer. [`answer`] is the story:
//! collect, verify, recognize, place, forward, judge, account.

use std::borrow::Cow;
use std::rc::Rc;

use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use memchr::memchr;

use crate::calls::Hints;
use crate::clock;
use crate::document;
use crate::measure::{Cause, Kind, Observation};
use crate::model::{Backend, Tick, Wall};
use crate::protocol::{self, Asks, CallEvent, EventKind};
use crate::proxy::Routing;
use crate::proxy::account::{Account, Webhook};
use crate::proxy::body::{Answered, Reply};
use crate::proxy::collect::collect;
use crate::proxy::deliver::deliver;
use crate::proxy::forward::{Errand, forward};
use crate::proxy::genuine::{self, Genuine};
use crate::proxy::head::{Outgoing, Upgrade, text};
use crate::proxy::peer::Peer;
use crate::proxy::settings::{Affinity, Route, Settings, Verify};
use crate::proxy::stream;
use crate::proxy::strict::{self, Refusal};
use crate::proxy::upstream::Failure;
use crate::proxy::verdict::Verdict;
use crate::proxy::websocket;
use crate::proxy::wire::{Conn, Parking};
use crate::proxy::worker::Worker;
use crate::split::tenants;
use crate::split::token::{self, Token};
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
    let received = strict::check(head, settings.limits.body)?;
    let (path, _) = split(received);
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
        let stream = stream::answer(worker, conn, head, &routing, route, received, peer);
        return Box::pin(stream).await;
    }
    let body = collect(body, settings.limits.body, conn).await?;
    let public = settings.public.as_ref();
    let genuine = genuine::check(worker, route, public, head, received, &body)?;
    // Our own token is for us alone; the signature was over it, the backend's part is not.
    let stripped = stripped(&routing, route, received);
    let target = stripped.as_ref().map_or(received, |(target, _)| target);
    let (path, query) = split(target);

    let arrived = conn.arrived.get();
    let said = protocol::Head {
        query,
        content_type: text(&head.headers, header::CONTENT_TYPE),
        encoded: head.headers.contains_key(header::CONTENT_ENCODING),
    };
    // No provider uses another method; what does is passed on and is no call's.
    let mut event = match head.method {
        Method::GET | Method::POST => protocol::recognize(route.protocol, &said, &body),
        _ => None,
    };
    let ready = clock::tick();
    let wall = stripped
        .as_ref()
        .map_or_else(Wall::default, |_| clock::wall());
    let token = (stripped.as_ref()).and_then(|(_, text)| routing.tokens.believe(text, wall));
    let hints = Hints {
        claimed: claimed(settings, query),
        token,
        wall,
    };
    if let Some(event) = event.as_mut() {
        event.outbound |= hints.claimed.is_some();
    }
    let counts = genuine.counts && !is_repeated(worker, event.as_ref(), genuine, ready);
    let key = event
        .as_ref()
        .and_then(|event| tenant_key(event, route, head, path, query));
    let caller = event
        .as_ref()
        .and_then(|event| tenants::caller(&event.keys, event.outbound));
    let subject = event
        .as_ref()
        .map(|event| subject(event, key.as_deref(), caller.as_deref(), settings));
    let seat = match (event.as_ref(), subject.as_ref()) {
        // A repeat is as genuine as the first, which may never have left: a call that
        // begins with the repeat has begun. It only counts for nothing.
        (Some(event), Some(subject)) if genuine.counts => {
            place(worker, &routing, event, subject, hints, ready)
        }
        (Some(event), Some(subject)) => {
            // Anybody may write a mark; a token only we.
            let hints = Hints {
                claimed: None,
                ..hints
            };
            let table = &worker.shared.table;
            table.peek(event, subject, hints, &routing.split)
        }
        _ => unrecognized(&routing, token),
    };
    let asks = event.as_ref().map_or(Asks::Nothing, |event| event.asks);
    let webhook = Webhook {
        route: route.number,
        kind: kind(event.as_ref()),
        speech: event.as_ref().and_then(|event| event.facts.speech),
        choice: (event.as_ref())
            .filter(|_| seat.chose)
            .and_then(|event| event.facts.choice),
        counts,
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
            is_read: !matches!(asks, Asks::Nothing | Asks::Audio),
            upgrade: Upgrade::No,
            peer,
            peer_text: &conn.peer_text,
            public,
            upstream: &settings.backends[seat.placement.backend],
            lots: [worker.lot(), worker.lot(), worker.lot()],
        },
        body: &body,
        subject: subject.as_ref(),
        token,
        // Only what the provider signed may be vouched for.
        resign: (route.verify.as_ref())
            .filter(|_| genuine.verified)
            .and_then(Verify::resigns_by),
        whole_max: whole_max(asks),
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
                asks,
                recognized: event.is_some(),
                request: &body,
                habits: routing.habits,
                method: &head.method,
                addresses: settings.addresses.as_deref(),
                seen: &worker.seen,
            };
            let token = (route.affinity == Affinity::Url && counts).then(|| {
                routing.tokens.mint(Token {
                    backend: delivery.backend,
                    began: began(token, &seat),
                })
            });
            deliver(
                &errand,
                delivery,
                &verdict,
                token.as_deref(),
                account,
                deadline,
            )
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

/// Without a call a request goes where its token says: what a document plays is fetched
/// without a word about the call. Else to legacy, which has always answered whatever
/// else there is.
fn unrecognized(routing: &Routing, token: Option<Token>) -> Seat {
    let placement = token.map_or(Placement::legacy(Because::Unrecognized), |token| {
        routing.split.follow(token)
    });
    Seat::passing(placement, routing.split.generation)
}

/// When the call began, on the calendar: as its token says, else as far as we remember.
/// A call is never made older than it is.
fn began(token: Option<Token>, seat: &Seat) -> Wall {
    // What the table rounds off.
    const ROUNDED_MS: u64 = 100;
    if let Some(token) = token {
        return token.began;
    }
    let (now, wall) = (clock::tick(), clock::wall());
    let age = seat.began.map_or(0, |began| {
        u64::try_from(now.since(began).as_millis()).unwrap_or(0)
    });
    let age = i64::try_from(age.saturating_sub(ROUNDED_MS)).unwrap_or(0);
    Wall(wall.0.saturating_sub(age))
}

/// Where the webhook goes, and why; and if it says so, its call is over.
fn place(
    worker: &Worker,
    routing: &Routing,
    event: &CallEvent<'_>,
    subject: &Subject<'_>,
    hints: Hints,
    now: Tick,
) -> Seat {
    let table = &worker.shared.table;
    let seat = table.place(event, subject, hints, &routing.split, now);
    if let EventKind::Final(end) = &event.kind
        && let Some(ended) = table.finish(event, end, now)
    {
        worker.note(Observation::Ended(ended));
    }
    seat
}

/// Path and query of a target.
fn split(target: &str) -> (&str, &str) {
    let at = memchr(b'?', target.as_bytes()).unwrap_or(target.len());
    let (path, query) = target.split_at(at);
    (path, query.get(1..).unwrap_or_default())
}

/// The backend that started the call itself, by the mark it left in the URL.
fn claimed(settings: &Settings, query: &str) -> Option<Backend> {
    Backend::ALL.into_iter().find(|backend| {
        (settings.backends[*backend].claim.as_ref()).is_some_and(|claim| {
            let value = protocol::form::find(query.as_bytes(), &claim.query);
            value.as_deref() == Some(&claim.value)
        })
    })
}

/// Was this very event told before? A forged one must not spend the id of one to come.
fn is_repeated(
    worker: &Worker,
    event: Option<&CallEvent<'_>>,
    genuine: Genuine,
    now: Tick,
) -> bool {
    let id = event.and_then(|event| event.id.as_deref());
    id.is_some_and(|id| genuine.counts && worker.shared.table.repeated(id, now))
}

/// How much of an answer is taken whole.
const fn whole_max(asks: Asks) -> usize {
    match asks {
        // A caller hears it as it comes.
        Asks::Audio => 0,
        Asks::Document | Asks::Nothing => document::MAX_BYTES,
        Asks::Assistant | Asks::Tools | Asks::Destination | Asks::Knowledge | Asks::Endpointing => {
            document::vapi_reply::MAX_BYTES
        }
    }
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
