//! From a placed webhook to a backend's answer.
//!
//! The latch is looked at once more just before the first byte of a new call leaves.

use std::rc::Rc;
use std::time::Duration;

use http::Method;

use crate::breaker;
use crate::clock;
use crate::gate::{Permit, Trial};
use crate::measure::{Cause, Kind, Observation};
use crate::model::{Backend, PerBackend, Tick};
use crate::protocol::signature::TwilioToken;
use crate::proxy::account::Account;
use crate::proxy::head::Outgoing;
use crate::proxy::pool::{Link, Pool};
use crate::proxy::settings::{Settings, Upstream};
use crate::proxy::upstream::{self, Answer, Failure};
use crate::proxy::wire::Conn;
use crate::proxy::worker::{Scratch, Worker};
use crate::split::{Because, Placement, Subject, Token};
use crate::table::Seat;

/// A body up to this size goes out in one write with its head; a longer one is not
/// copied.
const TOGETHER: usize = 16 * 1024;

/// What read the routing just before a latch may leave so long after it.
const ON_ITS_WAY: Duration = Duration::from_millis(50);

/// Everything forwarding needs that does not change on the way.
#[derive(Debug)]
pub(super) struct Errand<'a> {
    pub(super) worker: &'a Rc<Worker>,
    pub(super) conn: &'a Rc<Conn>,
    pub(super) settings: &'a Settings,
    pub(super) breakers: PerBackend<breaker::State>,
    /// Whether a caller waits.
    pub(super) kind: Kind,
    pub(super) outgoing: Outgoing<'a>,
    pub(super) body: &'a [u8],
    pub(super) subject: Option<&'a Subject<'a>>,
    /// What its URL remembers of the call.
    pub(super) token: Option<Token>,
    /// Signs it anew for the backend's own URL.
    pub(super) resign: Option<&'a TwilioToken>,
    /// The longest answer that is taken whole, to be judged; a longer one passes by.
    pub(super) whole_max: usize,
}

/// Leave to ask a backend; given back when the answer is whole or there will be none.
#[derive(Debug)]
pub(super) struct Leave {
    _permit: Permit,
    _trial: Option<Trial>,
}

/// A request that has left.
#[derive(Debug)]
pub(super) struct Sent {
    link: Link,
    leave: Leave,
    /// Where to.
    pub(super) backend: Backend,
}

/// What came back, and from where.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) answer: Answer,
    pub(super) link: Link,
    pub(super) leave: Leave,
    pub(super) backend: Backend,
    pub(super) at: Tick,
}

/// Sends the request to the backend of its seat and reads the answer.
///
/// # Errors
///
/// As [`send`] and [`receive`].
pub(super) async fn forward(
    errand: &Errand<'_>,
    seat: &mut Seat,
    ready: Tick,
    account: &mut Account,
) -> Result<Delivery, Failure> {
    let sent = send(errand, seat, ready, account).await?;
    let method = errand.outgoing.head.method.clone();
    receive(errand.worker.clone(), sent, method, errand.whole_max).await
}

/// Sends the request to the backend of its seat, which is another one afterwards if the
/// routing has changed.
///
/// It is written a second time only if no byte of it went out the first time.
///
/// # Errors
///
/// There is no connection, or it died while the request was written; or a new call is
/// kept from the backend ([`Failure::kept`]).
pub(super) async fn send(
    errand: &Errand<'_>,
    seat: &mut Seat,
    ready: Tick,
    account: &mut Account,
) -> Result<Sent, Failure> {
    let Errand {
        worker, settings, ..
    } = errand;
    // Until its table entry says that the call has started.
    let mut unstarted = errand.subject.filter(|_| seat.starting);
    let mut used_ones = true;
    loop {
        let backend = seat.placement.backend;
        account.lines_up(true);
        let leave = errand.admit(seat).await?;
        account.lines_up(false);
        let to = &settings.backends[backend];
        let pool = &worker.pools[backend];
        let waiting = if used_ones {
            pool.take(to, ready)
        } else {
            None
        };
        let mut link = match waiting {
            Some(link) => link,
            None => connect(worker, pool, to, backend).await?,
        };
        // Before the byte leaves: a reversal may have come while we waited for the
        // body or a connection.
        let now = worker.shared.routing.load();
        if let Some(subject) = unstarted.take() {
            let table = &worker.shared.table;
            table.start(seat, subject, &now.split, clock::tick());
            if seat.placement.backend != backend {
                account.reseat(*seat);
                pool.give_back(to, link, clock::tick());
                continue;
            }
        }
        if seat.starting && now.split.latched && is_new_on_new(seat.placement) {
            // It came while we waited for this connection, when the table had said its
            // word already. Nothing was sent yet, so the table says it once more.
            worker.shared.table.unstart(seat);
            unstarted = errand.subject;
            pool.give_back(to, link, clock::tick());
            continue;
        }
        if seat.key.is_none() && now.split.latched && is_placed_anew(seat.placement) {
            // No call remembers it, so nothing but this keeps it from new, and nothing
            // but a token on new.
            let token = errand
                .token
                .filter(|_| seat.placement.because == Because::Token);
            seat.placement = token.map_or(Placement::legacy(Because::Latched), |token| {
                now.split.follow(token)
            });
            if seat.placement.backend != backend {
                account.reseat(*seat);
                pool.give_back(to, link, clock::tick());
                continue;
            }
        }
        drop(now);
        let begins_on_new = seat.starting && is_new_on_new(seat.placement);
        let after_latch = begins_on_new && is_after(worker.shared.routing.load().latched_at);
        account.sent(*seat, seat.starting, after_latch);
        let mut scratch = worker.scratch();
        write_message(&mut scratch, errand, to);
        let sent = upstream::send(&mut link, &scratch.message, apart(errand.body)).await?;
        // While the backend thinks, this request holds no buffer.
        worker.keep(scratch);
        if sent {
            return Ok(Sent {
                link,
                leave,
                backend,
            });
        }
        pool.lost(&link, clock::tick());
        used_ones = false;
    }
}

