//! Telnyx Call Control: JSON events of calls that the application steers by commands.

use super::{CallEvent, Head};

/// Reads a webhook. None: it names no call.
pub fn recognize<'a>(_head: &Head<'a>, _body: &'a [u8]) -> Option<CallEvent<'a>> {
    None
}
