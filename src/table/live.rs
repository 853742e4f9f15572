//! Whose calls are in progress.

use std::collections::HashSet;

use super::{Entry, Table};
use crate::model::TenantKey;

impl Table {
    /// Calls begun and not ended of any of these tenants. Looks at every entry, one shard
    /// at a time: for a preview, not for a request.
    pub fn live_of(&self, tenants: &HashSet<TenantKey>) -> u64 {
        if tenants.is_empty() {
            return 0;
        }
        let live = |entry: &Entry| match entry {
            Entry::Call(call) => call.is_active() && tenants.contains(&call.tenant()),
            Entry::Alias(_) => false,
        };
        self.map.iter().filter(|place| live(place.value())).count() as u64
    }
}
