//! A websocket handshake among the requests: whose stream it is.

use std::rc::Rc;

use http::Response;
use http::request::Parts;

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
    let whose = match (known(worker, route, target), token) {
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

/// The call that the query names.
fn known(worker: &Worker, route: &Route, target: &str) -> Option<View> {
    let said = protocol::Head {
        query: target.split_once('?')?.1,
        content_type: None,
        encoded: false,
    };
    let event = protocol::recognize(route.protocol, &said, b"")?;
    [event.call, event.alias, event.parent]
        .into_iter()
        .flatten()
        .find_map(|id| worker.shared.table.find(&id))
}

fn by_frames(worker: &Worker) -> Finder {
    let table = worker.shared.table.clone();
    Finder(Box::new(move |ids| {
        let known = ids.iter().find_map(|id| table.find(id));
        known.map_or(Backend::Legacy, |call| call.backend)
    }))
}
