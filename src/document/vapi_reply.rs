//! What a backend answered to Vapi: judged and, where it would leave us, rewritten.

use super::Judgement;
use super::address::Addresses;
use crate::protocol::Asks;

/// Judges an answer to `request`, a message that asks for `asks`.
pub fn judge(_asks: Asks, _request: &[u8], _answer: &[u8]) -> Judgement {
    Judgement::default()
}

/// The answer with its `server.url`s led home, every other byte unchanged. None:
/// nothing is to be changed.
pub fn rewrite(
    _asks: Asks,
    _answer: &[u8],
    _addresses: &Addresses,
    _token: Option<&str>,
) -> Option<Vec<u8>> {
    None
}
