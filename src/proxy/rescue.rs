//! A caller never pays: what new fails, legacy answers, and what nobody answers, we do.
//!
//! New is asked first. When it fails, or takes longer than `rescue_after`, or everything
//! goes to legacy while a call's first webhook waits for it, legacy is asked the same (or
//! the caller is sent to legacy's entry), as far as [`calls::rescue`](crate::calls::rescue)
//! allows it. What new still says then is awaited and measured apart from the caller, and
//! only used if legacy fails. When both fail the caller hears the route's last resort.

mod late;
mod media;
mod second;
mod stopped;
mod words;

use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::Response;
use tokio::sync::futures::Notified;

use crate::calls::rescue::{Patient, Remedy};
use crate::clock;
use crate::measure::{Observation, RescueResult, Rescued, Why};
use crate::model::{Backend, CallKey, Protocol, Tick};
use crate::protocol::Asks;
use crate::proxy::Routing;
use crate::proxy::account::{Account, Webhook};
use crate::proxy::body::Reply;
use crate::proxy::deliver::{deliver, discard, weigh};
use crate::proxy::forward::{self, Delivery, Errand};
use crate::proxy::request::no_answer;
use crate::proxy::told::{Arrival, Told};
use crate::proxy::upstream::Failure;
use crate::proxy::verdict::{Sentence, Verdict};
use crate::table::Seat;
use late::{Late, Receiving};

/// How long Vapi waits for an assistant, less half a second for the way.
const ASSISTANT: Duration = Duration::from_secs(7);
/// How long Twilio waits for a document, less a second for the way.
const TWIML: Duration = Duration::from_secs(14);

/// One webhook on its way to an answer.
#[derive(Debug)]
pub(super) struct Case<'a> {
    pub(super) errand: &'a Errand<'a>,
    pub(super) arrival: &'a Arrival<'a>,
    pub(super) told: &'a Told<'a>,
    pub(super) verdict: Verdict<'a>,
    pub(super) webhook: Webhook,
    pub(super) patient: Patient,
    /// Its call, if it names one.
    pub(super) call: Option<CallKey>,
    /// For what outlives the request.
    pub(super) routing: &'a Arc<Routing>,
    /// The same.
    pub(super) body: &'a Bytes,
    /// When the provider must have been answered.
    pub(super) deadline: Tick,
}

/// What came of asking the webhook's own backend.
#[derive(Debug)]
enum First {
    /// A good answer, which the provider gets.
    Answered(Response<Reply>),
    /// An answer that will not do.
    Came(Box<Came>),
    /// None; its account is settled.
    Failed(Failure),
    /// It may still answer.
    Late(Box<Late>, Why),
}

/// An answer that was weighed; its account is open.
#[derive(Debug)]
struct Came {
    delivery: Delivery,
    sentence: Sentence,
    account: Account,
}

/// When a provider must have been answered, whoever answers.
pub(super) fn deadline(arrival: &Arrival<'_>, asks: Asks) -> Tick {
    let patience = match (arrival.route.protocol, asks) {
        (Protocol::Vapi, Asks::Assistant) => ASSISTANT,
        (Protocol::Twilio, Asks::Document) => TWIML,
        _ => Duration::MAX,
    };
    arrival.at + patience.min(arrival.route.timeout)
}

/// Answers a webhook.
pub(super) async fn answer(case: &Case<'_>, mut seat: Seat, account: Account) -> Response<Reply> {
    let remedy = match seat.placement.backend {
        Backend::New => case.patient.remedy(),
        Backend::Legacy => Remedy::None,
    };
    let first = case.ask(remedy, &mut seat, account).await;
    let remedy = match &first {
        // Placed anew just before it left, it is legacy's like any other.
        _ if seat.placement.backend == Backend::Legacy => Remedy::None,
        // A call that has not begun there loses nothing by beginning elsewhere.
        First::Failed(failure) if failure.is_kept() && seat.is_new_call() => Remedy::Same,
        _ => remedy,
    };
    match first {
        First::Answered(response) => response,
        // On the heap, so that other requests do not carry room for it.
        first if remedy != Remedy::None => {
            Box::pin(second::ask_legacy(case, remedy, seat, first)).await
        }
        first if case.told.is_media(case.verdict.method) => {
            Box::pin(media::ask_the_other(case, seat, first)).await
        }
        first => case.nobody(seat.placement.backend, why(&first), false, first),
    }
}

