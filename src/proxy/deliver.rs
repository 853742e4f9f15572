//! From a backend's answer to the provider: judged, led home, passed on.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};

use crate::clock;
use crate::document::{rewrite, vapi_reply};
use crate::model::Tick;
use crate::protocol::Asks;
use crate::proxy::account::Account;
use crate::proxy::answer::Decoder;
use crate::proxy::body::{Long, Reply};
use crate::proxy::forward::{Delivery, Errand};
use crate::proxy::head::text;
use crate::proxy::request::Busy;
use crate::proxy::settings::Upstream;
use crate::proxy::timing;
use crate::proxy::upstream::{Answer, Body};
use crate::proxy::verdict::{Sentence, Verdict};
use crate::proxy::worker::Worker;

/// What an answer is worth.
pub(super) fn weigh(delivery: &Delivery, verdict: &Verdict<'_>) -> Sentence {
    let Answer { head, body } = &delivery.answer;
    let whole = match body {
        Body::Whole(bytes) => Some(&**bytes),
        Body::Long(..) => None,
    };
    verdict.on(head.status, &head.headers, whole)
}

/// Settles the account of an answer that nobody is given.
pub(super) fn discard(
    worker: &Worker,
    upstream: &Upstream,
    delivery: Delivery,
    sentence: &Sentence,
    account: &mut Account,
) {
    let head = &delivery.answer.head;
    account.took(timing::data_us(&head.headers));
    sentence.pass(account, delivery.at);
    // The rest of a long one is not waited for: its connection closes.
    if matches!(delivery.answer.body, Body::Whole(_)) && head.reusable {
        worker.pools[delivery.backend].give_back(upstream, delivery.link, delivery.at);
    }
}

/// Passes an answer on.
///
/// `token` goes into the URLs of it that lead back to us.
pub(super) fn deliver(
    errand: &Errand<'_>,
    delivery: Delivery,
    sentence: Sentence,
    verdict: &Verdict<'_>,
    token: Option<&str>,
    mut account: Account,
    deadline: Tick,
) -> Response<Reply> {
    let Delivery {
        answer: Answer { mut head, body },
        link,
        leave,
        backend,
        at,
    } = delivery;
    let upstream = &errand.settings.backends[backend];
    account.took(timing::data_us(&head.headers));
    if head.status.is_redirection() {
        lead_redirect_home(errand, &mut head.headers, token);
    }
    let reply = match body {
        Body::Whole(bytes) => {
            if head.reusable {
                errand.worker.pools[backend].give_back(upstream, link, at);
            }
            sentence.pass(&mut account, at);
            let may_change = sentence.is_read && (sentence.leads_away || token.is_some());
            let led_home = if may_change {
                lead_home(verdict, &bytes, token)
            } else {
                None
            };
            if token.is_some() && led_home.is_some() {
                keep_from_caches(&mut head.headers);
            }
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
            _leave: leave,
            reusable: head.reusable,
            deadline: Box::pin(tokio::time::sleep_until(clock::instant(deadline))),
            sentence,
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

/// What carries a call's token is for that call alone, and Twilio keeps documents.
fn keep_from_caches(headers: &mut HeaderMap) {
    for name in [header::ETAG, header::LAST_MODIFIED, header::EXPIRES] {
        headers.remove(name);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// A provider that follows a redirect asks whoever it names for the rest of the call.
fn lead_redirect_home(errand: &Errand<'_>, headers: &mut HeaderMap, token: Option<&str>) {
    let led_home = (|| {
        let addresses = errand.settings.addresses.as_deref()?;
        let url = addresses.lead_home(text(headers, header::LOCATION)?, token)?;
        HeaderValue::try_from(url).ok()
    })();
    if let Some(url) = led_home {
        headers.insert(header::LOCATION, url);
        if token.is_some() {
            keep_from_caches(headers);
        }
    }
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
