//! A state directory looked at without being touched: by commands that need no running
//! process, and beside one.

use std::path::Path;

use super::latch::Latch;

/// What the latch file says: why everything goes to legacy, if it does. One that cannot be
/// read says so.
pub fn latched(dir: &Path) -> Option<String> {
    Latch::peek(dir).unwrap_or_else(|why| Some(format!("the latch file cannot be read: {why}")))
}
