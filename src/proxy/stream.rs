//! A websocket handshake among the requests: whose stream it is.

use std::rc::Rc;

use http::request::Parts;
use http::{Response, StatusCode};

use crate::clock;
use crate::model::Backend;
use crate::protocol;
use crate::proxy::Routing;
use crate::proxy::body::Reply;
use crate::proxy::genuine;
use crate::proxy::peer::Peer;
use crate::proxy::request::stripped;
use crate::proxy::settings::{Route, Verify};
use crate::proxy::strict::Refusal;
use crate::proxy::websocket::{self, Finder, Handshake, Whose};
use crate::proxy::wire::Conn;
use crate::proxy::worker::Worker;
use crate::split::Because;
use crate::table::View;

/// Opens a websocket on its call's backend: by the call id in the query, by the token
/// in it, else by what its frames say. A call that nobody knows is legacy's.
pub(super) async fn answer(
    worker: &Rc<Worker>,
    conn: &Rc<Conn>,
    head: &Parts,
    routing: &Routing,
    route: &Route,
    received: &str,
    peer: Peer,
) -> Result<Response<Reply>, Refusal> {
    let settings = &routing.settings;
    let genuine = genuine::check(
        worker,
        route,
        (settings.public.as_ref(), peer),
        head,
        received,
        b"",
    )?;
    let stripped = stripped(routing, route, received);
    let target = stripped.as_ref().map_or(received, |(target, _)| target);
    let token = (stripped.as_ref())
        .and_then(|(_, text)| routing.tokens.believe(text, clock::wall()))
        .map(|token| routing.split.follow(token).backend);
    let (named, known) = known(worker, route, target);
    if routing.split.stopped && is_stopped(named, known, token) {
        return Err(Refusal::polite(
            StatusCode::SERVICE_UNAVAILABLE,
            "an emergency stop lets nobody through\n",
        ));
    }
    let whose = match (known, token) {
        // What events alone told of it gave it a place by chance.
        (Some(call), Some(backend)) if call.provisional => Whose::On(backend),
        (Some(call), _) => Whose::On(call.backend),
        (None, Some(backend)) => Whose::On(backend),
        (None, None) => Whose::Named(by_frames(worker)),
    };
    let handshake = Handshake {
        worker: worker.clone(),
        settings: settings.clone(),
        head: head.clone(),
        target: target.to_owned(),
        peer,
        resign: (route.verify.as_ref())
            .filter(|_| genuine.verified)
            .and_then(Verify::resigns_by)
            .cloned(),
        timeout: route.timeout,
    };
    websocket::answer(conn, handshake, whose).await
}

/// Does the query name a call, and which one, if it is known here?
fn known(worker: &Worker, route: &Route, target: &str) -> (bool, Option<View>) {
    let said = protocol::Head {
        query: target.split_once('?').map_or("", |(_, query)| query),
        content_type: None,
        encoded: false,
    };
    let event = (!said.query.is_empty())
        .then(|| protocol::recognize(route.protocol, &said, b""))
        .flatten();
    let Some(event) = event else {
        return (false, None);
    };
    let ids = || [&event.call, &event.alias, &event.parent];
    let find = |id: &Option<_>| worker.shared.table.find(id.as_deref()?);
    let named = ids().into_iter().any(Option::is_some);
    (named, ids().into_iter().find_map(find))
}

/// Does an emergency stop keep this stream out? The streams of calls that run go on. One
/// whose URL names no call says in its frames whose it is.
fn is_stopped(named: bool, known: Option<View>, token: Option<Backend>) -> bool {
    match known {
        Some(call) => was_stopped(&call),
        None => named && token.is_none(),
    }
}

/// Was the call itself turned away?
fn was_stopped(call: &View) -> bool {
    call.because == Because::Stopped && !call.started
}

fn by_frames(worker: &Rc<Worker>) -> Finder {
    let worker = worker.clone();
    Finder(Box::new(move |ids| {
        let shared = &worker.shared;
        let known = ids.iter().find_map(|id| shared.table.find(id));
        let stopped = shared.routing.load().split.stopped;
        match known {
            Some(call) if stopped && was_stopped(&call) => None,
            Some(call) => Some(call.backend),
            None if stopped => None,
            None => Some(Backend::Legacy),
        }
    }))
}
