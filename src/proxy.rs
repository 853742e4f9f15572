//! The public edge: from a provider's request to a backend's answer.
//!
//! In the order of a request's life: [`listener`] and [`worker`] take the
//! connection, `wire` and `framing` watch its bytes and its time below hyper,
//! `strict` refuses what must not be relayed, and `request` tells the rest of
//! the story: `genuine` looks at the signature, `told` at the call and where it goes,
//! `rescue` sees to it that the caller gets an answer: `forward` carries the request to
//! its backend over `upstream` and `pool`, `deliver` has the answer judged (`verdict`) and
//! led home, and `account` says, exactly once, how it went. Where a request is a handshake, `stream` and `websocket` take over.
//!
//! Beside it all, [`checks`] asks each backend how it is.
//!
//! Everything of one request runs in one task on one core. What a worker shares
//! with anybody is in [`Shared`], and nothing else.

pub mod checks;
pub mod listener;
pub mod pulse;
pub mod settings;
pub mod sources;
pub mod tls;
pub mod worker;

mod account;
mod answer;
mod body;
mod collect;
mod deliver;
mod forward;
mod framing;
mod genuine;
mod head;
mod http2;
mod peer;
mod pool;
mod request;
mod rescue;
mod stream;
mod strict;
mod timing;
mod told;
mod transport;
mod upstream;
mod verdict;
mod websocket;
mod wire;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::breaker;
use crate::document::FlawSet;
use crate::gate::Gates;
use crate::model::{PerBackend, Tick};
use crate::proxy::pulse::Pulse;
use crate::proxy::settings::Settings;
use crate::proxy::sources::Sources;
use crate::split::Split;
use crate::split::token::TokenKey;
use crate::table::Table;
use crate::tally::Tally;
use crate::trust::Trust;

/// The snapshot that requests read. Immutable; any change publishes a new one,
/// and a request keeps the one it began with (except for the last look at the
/// latch, just before the first byte of a new call leaves).
#[derive(Clone, Debug)]
pub struct Routing {
    /// What places a new call.
    pub split: Split,
    /// Since when everything goes to legacy, by the monotonic clock; None: it does not.
    pub latched_at: Option<Tick>,
    /// Which backends are asked. Of new calls only: one that is under way has nobody
    /// else to ask, unless its route says so.
    pub breakers: PerBackend<breaker::State>,
    /// Flaws that legacy itself shows so often that they are only a warning.
    pub habits: FlawSet,
    /// Everything else the edge obeys.
    pub settings: Arc<Settings>,
    /// Signs and reads the tokens in URLs.
    pub tokens: Arc<TokenKey>,
}

/// All that workers share with each other and with the engine.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The snapshot in force.
    pub routing: Arc<ArcSwap<Routing>>,
    /// Which call is on which backend.
    pub table: Arc<Table>,
    /// Where observations go.
    pub tally: Arc<Tally>,
    /// How much each backend is asked at once.
    pub gates: Arc<Gates>,
    /// Which signatures came before, and on which routes any was right.
    pub trust: Arc<Trust>,
    /// Rises whenever everything is sent to legacy: first webhooks that wait for new wait
    /// no longer.
    pub flips: Arc<watch::Sender<u64>>,
    /// How many workers there are: each takes its part of the connection limit.
    pub workers: usize,
    /// Who has how many connections open.
    pub sources: Arc<Sources>,
    /// That the workers turn, and what goes wrong that is nobody's fault but ours.
    pub pulse: Arc<Pulse>,
    /// The public sockets belong to a supervisor that outlives us: what is in their
    /// queues at the end is for whoever comes next.
    pub inherited: bool,
}
