//! Who the evidence comes from, so that one customer's broken flow is not taken
//! for a broken backend.
//!
//! Read only when a row is about to trip; until then every observation costs one
//! look-up in a small table.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use super::window::{LONGEST, Slot};
use crate::model::{TenantKey, Tick};

/// Seconds in a slot.
const WIDTH: u64 = 10;

/// Tenants told apart in one slot: what a table of 128 places takes. Those that
/// come later in the same ten seconds are counted together as nobody's; where
/// so many are active at once, none of them is half of anything.
pub const TENANTS_MAX: usize = 112;

/// While fewer are active, nobody's evidence is cut: two tenants that fail are half each.
pub const ACTIVE_MIN: usize = 4;

/// What was found about each tenant.
pub type Found<C> = HashMap<TenantKey, C, BuildHasherDefault<AsItIs>>;

/// Counts by tenant in a ring of ten-second slots.
#[derive(Clone, Debug)]
pub struct Tenants<C> {
    slots: Vec<Found<C>>,
    head: u64,
}

impl<C: Slot> Tenants<C> {
    /// Counts over the last hour and `more`.
    pub fn new(more: Duration, now: Tick) -> Self {
        let length = (LONGEST + more).as_secs().div_ceil(WIDTH) + 1;
        Self {
            slots: (0..length).map(|_| HashMap::default()).collect(),
            head: now.secs() / WIDTH,
        }
    }

    /// Changes what is known about a tenant around `at`.
    pub fn change(&mut self, at: Tick, tenant: TenantKey, change: impl Fn(&mut C)) {
        self.advance(at);
        let slot = at.secs() / WIDTH;
        if slot + self.length() <= self.head {
            return;
        }
        let index = self.index(slot);
        let counts = &mut self.slots[index];
        let known = counts.len() < TENANTS_MAX - 1 || counts.contains_key(&tenant);
        let tenant = if known { tenant } else { TenantKey::NONE };
        change(counts.entry(tenant).or_default());
    }

    /// What is known about each tenant from one moment to another, both included,
    /// to the ten seconds. [`TenantKey::NONE`] holds unknown tenants and those past
    /// [`TENANTS_MAX`].
    pub fn between(&self, from: Tick, to: Tick) -> Found<C> {
        let mut found: Found<C> = Found::default();
        let oldest = (self.head + 1).saturating_sub(self.length());
        let last = (to.secs() / WIDTH).min(self.head);
        for slot in (from.secs() / WIDTH).max(oldest)..=last {
            for (tenant, counts) in &self.slots[self.index(slot)] {
                found.entry(*tenant).or_default().add(counts);
            }
        }
        found
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        // clear keeps each table's allocation for the next time round.
        self.slots.iter_mut().for_each(HashMap::clear);
    }

    fn advance(&mut self, now: Tick) {
        let to = now.secs() / WIDTH;
        if to <= self.head {
            return;
        }
        if to - self.head >= self.length() {
            self.clear();
            self.head = to;
        }
        while self.head < to {
            self.head += 1;
            let index = self.index(self.head);
            self.slots[index].clear();
        }
    }

    fn length(&self) -> u64 {
        self.slots.len() as u64
    }

    fn index(&self, slot: u64) -> usize {
        usize::try_from(slot % self.length()).expect("an index of the ring")
    }
}

/// What is left of `all` when the largest part is cut to the weight of the rest,
/// so that it is half and no more.
pub fn without_the_excess(all: f64, largest: f64) -> f64 {
    let rest = (all - largest).max(0.0);
    rest + largest.min(rest)
}

/// How much of one part's weight may count: 1, or what makes it as heavy as the rest
/// in both ways of weighing it.
pub fn weight_allowed(part: (f64, f64), rest: (f64, f64)) -> f64 {
    let one = |part: f64, rest: f64| if part > rest { rest / part } else { 1.0 };
    one(part.0, rest.0).min(one(part.1, rest.1)).max(0.0)
}

/// A tenant's key is a hash already.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::window::counting::Count;

    #[test]
    fn counts_are_read_by_tenant_over_a_stretch_and_leave_after_it() {
        let mut tenants: Tenants<Count> = Tenants::new(Duration::ZERO, Tick(0));
        for second in 0..600 {
            let tenant = TenantKey(1 + second % 2);
            tenants.change(Tick::from_secs(second), tenant, |count| count.0 += 1);
        }
        let found = tenants.between(Tick::from_secs(300), Tick::from_secs(599));
        assert_eq!(found[&TenantKey(1)], Count(150));
        tenants.change(Tick::from_secs(9000), TenantKey(3), |count| count.0 += 1);
        assert_eq!(tenants.between(Tick(0), Tick::from_secs(9000)).len(), 1);
    }

    #[test]
    fn a_slot_tells_so_many_tenants_apart_and_no_more() {
        let mut tenants: Tenants<Count> = Tenants::new(Duration::ZERO, Tick(0));
        for key in 1..5000 {
            tenants.change(Tick(0), TenantKey(key), |count| count.0 += 1);
        }
        assert_eq!(tenants.slots[0].len(), TENANTS_MAX);
        let found = tenants.between(Tick(0), Tick(0));
        let all: i64 = found.values().map(|count| count.0).sum();
        assert_eq!(all, 4999, "none is lost");
    }

    #[test]
    fn the_largest_part_is_half_and_no_more() {
        for (all, largest, left) in [(10.0, 3.0, 10.0), (10.0, 9.0, 2.0), (10.0, 10.0, 0.0)] {
            assert!((without_the_excess(all, largest) - left).abs() < 1e-9);
        }
        assert!((weight_allowed((50.0, 50.0), (5.0, 50.0)) - 0.1).abs() < 1e-9);
        assert!((weight_allowed((0.0, 5.0), (0.0, 50.0)) - 1.0).abs() < 1e-9);
    }
}
