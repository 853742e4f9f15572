//! Documents read before: a menu answers every caller with the same bytes.
//!
//! Reading a document costs about a microsecond, a twentieth of a whole request;
//! knowing it again costs a hash. Nothing is kept but hashes and what was found.

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::address::Addresses;
use super::rewrite::may_lead_away;
use super::{Judgement, judge};
use crate::model::Protocol;

/// Documents remembered; another one with the same place takes it over. A menu has
/// some dozens of fixed documents, and those made for one caller do no harm.
const PLACES: usize = 256;

/// What was found about documents read before.
#[derive(Debug)]
pub struct Seen {
    seed: u64,
    places: Vec<Option<(u128, Reading)>>,
}

/// What reading a document told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What it is worth and does.
    pub judgement: Judgement,
    /// A URL in it may name a backend, and would lead the provider past us.
    pub leads_away: bool,
}

impl Seen {
    /// Remembers nothing yet. The seed should be a secret, since a part of a document
    /// may be a caller's words.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            places: vec![None; PLACES],
        }
    }

    /// As [`judge`] and [`may_lead_away`], from memory where these very bytes were read before
    /// under the same protocol, content type and addresses.
    pub fn read(
        &mut self,
        protocol: Protocol,
        content_type: Option<&str>,
        addresses: Option<&Addresses>,
        body: &[u8],
    ) -> Reading {
        let kind = content_type.map_or(0, |text| hash(text.as_bytes(), self.seed) as u64);
        let names = addresses.map_or(0, Addresses::mark);
        let seed = self.seed ^ kind ^ names ^ protocol as u64;
        let hash = hash(body, seed);
        let place = self.places.get_mut(hash as usize % PLACES);
        match place {
            Some(Some((known, reading))) if *known == hash => *reading,
            place => {
                let reading = Reading {
                    judgement: judge(protocol, content_type, body),
                    leads_away: addresses.is_some_and(|it| may_lead_away(body, it)),
                };
                if let Some(place) = place {
                    *place = Some((hash, reading));
                }
                reading
            }
        }
    }
}

/// 128 bits, so that two documents never meet by chance.
fn hash(bytes: &[u8], seed: u64) -> u128 {
    xxh3_128_with_seed(bytes, seed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::document::Flaw;

    #[test]
    fn a_document_is_found_to_be_the_same_the_second_time() {
        let mut seen = Seen::new(7);
        for (body, flaw) in [
            (&b"<Response><Hangup/></Response>"[..], None),
            (b"<Response><Hangup></Response>", Some(Flaw::NotWellFormed)),
            (b"", Some(Flaw::Empty)),
        ] {
            for _ in 0..2 {
                let found = seen.read(Protocol::TelnyxTexml, Some("text/xml"), None, body);
                let found = found.judgement;
                assert_eq!(found, judge(Protocol::TelnyxTexml, Some("text/xml"), body));
                assert_eq!(found.flaw, flaw);
            }
        }
    }

    #[test]
    fn the_same_bytes_mean_something_else_to_another_provider_or_as_another_type() {
        let mut seen = Seen::new(7);
        let body = b"Good morning.";
        for (protocol, content_type) in [
            (Protocol::Twilio, Some("text/plain")),
            (Protocol::TelnyxTexml, Some("text/plain")),
            (Protocol::Twilio, Some("text/xml")),
            (Protocol::Twilio, None),
        ] {
            assert_eq!(
                seen.read(protocol, content_type, None, body).judgement,
                judge(protocol, content_type, body),
                "{protocol:?} {content_type:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn memory_never_changes_a_judgement(bodies in proptest::collection::vec("(<Response>|<Say>|</Say>|</Response>|a|&){0,6}", 1..60)) {
            let mut seen = Seen::new(1);
            for body in bodies.iter().chain(&bodies) {
                let body = body.as_bytes();
                prop_assert_eq!(
                    seen.read(Protocol::Twilio, Some("text/xml"), None, body).judgement,
                    judge(Protocol::Twilio, Some("text/xml"), body)
                );
            }
        }
    }

    #[test]
    fn whose_urls_lead_away_depends_on_who_is_a_backend() {
        let body = b"<Response><Redirect>http://ivr.example.com/ivr/a</Redirect></Response>";
        let addresses = |name: &str| {
            let names = [format!("http://{name}")];
            Addresses::new("https://voice.example.com", &names, &["/ivr".to_owned()])
        };
        let (ours, others) = (addresses("ivr.example.com"), addresses("sip.example.com"));
        let mut seen = Seen::new(7);
        for (addresses, leads_away) in [
            (Some(&ours), true),
            (Some(&others), false),
            (None, false),
            (Some(&ours), true),
        ] {
            let read = seen.read(Protocol::Twilio, None, addresses, body);
            assert_eq!(read.leads_away, leads_away, "{addresses:?}");
        }
    }
}
