//! From a backend's answer to the provider: judged, led home, passed on.

use bytes::Bytes;
use http::Response;

use crate::clock;
use crate::document::{rewrite, vapi_reply};
use crate::model::Tick;
use crate::protocol::Asks;
use crate::proxy::account::Account;
use crate::proxy::answer::Decoder;
use crate::proxy::body::{Long, Reply};
use crate::proxy::forward::{Delivery, Errand};
use crate::proxy::request::Busy;
use crate::proxy::timing;
use crate::proxy::upstream::{Answer, Body};
use crate::proxy::verdict::Verdict;

/// Judges what came back and passes it on.
///
/// `token` goes into the URLs of it that lead back to us.
pub(super) fn deliver(
    errand: &Errand<'_>,
    delivery: Delivery,
    verdict: &Verdict<'_>,
    token: Option<&str>,
    mut account: Account,
    deadline: Tick,
) -> Response<Reply> {
    let Delivery {
        answer: Answer { head, body },
        link,
        backend,
        at,
    } = delivery;
    let upstream = &errand.settings.backends[backend];
    account.took(timing::data_us(&head.headers));
    let reply = match body {
        Body::Whole(bytes) => {
            if head.reusable {
                errand.worker.pools[backend].give_back(upstream, link, at);
            }
            let sentence = verdict.on(head.status, &head.headers, Some(&bytes));
            sentence.pass(&mut account, at);
            let stays = !sentence.leads_away && token.is_none()
                || !verdict.is_read(head.status, &head.headers);
            let led_home = if stays {
                None
            } else {
                lead_home(verdict, &bytes, token)
            };
            Reply::Whole(led_home.unwrap_or(bytes))
        }
        Body::Long(first, decoder) => Reply::Long(Box::new(Long {
            left: match decoder {
                Decoder::Length(left) => Some(left + first.len() as u64),
                _ => None,
            },
            first,
            decoder,
            link: Some(link),
            reusable: head.reusable,
            deadline: Box::pin(tokio::time::sleep_until(clock::instant(deadline))),
            sentence: verdict.on(head.status, &head.headers, None),
            account,
            worker: errand.worker.clone(),
            backend,
            upstream: upstream.clone(),
            busy: Busy::new(errand.conn.clone()),
        })),
    };
    let mut response = Response::new(reply);
    *response.status_mut() = verdict.status_for_provider(head.status);
    *response.headers_mut() = head.headers;
    response
}

/// The answer with its URLs leading back to us; None: it passes as it is.
fn lead_home(verdict: &Verdict<'_>, body: &[u8], token: Option<&str>) -> Option<Bytes> {
    let addresses = verdict.addresses?;
    let rewritten = match verdict.asks {
        Asks::Document => rewrite::rewrite(body, addresses, token),
        asks => vapi_reply::rewrite(asks, body, addresses, token),
    };
    rewritten.map(Bytes::from)
}