impl Case<'_> {
    /// Asks the webhook's own backend. New, if there is a remedy, has no longer than
    /// `rescue_after`; whoever else has all the time there is.
    async fn ask(&self, remedy: Remedy, seat: &mut Seat, mut account: Account) -> First {
        let Errand { worker, conn, .. } = self.errand;
        let is_watched = remedy != Remedy::None;
        let until = match is_watched {
            true => self.late_at(),
            false => self.deadline,
        };
        // Before the last look at the latch, so that none comes in between unheard.
        let flip = is_watched.then(|| Box::pin(worker.flips.notified()));
        let sent = {
            let sending = forward::send(self.errand, seat, self.arrival.at, &mut account);
            conn.within(until, pin!(sending)).await
        };
        let sent = match sent {
            Some(Ok(sent)) => sent,
            Some(Err(failure)) => return self.first(Err(failure), account),
            None if is_watched && account.is_unreached() => {
                return self.first(Err(Failure::unreached()), account);
            }
            // It waits for a place, or the backend does not even take the request.
            None => return self.first(Err(account.out_of_time()), account),
        };
        let is_new = sent.backend == Backend::New;
        let receiving = forward::receive(
            Rc::clone(worker),
            sent,
            self.verdict.method.clone(),
            self.errand.whole_max,
        );
        match flip {
            Some(flip) if is_new => {
                let flip = (remedy == Remedy::Same && !self.patient.answered).then_some(flip);
                // Of its own, so that it can go on without this request.
                self.watch(Box::pin(receiving), flip, until, account).await
            }
            _ => {
                let received = conn.within(self.deadline, pin!(receiving)).await;
                self.first(received.unwrap_or_else(|| Err(Failure::timeout())), account)
            }
        }
    }

    /// Waits for new, as long as it has, or until everything goes to legacy.
    async fn watch(
        &self,
        mut receiving: Receiving,
        flip: Option<Pin<Box<Notified<'_>>>>,
        until: Tick,
        account: Account,
    ) -> First {
        let flip = pin!(async {
            match flip {
                Some(flip) => flip.await,
                None => std::future::pending().await,
            }
        });
        let watched = select(&mut receiving, flip);
        let why = match self.errand.conn.within(until, watched).await {
            Some(Either::Left((received, _))) => return self.first(received, account),
            Some(Either::Right(_)) => Why::Flip,
            None => Why::Late,
        };
        First::Late(Box::new(Late::new(self, receiving, account)), why)
    }

    /// When an answer of new is late.
    fn late_at(&self) -> Tick {
        let after = self.arrival.route.rescue.after;
        self.deadline.min(self.arrival.at + after)
    }

    fn first(&self, received: Result<Delivery, Failure>, mut account: Account) -> First {
        let delivery = match received {
            Ok(delivery) => delivery,
            Err(failure) => {
                account.fail(failure.cause);
                return First::Failed(failure);
            }
        };
        let came = Came {
            sentence: weigh(&delivery, &self.verdict),
            delivery,
            account,
        };
        if came.will_do() {
            return First::Answered(self.pass_on(came));
        }
        First::Came(Box::new(came))
    }

    /// The provider gets what came.
    fn pass_on(&self, came: Came) -> Response<Reply> {
        self.errand.conn.answered.set(came.delivery.at);
        let backend = came.delivery.backend;
        let seat = came.account.seat();
        let token = self.told.token(self.arrival, &seat, backend);
        deliver(
            self.errand,
            came.delivery,
            came.sentence,
            &self.verdict,
            token.as_deref(),
            came.account,
            self.deadline,
        )
    }

    /// Is its call to be taken from new now, because a step back said that live calls
    /// are moved? One that has not begun is placed anew when it does.
    pub(super) fn moves(&self, seat: &Seat) -> bool {
        let split = &self.routing.split;
        split.moves_live
            && seat.placement.backend == Backend::New
            && seat.key.is_some()
            && !seat.starting
            && self.patient.may_move()
            && (self.errand.subject)
                .is_some_and(|subject| split.place(subject).backend == Backend::Legacy)
    }

    /// Sends the caller to legacy's entry. None: another webhook was faster.
    pub(super) fn move_now(&self, seat: Seat) -> Option<Response<Reply>> {
        let said = self.entry(seat)?;
        let now = clock::tick();
        self.errand.worker.shared.table.rescue(seat.key?, now)?;
        self.errand.conn.answered.set(now);
        self.note(Backend::New, Why::Flip, RescueResult::Moved);
        Some(said)
    }

    /// Nobody gets what came.
    fn discard(&self, came: Came) {
        let Came {
            delivery,
            sentence,
            mut account,
        } = came;
        let upstream = &self.errand.settings.backends[delivery.backend];
        discard(
            self.errand.worker,
            upstream,
            delivery,
            &sentence,
            &mut account,
        );
    }

    /// Nobody could answer: the caller hears the last resort. Where there is none, or
    /// nobody waits, the provider is told of the failure.
    fn nobody(&self, from: Backend, why: Why, tried: bool, first: First) -> Response<Reply> {
        self.errand.conn.answered.set(clock::tick());
        let said = self.last_resort();
        match &said {
            Some(_) => self.note(from, why, RescueResult::LastResort),
            // That a backend failed is told elsewhere; here, that its rescue did too.
            None if tried => self.note(from, why, RescueResult::Failed),
            None => {}
        }
        match (said, first) {
            (Some(said), First::Came(came)) => {
                self.discard(*came);
                said
            }
            (Some(said), _) => said,
            (None, First::Came(came)) => self.pass_on(*came),
            (None, First::Answered(response)) => response,
            (None, First::Failed(failure)) => no_answer(&failure),
            (None, First::Late(..)) => no_answer(&Failure::timeout()),
        }
    }

    /// Tells what became of a rescue.
    fn note(&self, from: Backend, why: Why, result: RescueResult) {
        let at = match why {
            // Before whatever else is told of that answer: see `Late`.
            Why::Late => self.late_at(),
            Why::Failed | Why::Kept | Why::Flip => clock::tick(),
        };
        self.errand.worker.note(Observation::Rescued(Rescued {
            at,
            route: self.webhook.route,
            call: self.call,
            from,
            why,
            result,
            counts: self.webhook.counts,
        }));
    }
}

impl Came {
    /// Will it do for the caller? What legacy says itself is never replaced because of a
    /// flaw that we see in it: whatever it is, it was good enough until now.
    fn will_do(&self) -> bool {
        let legacys = self.delivery.backend == Backend::Legacy
            && self.delivery.answer.head.status.as_u16() < 400;
        legacys || self.sentence.is_served() || self.sentence.says_error()
    }
}

/// Why somebody else was asked.
const fn why(first: &First) -> Why {
    match first {
        First::Answered(_) | First::Came(_) => Why::Failed,
        First::Failed(failure) if failure.is_kept() => Why::Kept,
        First::Failed(_) => Why::Failed,
        First::Late(_, why) => *why,
    }
}
