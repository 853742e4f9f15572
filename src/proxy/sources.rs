//! How many connections each source has open, so that one of them cannot take all
//! the places (`limits.connections_per_source`).
//!
//! Off unless asked for: a provider's webhooks come from few addresses, and to
//! refuse them is to refuse callers. All workers share the counts, because the
//! kernel deals a source's connections out to all of them; the lock is taken when a
//! connection begins and when it ends, by nobody while the bound is off.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

/// Who has how many connections open. It holds as many sources as there are
/// connections, which `limits.connections` bounds.
#[derive(Debug, Default)]
pub struct Sources {
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection's place among those of its source; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    of: Arc<Sources>,
    source: IpAddr,
}

impl Sources {
    /// A place for a connection from there; None if `most` are open already.
    pub(super) fn take(self: &Arc<Self>, peer: IpAddr, most: usize) -> Option<Place> {
        let source = source(peer);
        let mut open = self.open.lock();
        let count = open.entry(source).or_default();
        // An entry is there only while it counts something, so this leaves none behind.
        if *count >= most.max(1) {
            return None;
        }
        *count += 1;
        drop(open);
        let of = Arc::clone(self);
        Some(Place { of, source })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.of.open.lock();
        let Some(count) = open.get_mut(&self.source) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            open.remove(&self.source);
        }
    }
}

/// Whom an address counts for: with IPv6 everybody has 2^64 of them, so a network of
/// that size is one source.
fn source(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(peer) => {
            let network = peer.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_source_has_so_many_places_and_not_one_more() {
        let sources = Arc::new(Sources::default());
        let mut held: Vec<_> = (0..3)
            .map(|_| sources.take(ip("192.0.2.1"), 3).unwrap())
            .collect();
        assert!(sources.take(ip("192.0.2.1"), 3).is_none());
        assert!(sources.take(ip("::ffff:192.0.2.1"), 3).is_none());
        assert!(sources.take(ip("192.0.2.2"), 3).is_some());
        held.pop();
        assert!(sources.take(ip("192.0.2.1"), 3).is_some());
    }

    #[test]
    fn a_network_that_one_host_has_to_itself_is_one_source() {
        let sources = Arc::new(Sources::default());
        let _first = sources.take(ip("2001:db8:1:2::1"), 1).unwrap();
        assert!(sources.take(ip("2001:db8:1:2:ffff::9"), 1).is_none());
        assert!(sources.take(ip("2001:db8:1:3::1"), 1).is_some());
    }

    #[test]
    fn who_has_none_open_is_forgotten() {
        let sources = Arc::new(Sources::default());
        for last in 0..=255_u8 {
            drop(sources.take(IpAddr::from([198, 51, 100, last]), 1).unwrap());
        }
        assert!(sources.open.lock().is_empty());
    }
}
