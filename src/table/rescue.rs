//! A call that legacy takes over from new.

use super::Table;
use crate::calls::Call;
use crate::model::{CallKey, Tick};

impl Table {
    /// Legacy has answered instead of new, or the caller is sent to legacy's entry: the
    /// call is legacy's from now on. Gives it as it was before; None if it is not known
    /// or was legacy's already.
    pub fn rescue(&self, key: CallKey, now: Tick) -> Option<Call> {
        self.update(key, now, |_, call| {
            let before = *call;
            call.rescue().then_some(before)
        })?
    }
}
