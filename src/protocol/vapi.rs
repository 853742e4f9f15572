//! Vapi server messages: JSON about a call that an assistant speaks with.

use std::borrow::Cow;

use super::{CallEvent, Head, Keys};

/// Reads a message. None: it is no server message.
pub fn recognize<'a>(_head: &Head<'a>, _body: &'a [u8]) -> Option<CallEvent<'a>> {
    None
}

/// The value of a key of the metadata, if it is a string or a number.
pub fn metadata<'a>(_keys: &'a Keys<'_>, _key: &str) -> Option<Cow<'a, str>> {
    None
}
