//! What a request tells of a call, and where that sends it.
//!
//! Everything in here is decided before the first byte leaves: which call, whose, by
//! which mark or token, and whether it is evidence.

use std::borrow::Cow;
use std::rc::Rc;

use http::request::Parts;
use http::{Method, header};

use crate::calls::Hints;
use crate::calls::rescue::Patient;
use crate::clock;
use crate::document;
use crate::measure::{Kind, Observation};
use crate::model::{Backend, Tick, Wall};
use crate::protocol::{self, Asks, CallEvent, EventKind};
use crate::proxy::Routing;
use crate::proxy::account::Webhook;
use crate::proxy::genuine::Genuine;
use crate::proxy::head::text;
use crate::proxy::settings::{Affinity, Route, Settings};
use crate::proxy::verdict::Verdict;
use crate::proxy::worker::Worker;
use crate::split::tenants;
use crate::split::token::Token;
use crate::split::{Because, Placement, Subject};
use crate::table::Seat;

/// A request that has arrived whole.
#[derive(Debug)]
pub(super) struct Arrival<'a> {
    pub(super) worker: &'a Rc<Worker>,
    pub(super) routing: &'a Routing,
    pub(super) route: &'a Route,
    pub(super) head: &'a Parts,
    /// Its path, and its query without our token.
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) body: &'a [u8],
    /// Our token's text, if its URL carried one.
    pub(super) token: Option<&'a str>,
    /// When it was ready to be sent.
    pub(super) at: Tick,
}

/// What it tells.
#[derive(Debug)]
pub(super) struct Told<'a> {
    event: Option<CallEvent<'a>>,
    /// What its URL tells.
    pub(super) hints: Hints,
    genuine: Genuine,
    /// It is evidence: genuine, and told for the first time.
    counts: bool,
}

impl<'a> Told<'a> {
    /// Reads it.
    pub(super) fn read(arrival: &Arrival<'a>, genuine: Genuine) -> Self {
        let headers = &arrival.head.headers;
        let said = protocol::Head {
            query: arrival.query,
            content_type: text(headers, header::CONTENT_TYPE),
            encoded: headers.contains_key(header::CONTENT_ENCODING),
        };
        // No provider uses another method; what does is passed on and is no call's.
        let mut event = match arrival.head.method {
            Method::GET | Method::POST => {
                protocol::recognize(arrival.route.protocol, &said, arrival.body)
            }
            _ => None,
        };
        let hints = hints(arrival);
        if let Some(event) = event.as_mut() {
            event.outbound |= hints.claimed.is_some();
        }
        // A forged event must not spend the id of one to come.
        let id = event.as_ref().and_then(|event| event.id.as_deref());
        let is_repeated = |id| arrival.worker.shared.table.repeated(id, arrival.at);
        let counts = genuine.counts && !id.is_some_and(is_repeated);
        Self {
            event,
            hints,
            genuine,
            counts,
        }
    }

    /// The key by which its tenant is found.
    pub(super) fn tenant_key<'b>(&'b self, arrival: &Arrival<'b>) -> Option<Cow<'b, str>> {
        let event = self.event.as_ref()?;
        let (head, query) = (arrival.head, arrival.query);
        tenants::resolve(
            &arrival.route.tenant,
            &event.keys,
            |name| head.headers.get(name)?.to_str().ok().map(Cow::Borrowed),
            |name| protocol::form::find(query.as_bytes(), name),
            arrival.path,
            event.outbound,
        )
    }

