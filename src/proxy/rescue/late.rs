//! What new still says when somebody else has answered.
//!
//! Its caller does not wait for it any more, but the tables want to know whether it was
//! slow or dead.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;

use super::{Came, Case};
use crate::calls::Call;
use crate::clock;
use crate::measure::{Cause, Observation};
use crate::model::{Protocol, Tick};
use crate::protocol::Asks;
use crate::proxy::Routing;
use crate::proxy::account::Account;
use crate::proxy::deliver::{discard, weigh};
use crate::proxy::forward::Delivery;
use crate::proxy::settings::Upstream;
use crate::proxy::upstream::Failure;
use crate::proxy::verdict::Verdict;
use crate::proxy::worker::Worker;

/// So many late answers one worker waits for at once; what is late beside them counts as
/// failed at once. A new that is late with more than that is no borderline case.
const LATES_MAX: usize = 1024;

/// An answer that is being received.
pub(super) type Receiving = Pin<Box<dyn Future<Output = Result<Delivery, Failure>>>>;

/// A webhook that new may still answer.
pub(super) struct Late {
    /// What comes.
    pub(super) receiving: Receiving,
    /// How it went, as far as new is concerned.
    pub(super) account: Account,
    worker: Rc<Worker>,
    routing: Arc<Routing>,
    protocol: Protocol,
    asks: Asks,
    method: Method,
    body: Bytes,
    /// When new has failed.
    until: Tick,
}

impl std::fmt::Debug for Late {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Late")
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

impl Late {
    pub(super) fn new(case: &Case<'_>, receiving: Receiving, account: Account) -> Self {
        Self {
            receiving,
            account,
            worker: case.errand.worker.clone(),
            routing: case.routing.clone(),
            protocol: case.verdict.protocol,
            asks: case.verdict.asks,
            method: case.verdict.method.clone(),
            body: case.body.clone(),
            until: case.arrival.at + case.arrival.route.timeout,
        }
    }

    /// What came, weighed; nothing of it is told yet.
    pub(super) fn end(self, received: Result<Delivery, Failure>) -> End {
        match received {
            Ok(delivery) => End::Came(Box::new(Came {
                sentence: weigh(&delivery, &self.verdict()),
                delivery,
                account: self.account,
            })),
            Err(failure) => End::Failed(self.account, failure.cause),
        }
    }

    /// Waits for it apart from the request. `former` is its call as it was before it was
    /// rescued; if new has failed it, that is told too.
    pub(super) fn see_out(self, former: Option<Call>) {
        let worker = self.worker.clone();
        if worker.lates.get() >= LATES_MAX {
            let new = &self.routing.clone().settings.backends.new;
            return self.end(Err(Failure::timeout())).tell(&worker, new, former);
        }
        worker.lates.set(worker.lates.get() + 1);
        let task = async move {
            let mut late = self;
            let until = clock::instant(late.until);
            let received = tokio::time::timeout_at(until, &mut late.receiving).await;
            let (worker, routing) = (late.worker.clone(), late.routing.clone());
            let end = late.end(received.unwrap_or_else(|_| Err(Failure::timeout())));
            end.tell(&worker, &routing.settings.backends.new, former);
            worker.lates.set(worker.lates.get() - 1);
        };
        // Nobody waits for the task; it ends by itself at `until`.
        worker.apart(task);
    }

    fn verdict(&self) -> Verdict<'_> {
        Verdict {
            protocol: self.protocol,
            asks: self.asks,
            recognized: true,
            request: &self.body,
            habits: self.routing.habits,
            method: &self.method,
            addresses: None,
            seen: &self.worker.seen,
        }
    }
}

/// How it ended.
#[derive(Debug)]
pub(super) enum End {
    /// An answer came after all.
    Came(Box<Came>),
    /// None came.
    Failed(Account, Cause),
}

impl End {
    /// Tells it, and if it is a failure, that new has lost the call. Only after the
    /// rescue itself was told: a breaker has heard then that new was late, and does not
    /// take this for another failure.
    pub(super) fn tell(self, worker: &Worker, new: &Upstream, former: Option<Call>) {
        let failed = match self {
            Self::Came(mut came) => {
                came.account.leave(former);
                let failed = !came.sentence.is_served();
                discard(
                    worker,
                    new,
                    came.delivery,
                    &came.sentence,
                    &mut came.account,
                );
                failed
            }
            Self::Failed(mut account, cause) => {
                account.leave(former);
                account.fail(cause);
                true
            }
        };
        if failed {
            tell_lost(worker, former);
        }
    }
}

/// New has lost a call.
pub(super) fn tell_lost(worker: &Worker, former: Option<Call>) {
    if let Some(lost) = former.and_then(|call| call.lost(clock::tick())) {
        worker.note(Observation::Ended(lost));
    }
}
