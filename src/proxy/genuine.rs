//! Is a webhook genuine? Looked at before anything is remembered of it.

use http::StatusCode;
use http::header;
use http::request::Parts;

use crate::clock;
use crate::measure::{Checked, Found, Observation};
use crate::protocol::signature::Signed;
use crate::proxy::head::text;
use crate::proxy::peer::Peer;
use crate::proxy::settings::{PublicUrl, Route};
use crate::proxy::strict::Refusal;
use crate::proxy::websocket;
use crate::proxy::worker::Worker;
use crate::split::token;

/// What is known of a webhook's origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Genuine {
    /// It is evidence: it may pin a call and count in windows.
    pub(super) counts: bool,
    /// The provider signed it.
    pub(super) verified: bool,
}

/// A stream's handshake, or what a document plays: providers need not sign those, and
/// they count in no window anyway. A webhook has something to say.
fn is_no_webhook(head: &Parts, target: &str, body: &[u8]) -> bool {
    let asks = || match token::strip(target) {
        Some((left, _)) => left.contains('?'),
        None => target.contains('?'),
    };
    websocket::is_handshake(head) || body.is_empty() && !asks()
}

/// Looks at the signature, as the route wants it. `target` is as received.
///
/// # Errors
///
/// The route takes no such webhook: 403, and nothing of it is remembered.
pub(super) fn check(
    worker: &Worker,
    route: &Route,
    (public, peer): (Option<&PublicUrl>, Peer),
    head: &Parts,
    target: &str,
    body: &[u8],
) -> Result<Genuine, Refusal> {
    let Some(verify) = &route.verify else {
        return Ok(Genuine {
            counts: true,
            verified: false,
        });
    };
    let received = || text(&head.headers, header::HOST).unwrap_or_default();
    let signed = Signed {
        method: head.method.as_str(),
        scheme: public.map_or_else(|| peer.scheme(), |public| &public.scheme),
        authority: public.map_or_else(received, |public| &public.authority),
        target,
        headers: &head.headers,
        body,
    };
    let (now, trust) = (clock::tick(), &worker.shared.trust);
    let finding = verify.verifier.verify(&signed, clock::wall());
    let found = match finding.once {
        Some(once) if finding.found == Found::Verified && trust.seen(once, now) => Found::Replayed,
        _ => finding.found,
    };
    let ruling = verify.mode.rule(found, trust.has_verified(route.number));
    if found == Found::Verified {
        trust.verified(route.number);
    }
    worker.note(Observation::Checked(Checked {
        at: now,
        route: route.number,
        found,
        counts: ruling.counts || is_no_webhook(head, target, body),
        refused: ruling.refuse,
    }));
    if found != Found::Verified {
        // At night, with a key that may be wrong, the reason is what one looks for.
        tracing::debug!(
            route = route.path,
            found = found.name(),
            why = finding.why,
            refused = ruling.refuse,
            "A webhook is not known to be genuine."
        );
    }
    if ruling.refuse {
        return Err(Refusal::polite(
            StatusCode::FORBIDDEN,
            "the signature is missing or wrong\n",
        ));
    }
    Ok(Genuine {
        counts: ruling.counts,
        verified: found == Found::Verified,
    })
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn what_says_nothing_is_no_webhook() {
        for (target, body, is_none) in [
            ("/ivr/hello.mp3", "", true),
            ("/ivr/hello.mp3?_sb=A2sALOApOQRbVvVWHw2u", "", true),
            ("/ivr?CallSid=CA1", "", false),
            ("/ivr?CallSid=CA1&_sb=A2sALOApOQRbVvVWHw2u", "", false),
            ("/ivr", "CallSid=CA1", false),
        ] {
            let (head, ()) = Request::get(target).body(()).unwrap().into_parts();
            assert_eq!(
                is_no_webhook(&head, target, body.as_bytes()),
                is_none,
                "{target}"
            );
        }
    }
}