    /// The number of the person on the line.
    pub(super) fn caller(&self) -> Option<Cow<'_, str>> {
        let event = self.event.as_ref()?;
        tenants::caller(&event.keys, event.outbound)
    }

    /// What its placement is decided on; None: it is no webhook.
    pub(super) fn subject<'b>(
        &'b self,
        key: Option<&'b str>,
        caller: Option<&'b str>,
        settings: &'b Settings,
    ) -> Option<Subject<'b>> {
        let event = self.event.as_ref()?;
        Some(Subject {
            tenant: tenants::tenant(key, settings.directory.as_deref(), settings.unlisted),
            call: event.call.as_deref(),
            caller,
        })
    }

    /// Where it goes, and why; and if it says so, its call is over.
    pub(super) fn seat(&self, arrival: &Arrival<'_>, subject: Option<&Subject<'_>>) -> Seat {
        let (split, table) = (&arrival.routing.split, &arrival.worker.shared.table);
        let (Some(event), Some(subject)) = (&self.event, subject) else {
            return self.unrecognized(arrival.routing);
        };
        if !self.genuine.counts {
            // Anybody may write a mark; a token only we.
            let hints = Hints {
                claimed: None,
                ..self.hints
            };
            return table.peek(event, subject, hints, split);
        }
        // A repeat is as genuine as the first, which may never have left: a call that
        // begins with the repeat has begun. It only counts for nothing.
        let seat = table.place(event, subject, self.hints, split, arrival.at);
        if let EventKind::Final(end) = &event.kind
            && let Some(ended) = table.finish(event, end, arrival.at)
        {
            arrival.worker.note(Observation::Ended(ended));
        }
        seat
    }

    /// Does an emergency stop keep it from every backend? Only what somebody waits for.
    pub(super) fn is_stopped(&self, seat: &Seat) -> bool {
        match self.event.as_ref().map(|event| event.kind) {
            Some(EventKind::Start) => seat.is_stopped(true),
            Some(EventKind::Step) => seat.is_stopped(false),
            _ => false,
        }
    }

    /// Without a call a request goes where its token says: what a document plays is
    /// fetched without a word about the call. Else to legacy, which has always
    /// answered whatever else there is.
    fn unrecognized(&self, routing: &Routing) -> Seat {
        let legacy = Placement::legacy(Because::Unrecognized);
        let placement = (self.hints.token).map_or(legacy, |token| routing.split.follow(token));
        Seat::passing(placement, routing.split.generation)
    }

    /// What is accounted for.
    pub(super) fn webhook(
        &self,
        arrival: &Arrival<'_>,
        seat: &Seat,
        reaches_served: bool,
        arrived: Tick,
    ) -> Webhook {
        let facts = self.event.as_ref().map(|event| event.facts);
        let waits =
            |event: &CallEvent<'_>| matches!(event.kind, EventKind::Start | EventKind::Step);
        Webhook {
            route: arrival.route.number,
            kind: if self.event.as_ref().is_some_and(waits) {
                Kind::Voice
            } else {
                Kind::Event
            },
            speech: facts.and_then(|facts| facts.speech),
            choice: facts.filter(|_| seat.chose).and_then(|facts| facts.choice),
            counts: self.counts,
            reaches_served,
            arrived,
            ready: arrival.at,
        }
    }

    /// What may be done for it if its backend fails.
    pub(super) fn patient(&self, arrival: &Arrival<'_>, seat: &Seat) -> Patient {
        let event = self.event.as_ref();
        let facts = event.map(|event| event.facts).unwrap_or_default();
        let kind = event.map(|event| event.kind);
        let asks = self.asks();
        let rescue = &arrival.route.rescue;
        Patient {
            mode: rescue.mode,
            protocol: arrival.route.protocol,
            asks,
            starts: kind == Some(EventKind::Start),
            answered: seat.is_answered(),
            claimed: seat.is_claimed(),
            beside: facts.beside || seat.is_leg(),
            bridged: facts.connected,
            delegated: asks == Asks::Nothing && kind == Some(EventKind::Step),
            // A call that nobody remembers would be sent there for ever.
            has_entry: rescue.entry.is_some() && seat.key.is_some(),
        }
    }

    /// Is it of no call, and a thing that may be asked for anywhere: what a document plays?
    pub(super) fn is_media(&self, method: &Method) -> bool {
        self.event.is_none() && matches!(*method, Method::GET | Method::HEAD)
    }

    /// What a sound answer is.
    pub(super) fn asks(&self) -> Asks {
        self.event
            .as_ref()
            .map_or(Asks::Nothing, |event| event.asks)
    }

    /// Will its answer be looked into?
    pub(super) fn is_answer_read(&self) -> bool {
        !matches!(self.asks(), Asks::Nothing | Asks::Audio)
    }

    /// How much of its answer is taken whole, in bytes.
    pub(super) fn whole_max(&self) -> usize {
        match self.asks() {
            // A caller hears it as it comes.
            Asks::Audio => 0,
            Asks::Document | Asks::Nothing => document::MAX_BYTES,
            Asks::Assistant
            | Asks::Tools
            | Asks::Destination
            | Asks::Knowledge
            | Asks::Endpointing => document::vapi_reply::MAX_BYTES,
        }
    }

    /// What its answer is judged by.
    pub(super) fn verdict<'b>(&self, arrival: &Arrival<'b>) -> Verdict<'b> {
        Verdict {
            protocol: arrival.route.protocol,
            asks: self.asks(),
            recognized: self.event.is_some(),
            request: arrival.body,
            habits: arrival.routing.habits,
            method: &arrival.head.method,
            addresses: arrival.routing.settings.addresses.as_deref(),
            seen: &arrival.worker.seen,
        }
    }

    /// What the URLs in its answer carry, where the route hands out tokens.
    pub(super) fn token(
        &self,
        arrival: &Arrival<'_>,
        seat: &Seat,
        backend: Backend,
    ) -> Option<String> {
        (arrival.route.affinity == Affinity::Url && self.counts).then(|| {
            let began = began(self.hints.token, seat);
            arrival.routing.tokens.mint(Token { backend, began })
        })
    }
}

/// What the URL tells of the call.
fn hints(arrival: &Arrival<'_>) -> Hints {
    let wall = arrival.token.map_or_else(Wall::default, |_| clock::wall());
    Hints {
        claimed: claimed(&arrival.routing.settings, arrival.query),
        token: arrival
            .token
            .and_then(|text| arrival.routing.tokens.believe(text, wall)),
        wall,
    }
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
