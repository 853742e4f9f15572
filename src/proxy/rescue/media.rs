//! What a document plays is fetched without a word about the call.
//!
//! The two backends may hold different files, and nothing in the request says whose
//! document named it. Fetching a file does nothing twice, so the other one is asked when
//! the first does not have it.

use http::{Response, StatusCode};

use super::{Came, Case, First, why};
use crate::clock;
use crate::measure::Kind;
use crate::model::Backend;
use crate::proxy::account::{Account, Webhook};
use crate::proxy::body::Reply;
use crate::proxy::deliver::weigh;
use crate::proxy::forward;
use crate::split::{Because, Placement};
use crate::table::Seat;

/// Asks the other backend for what the first did not have, or could not give.
pub(super) async fn ask_the_other(case: &Case<'_>, seat: Seat, first: First) -> Response<Reply> {
    let asked = seat.placement.backend;
    if let First::Came(came) = &first
        && !is_lacking(came.delivery.answer.head.status)
    {
        return case.nobody(asked, why(&first), false, first);
    }
    let placement = Placement {
        backend: match asked {
            Backend::Legacy => Backend::New,
            Backend::New => Backend::Legacy,
        },
        because: Because::Unrecognized,
    };
    let mut other = Seat::passing(placement, seat.generation);
    let begun = clock::tick();
    let webhook = Webhook {
        ready: begun,
        kind: Kind::Event,
        ..case.webhook
    };
    let mut account = Account::open(case.errand.worker.clone(), webhook, other);
    let fetched = forward::forward(case.errand, &mut other, begun, &mut account);
    let fetched = case.errand.conn.within(case.deadline, fetched).await;
    match fetched {
        Some(Ok(delivery)) => {
            let second = Came {
                sentence: weigh(&delivery, &case.verdict),
                delivery,
                account,
            };
            if !second.delivery.answer.head.status.is_success() {
                case.discard(second);
                return case.nobody(asked, why(&first), false, first);
            }
            if let First::Came(came) = first {
                case.discard(*came);
            }
            case.pass_on(second)
        }
        failed => {
            let failure = failed
                .and_then(Result::err)
                .unwrap_or_else(|| account.out_of_time());
            account.fail(failure.cause);
            case.nobody(asked, why(&first), false, first)
        }
    }
}

/// Is it not there, or could it not be given?
fn is_lacking(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) || status.is_server_error()
}
