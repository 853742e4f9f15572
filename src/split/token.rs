//! A backend's name and a moment, signed, short enough to stand in a URL.
//!
//! With `affinity = "url"` the URLs a provider will ask next carry one, so that a
//! machine that has never heard of the call still asks the backend that began it.
//! It is taken out again before the backend sees the request.
//!
//! **Not bound to a call.** The child legs, recordings and sockets that a document
//! begets come back under ids of their own, unknown when the document is written;
//! a token bound to the parent's id would be wrong for exactly those.
//!
//! **What a stranger could do with one.** It stands in URLs that provider and
//! backends log, so take it as known. It opens nothing: a webhook still has to pass
//! its route's verification. Who can forge a webhook as well can choose which
//! backend answers it, and by whose clock the call began, out of the tokens seen;
//! no other side, no other time. What a token may outweigh is written where calls
//! are placed.

use memchr::memchr;
use std::fmt;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::{Backend, Wall};

/// The query parameter that carries a token.
pub const PARAM: &str = "_sb";

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// The call's backend.
    pub backend: Backend,
    /// When the call began. Rounded up to the second, so that no call ever looks
    /// older than it is: a token older than a reversal may outlive it.
    pub began: Wall,
}

/// Signs tokens and knows its own.
pub struct TokenKey(hmac::Key);

/// No provider keeps a call for longer than a day, and recordings of it come within
/// another half hour. An older token, copied into a console maybe, would take every
/// new call to its backend, past a latch as well.
pub const LIFE: Duration = Duration::from_secs(24 * 3600 + 1800);
const LIFE_MS: i64 = LIFE.as_secs().cast_signed() * 1000;

/// The format, in the upper seven bits of the first byte; the lowest is the
/// backend's. Then four bytes: seconds since 1970, until 2106.
const VERSION: u8 = 1;
const SAID: usize = 5;

/// Eighty bits of an HMAC-SHA256. Fifteen bytes in all are twenty characters, with
/// none left over.
const SIGNATURE: usize = 10;
const LETTERS: usize = (SAID + SIGNATURE) / 3 * 4;

/// So that a signature made for a token is good for nothing else made with the
/// same secret.
const PURPOSE: &[u8] = b"switchback affinity token";