/// Reads the answer to a request that has left. It borrows nothing, so that it can go on
/// when the request it belongs to has been answered by somebody else.
///
/// # Errors
///
/// No whole answer came.
pub(super) async fn receive(
    worker: Rc<Worker>,
    sent: Sent,
    method: Method,
    whole_max: usize,
) -> Result<Delivery, Failure> {
    let Sent {
        mut link,
        leave,
        backend,
    } = sent;
    upstream::wait(&mut link).await?;
    let mut scratch = worker.scratch();
    let received = upstream::receive(&mut link, &mut scratch.input, &method, whole_max).await;
    worker.keep(scratch);
    let answer = received.inspect_err(|failure| {
        if failure.cause == Cause::Stale {
            worker.pools[backend].lost(&link, clock::tick());
        }
    })?;
    Ok(Delivery {
        answer,
        link,
        leave,
        backend,
        at: clock::tick(),
    })
}

impl Errand<'_> {
    /// Leave to be sent where its seat is: past the breaker, which no call that is under
    /// way has to ask, and into the backend's gate.
    async fn admit(&self, seat: &Seat) -> Result<Leave, Failure> {
        let backend = seat.placement.backend;
        let gate = &self.worker.shared.gates[backend];
        // With legacy out as well, new is as good a guess as any.
        let has_choice = self.breakers.legacy != breaker::State::Open;
        let is_new_on_new = backend == Backend::New && seat.is_new_call() && has_choice;
        let trial = match self.breakers.new {
            breaker::State::Open if is_new_on_new => return Err(Failure::kept(Cause::Breaker)),
            breaker::State::HalfOpen if is_new_on_new => {
                let trial = gate.trial();
                Some(trial.ok_or_else(|| Failure::kept(Cause::Breaker))?)
            }
            _ => None,
        };
        let permit = gate.enter(self.kind).await;
        Ok(Leave {
            _permit: permit.map_err(|_| Failure::kept(Cause::Full))?,
            _trial: trial,
        })
    }
}

/// Does a new call leave for new although everything has been going to legacy for a
/// while? It is asked by another clock than the one that keeps it from happening, so that
/// a count of 0 proves something.
fn is_after(latched_at: Option<Tick>) -> bool {
    latched_at.is_some_and(|at| clock::tick().since(at) > ON_ITS_WAY)
}

/// Would this be a new call on new? Legs of a call that is there already, and
/// calls that new began itself, are not.
fn is_new_on_new(placement: Placement) -> bool {
    placement.backend == Backend::New
        && !matches!(placement.because, Because::Inherited | Because::Claimed)
}

/// Was it the split that chose, just now?
fn is_placed_anew(placement: Placement) -> bool {
    placement.backend == Backend::New
        && matches!(
            placement.because,
            Because::Hashed | Because::Enabled | Because::Token
        )
}

/// Opens a connection, and tells how long the network took over it.
async fn connect(
    worker: &Worker,
    pool: &Pool,
    to: &Upstream,
    backend: Backend,
) -> Result<Link, Failure> {
    let connected = pool.connect(to).await;
    let link = connected.map_err(|error| worker.no_connection(error))?;
    let took = link.took.as_micros();
    worker.note(Observation::Connected {
        backend,
        took_us: u32::try_from(took).unwrap_or(u32::MAX),
    });
    Ok(link)
}

fn write_message(scratch: &mut Scratch, errand: &Errand<'_>, to: &Upstream) {
    scratch.message.clear();
    let outgoing = Outgoing {
        upstream: to,
        ..errand.outgoing
    };
    let signature = errand.resign.map(|by| outgoing.signed_by(by, errand.body));
    outgoing.write(signature.as_ref(), &mut scratch.message);
    if apart(errand.body).is_empty() {
        scratch.message.extend_from_slice(errand.body);
    }
}

/// What of a body does not go out together with its head.
fn apart(body: &[u8]) -> &[u8] {
    if body.len() > TOGETHER { body } else { &[] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_call_on_new_is_after_the_latch_once_nothing_can_be_on_its_way_any_more() {
        let now = clock::tick();
        let ago = |ms: u64| Some(Tick(now.0 - ms * 1000));
        assert!(!is_after(None));
        assert!(!is_after(ago(0)), "it had left, or as good as");
        assert!(is_after(ago(60)));
    }
}
