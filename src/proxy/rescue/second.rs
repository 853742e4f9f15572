//! Legacy is asked instead of new, or as well.

use std::pin::pin;

use futures_util::future::{Either, select};
use http::Response;

use super::late::{End, Late, tell_lost};
use super::{Came, Case, First, why};
use crate::calls::rescue::Remedy;
use crate::clock;
use crate::measure::{RescueResult, Why};
use crate::model::Backend;
use crate::proxy::account::{Account, Webhook};
use crate::proxy::body::Reply;
use crate::proxy::deliver::weigh;
use crate::proxy::forward;
use crate::proxy::upstream::Failure;
use crate::table::Seat;

/// What new may still have to say.
enum Rest {
    /// Nothing: it has failed.
    Nothing,
    /// Nobody knows yet.
    Waits(Box<Late>),
    /// It has answered meanwhile, or failed.
    Ended(End),
}

/// Does what can be done for a webhook that new failed, or is late with.
pub(super) async fn ask_legacy(
    case: &Case<'_>,
    remedy: Remedy,
    seat: Seat,
    first: First,
) -> Response<Reply> {
    let why = why(&first);
    let rest = match first {
        First::Came(came) => {
            case.discard(*came);
            Rest::Nothing
        }
        First::Answered(_) | First::Failed(_) => Rest::Nothing,
        First::Late(late, _) => Rest::Waits(late),
    };
    if remedy == Remedy::Entry
        && let Some(said) = case.entry(seat)
    {
        case.note(Backend::New, why, RescueResult::Moved);
        take_over(case, seat, rest);
        case.errand.conn.answered.set(clock::tick());
        return said;
    }
    // A call that was kept from new is asked of nobody else: no more load than a flip
    // would bring, which legacy's own cap bounds.
    if why == Why::Kept {
        return same(case, seat, why, rest).await;
    }
    match case.errand.worker.shared.gates.rescue() {
        Some(place) => {
            let response = same(case, seat, why, rest).await;
            // Legacy has done what it was asked for besides its own.
            drop(place);
            response
        }
        // As many are being rescued as may be: legacy is not to break under it.
        None => no_legacy(case, why, rest, Failure::timeout()).await,
    }
}

/// Puts the same to legacy.
async fn same(case: &Case<'_>, seat: Seat, why: Why, rest: Rest) -> Response<Reply> {
    let errand = case.errand;
    let begun = clock::tick();
    let mut legacy = seat.rescued();
    // What the caller said was counted where it was said first.
    let webhook = Webhook {
        speech: None,
        choice: None,
        ready: begun,
        ..case.webhook
    };
    let mut account = Account::open(errand.worker.clone(), webhook, legacy);
    let (asked, rest) = {
        let asked = forward::forward(errand, &mut legacy, begun, &mut account);
        let asked = pin!(errand.conn.within(case.deadline, asked));
        match rest {
            Rest::Waits(mut late) => match select(asked, &mut late.receiving).await {
                Either::Left((asked, _)) => (asked, Rest::Waits(late)),
                Either::Right((received, asked)) => {
                    let rest = Rest::Ended(late.end(received));
                    (asked.await, rest)
                }
            },
            rest => (asked.await, rest),
        }
    };
    match asked.unwrap_or_else(|| Err(account.out_of_time())) {
        Ok(delivery) => {
            let sentence = weigh(&delivery, &case.verdict);
            let came = Came {
                delivery,
                sentence,
                account,
            };
            if !came.will_do() {
                return no_legacy_but(case, why, rest, First::Came(Box::new(came))).await;
            }
            case.note(Backend::New, why, RescueResult::Served);
            take_over(case, seat, rest);
            case.pass_on(came)
        }
        Err(failure) => {
            account.fail(failure.cause);
            no_legacy(case, why, rest, failure).await
        }
    }
}

/// The call is legacy's from now on; new's part of it is brought to its end.
fn take_over(case: &Case<'_>, seat: Seat, rest: Rest) {
    let worker = case.errand.worker;
    let former = (seat.key).and_then(|key| worker.shared.table.rescue(key, clock::tick()));
    match rest {
        Rest::Nothing => tell_lost(worker, former),
        Rest::Waits(late) => late.see_out(former),
        Rest::Ended(end) => end.tell(worker, &case.errand.settings.backends.new, former),
    }
}

async fn no_legacy(case: &Case<'_>, why: Why, rest: Rest, failure: Failure) -> Response<Reply> {
    no_legacy_but(case, why, rest, First::Failed(failure)).await
}

/// Legacy could not answer either; `second` is what it had to say. New, if it was only
/// late, may still.
async fn no_legacy_but(case: &Case<'_>, why: Why, rest: Rest, second: First) -> Response<Reply> {
    let errand = case.errand;
    let end = match rest {
        Rest::Nothing => None,
        Rest::Ended(end) => Some(end),
        Rest::Waits(mut late) => {
            let waited = errand.conn.within(case.deadline, &mut late.receiving).await;
            Some(late.end(waited.unwrap_or_else(|| Err(Failure::timeout()))))
        }
    };
    match end {
        Some(End::Came(came)) if came.will_do() => {
            if let First::Came(second) = second {
                case.discard(*second);
            }
            case.note(Backend::New, why, RescueResult::Late);
            case.pass_on(*came)
        }
        end => {
            let said = case.nobody(Backend::New, why, true, second);
            if let Some(end) = end {
                end.tell(errand.worker, &errand.settings.backends.new, None);
            }
            said
        }
    }
}