impl TokenKey {
    /// The key of this secret. All machines that share the work need the same.
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// Writes a token: twenty characters that need no escape in a URL or in XML.
    pub fn mint(&self, token: Token) -> String {
        let seconds = token.began.0.max(0).unsigned_abs().div_ceil(1000);
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(SAID + SIGNATURE);
        bytes.push(VERSION << 1 | u8::from(token.backend == Backend::New));
        bytes.extend(seconds.to_be_bytes());
        let signature = self.sign(&bytes);
        bytes.extend(signature);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a token. None if it was not made with this secret, or is none at all.
    pub fn read(&self, text: &str) -> Option<Token> {
        if text.len() != LETTERS {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (said, signature) = bytes.split_at_checked(SAID)?;
        verify_slices_are_equal(signature, &self.sign(said)).ok()?;
        let (&[first], seconds) = said.split_first_chunk()?;
        if first >> 1 != VERSION {
            return None;
        }
        let seconds = u32::from_be_bytes(seconds.try_into().ok()?);
        Some(Token {
            backend: if first & 1 == 1 {
                Backend::New
            } else {
                Backend::Legacy
            },
            began: Wall(i64::from(seconds) * 1000),
        })
    }

    /// Reads a token that may still be that of a call in progress: see [`LIFE`].
    pub fn believe(&self, text: &str, now: Wall) -> Option<Token> {
        let token = self.read(text)?;
        let age = now.0.saturating_sub(token.began.0);
        (age <= LIFE_MS).then_some(token)
    }

    fn sign(&self, said: &[u8]) -> [u8; SIGNATURE] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(PURPOSE);
        context.update(said);
        let whole = context.sign();
        let mut signature = [0; SIGNATURE];
        for (to, from) in signature.iter_mut().zip(whole.as_ref()) {
            *to = *from;
        }
        signature
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(MASKED)")
    }
}

/// A request's target without the token, and the token's text. None if it carries
/// none.
///
/// The first counts and all are removed. Every other byte stays, empty parameters
/// too; the `?` goes only with the last parameter. So taking out what was put in
/// gives back what was there.
pub fn strip(target: &str) -> Option<(String, &str)> {
    // Hardly a target carries one, so most are not taken apart.
    let (path, query) = target.split_at(memchr(b'?', target.as_bytes())?);
    let query = query.get(1..)?;
    memchr(b'_', query.as_bytes())?;
    let token = query.split('&').find_map(value)?;
    let mut stripped = String::with_capacity(target.len());
    stripped.push_str(path);
    let others = query.split('&').filter(|it| value(it).is_none());
    for (number, parameter) in others.enumerate() {
        stripped.push(if number == 0 { '?' } else { '&' });
        stripped.push_str(parameter);
    }
    Some((stripped, token))
}

/// The token's text, if that is the parameter that carries it.
pub fn value(parameter: &str) -> Option<&str> {
    match parameter.strip_prefix(PARAM)? {
        "" => Some(""),
        rest => rest.strip_prefix('='),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> TokenKey {
        TokenKey::new(b"a secret that both machines share")
    }

    #[test]
    fn a_token_says_what_was_put_in_to_the_second_above() {
        for backend in Backend::ALL {
            for (began, read) in [
                (0, 0),
                (1, 1000),
                (1_795_173_600_000, 1_795_173_600_000),
                (1_795_173_600_001, 1_795_173_601_000),
                (-5, 0),
                (i64::MAX, i64::from(u32::MAX) * 1000),
            ] {
                let token = Token {
                    backend,
                    began: Wall(began),
                };
                let text = key().mint(token);
                assert_eq!(text.len(), 20, "{text}");
                let expected = Token {
                    backend,
                    began: Wall(read),
                };
                assert_eq!(key().read(&text), Some(expected), "{began}");
            }
        }
    }

    #[test]
    fn a_token_is_believed_as_long_as_a_call_may_last_and_not_a_moment_longer() {
        let began = Wall(1_795_173_600_000);
        let text = key().mint(Token {
            backend: Backend::New,
            began,
        });
        let life = i64::try_from(LIFE.as_millis()).unwrap();
        for (age, is_believed) in [
            (-60_000, true),
            (0, true),
            (life, true),
            (life + 1, false),
            (i64::MAX - began.0, false),
        ] {
            let found = key().believe(&text, Wall(began.0 + age));
            assert_eq!(found.is_some(), is_believed, "{age}");
        }
        assert_eq!(key().believe("no token", began), None);
    }

    #[test]
    fn a_token_is_the_same_on_every_machine_and_in_every_release() {
        let token = Token {
            backend: Backend::New,
            began: Wall(1_795_173_600_000),
        };
        assert_eq!(key().mint(token), "A2sALOApOQRbVvVWHw2u");
    }

    #[test]
    fn a_token_changed_in_any_character_is_none() {
        let text = key().mint(Token {
            backend: Backend::Legacy,
            began: Wall(1_795_173_600_000),
        });
        assert_eq!(TokenKey::new(b"another secret").read(&text), None);
        for at in 0..text.len() {
            let (before, after) = text.split_at(at);
            let (old, after) = after.split_at(1);
            for new in "ABCxyz019-_=+/&é"
                .chars()
                .filter(|new| new.to_string() != old)
            {
                let changed = format!("{before}{new}{after}");
                assert_eq!(key().read(&changed), None, "{changed}");
            }
        }
    }

    #[test]
    fn what_is_too_short_or_too_long_is_no_token() {
        let text = key().mint(Token {
            backend: Backend::Legacy,
            began: Wall(0),
        });
        let (_, cut) = text.split_at(1);
        for wrong in ["", "A", "AAAAAAAAAAAAAAAAAAAA", cut, &format!("{text}A")] {
            assert_eq!(key().read(wrong), None, "{wrong}");
        }
        assert_eq!(key().read(&"A".repeat(1_000_000)), None);
    }

    #[test]
    fn a_key_does_not_print_its_secret() {
        assert_eq!(format!("{:?}", key()), "TokenKey(MASKED)");
    }

    #[test]
    fn the_token_is_taken_out_and_every_other_byte_stays() {
        for (target, expected) in [
            ("/ivr?_sb=T", Some(("/ivr", "T"))),
            ("/ivr?a=1&_sb=T", Some(("/ivr?a=1", "T"))),
            ("/ivr?_sb=T&a=1", Some(("/ivr?a=1", "T"))),
            (
                "/ivr?a=%20+&_sb=T&b=&=&c",
                Some(("/ivr?a=%20+&b=&=&c", "T")),
            ),
            ("/ivr?_sb=T&_sb=U&a&_sb", Some(("/ivr?a", "T"))),
            ("/ivr?_sb=T&_sb=U", Some(("/ivr", "T"))),
            ("/ivr?&_sb=T", Some(("/ivr?", "T"))),
            ("/ivr?a&&_sb=T", Some(("/ivr?a&", "T"))),
            ("/ivr?_sb", Some(("/ivr", ""))),
            ("/ivr?_sb=", Some(("/ivr", ""))),
            ("/ivr?x=?_sb=1&_sb=T", Some(("/ivr?x=?_sb=1", "T"))),
            ("/ivr", None),
            ("/ivr?", None),
            ("/_sb=T", None),
            ("/ivr?x_sb=T&_sbx=T&_SB=T", None),
        ] {
            let found = strip(target);
            let found = found.as_ref().map(|(left, token)| (left.as_str(), *token));
            assert_eq!(found, expected, "{target}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_a_token_by_chance(text in "[A-Za-z0-9_-]{20}") {
            prop_assert_eq!(key().read(&text), None);
        }

        #[test]
        fn taking_out_leaves_nothing_to_take_out(target in "/[a-z]{0,3}(\\?((_sb|_sb=T|a|b=_sb|)&){0,5}(_sb=T|a)?)?") {
            if let Some((left, _)) = strip(&target) {
                prop_assert_eq!(strip(&left), None);
            }
        }
    }
}
