//! What is remembered about signatures: which came before, and which routes have
//! verified any.
//!
//! Looking at a signature needs no memory (`protocol::signature`); telling a replay
//! does, and so does the rule that a route which has verified a webhook takes no
//! unverified one for evidence. All workers share one [`Trust`].
//!
//! A provider that tries again signs anew, with a new time, so its retry is no
//! replay. What comes with the very same signature was taken from the wire, or
//! doubled by something between.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::model::Tick;

/// How long a signature is remembered at the least. A signed time may lie 300 s before
/// or behind ours, both ends and the last second included, so the same signature is
/// fresh for 601 s; the rest is for rounding.
pub const REMEMBERED: Duration = Duration::from_secs(602);

/// The most signatures remembered, 16 bytes each and as much again for finding them:
/// 36 MB when full, nothing before the first. A shard that is full forgets its older
/// half early, which is counted; what was in it could be replayed unseen. That takes
/// more than 800 signed webhooks a second for ten minutes.
pub const CAPACITY: usize = 1_000_000;

/// Locks, so that workers seldom meet.
const SHARDS: usize = 16;

/// The most keys of one generation in one shard.
const GENERATION: usize = CAPACITY / SHARDS / 2;

/// One bit for each route number there can be: 8 kB.
const ROUTE_WORDS: usize = (u16::MAX as usize + 1) / 64;

/// The memory.
#[derive(Debug)]
pub struct Trust {
    shards: [Mutex<Shard>; SHARDS],
    forgotten_early: AtomicU64,
    routes: Box<[AtomicU64]>,
}

impl Trust {
    /// Nothing was seen and no route has verified anything.
    pub fn new() -> Self {
        Self {
            shards: Default::default(),
            forgotten_early: AtomicU64::new(0),
            routes: (0..ROUTE_WORDS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Was a signature there before? It is from now on, for [`REMEMBERED`] at least and
    /// twice that at most. Of two workers that ask at once, one hears no.
    pub fn seen(&self, once: u128, now: Tick) -> bool {
        let low = usize::try_from(once % SHARDS as u128).unwrap_or(0);
        let Some(shard) = self.shards.get(low) else {
            return false;
        };
        let mut shard = shard.lock();
        shard.grow_old(now);
        if shard.younger.contains(&once) || shard.older.contains(&once) {
            return true;
        }
        let forgotten = shard.make_room(now);
        shard.younger.insert(once);
        drop(shard);
        if forgotten > 0 {
            self.forgotten_early.fetch_add(forgotten, Ordering::Relaxed);
        }
        false
    }

    /// How many signatures were forgotten before their time, since the memory was full.
    pub fn forgotten_early(&self) -> u64 {
        self.forgotten_early.load(Ordering::Relaxed)
    }

    /// How many signatures are remembered: at most [`CAPACITY`].
    pub fn remembered(&self) -> usize {
        let count = |shard: &Mutex<Shard>| {
            let shard = shard.lock();
            shard.younger.len() + shard.older.len()
        };
        self.shards.iter().map(count).sum()
    }

    /// Notes that a route verified a webhook.
    pub fn verified(&self, route: u16) {
        let (word, bit) = self.bit(route);
        // Nearly always it is set already, and reading disturbs no other core.
        if word.load(Ordering::Relaxed) & bit == 0 {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// Has the route verified any webhook?
    pub fn has_verified(&self, route: u16) -> bool {
        let (word, bit) = self.bit(route);
        word.load(Ordering::Relaxed) & bit != 0
    }

    fn bit(&self, route: u16) -> (&AtomicU64, u64) {
        let word = self.routes.get(usize::from(route / 64));
        (
            word.expect("there is a bit for every route number"),
            1 << (route % 64),
        )
    }
}

impl Default for Trust {
    fn default() -> Self {
        Self::new()
    }
}

/// Two generations: the younger takes what comes, the older is only looked into, and
/// goes as a whole.
#[derive(Debug, Default)]
struct Shard {
    younger: HashSet<u128>,
    older: HashSet<u128>,
    /// When the younger one began.
    since: Tick,
}

impl Shard {
    /// Begins a new generation when the younger one has had its time.
    fn grow_old(&mut self, now: Tick) {
        let age = now.since(self.since);
        if age >= REMEMBERED {
            self.begin(now);
        }
        if age >= REMEMBERED * 2 {
            self.older = HashSet::new();
        }
    }

    /// Begins one when the younger is full. Returns how many keys were forgotten before
    /// their time.
    fn make_room(&mut self, now: Tick) -> u64 {
        if self.younger.len() < GENERATION {
            return 0;
        }
        let forgotten = self.older.len();
        self.begin(now);
        u64::try_from(forgotten).unwrap_or(u64::MAX)
    }

    fn begin(&mut self, now: Tick) {
        self.older = std::mem::take(&mut self.younger);
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac;
    use http::HeaderMap;

    use super::*;
    use crate::measure::Found;
    use crate::model::Wall;
    use crate::protocol::signature::{HmacOptions, Signed, VapiCredential, Verifier};

    fn secs(secs: u64) -> Tick {
        Tick::from_secs(secs)
    }

    /// A key that lies in the first shard.
    fn in_first_shard(number: usize) -> u128 {
        (number * SHARDS) as u128
    }

    #[test]
    fn what_came_before_is_told_and_what_did_not_is_not() {
        let trust = Trust::new();
        assert!(!trust.seen(7, secs(1)));
        assert!(trust.seen(7, secs(1)));
        assert!(!trust.seen(7 + (1 << 100), secs(1)), "another signature");
        assert_eq!(trust.remembered(), 2);
    }

    #[test]
    fn a_signature_is_told_for_as_long_as_it_is_fresh_wherever_in_a_generation_it_came() {
        for came in [0, 1, 300, 600, 601, 602, 603, 900] {
            for later in [0, 1, 300, 599, 600, 601] {
                let trust = Trust::new();
                trust.seen(in_first_shard(1), secs(0));
                assert!(!trust.seen(in_first_shard(2), secs(came)));
                trust.seen(in_first_shard(3), secs(came + later / 2));
                let is_told = trust.seen(in_first_shard(2), secs(came + later));
                assert!(is_told, "{came} {later}");
            }
        }
    }

    #[test]
    fn it_is_forgotten_after_two_generations() {
        let trust = Trust::new();
        assert!(!trust.seen(1, secs(0)));
        assert!(!trust.seen(1, secs(602 * 2)));
        assert_eq!(trust.remembered(), 1);
        assert_eq!(trust.forgotten_early(), 0, "its time was over");
    }

    #[test]
    fn a_full_shard_forgets_its_older_half_and_counts_it() {
        let trust = Trust::new();
        for number in 0..2 * GENERATION {
            assert!(!trust.seen(in_first_shard(number), secs(1)));
        }
        assert_eq!(trust.forgotten_early(), 0, "just full");
        assert!(trust.seen(in_first_shard(0), secs(1)));
        assert!(!trust.seen(in_first_shard(2 * GENERATION), secs(1)));
        assert_eq!(trust.forgotten_early(), GENERATION as u64);
        assert!(!trust.seen(in_first_shard(0), secs(1)), "forgotten");
        assert!(trust.seen(in_first_shard(2 * GENERATION - 1), secs(1)));
    }

    #[test]
    fn the_memory_never_holds_more_than_its_capacity() {
        let trust = Trust::new();
        for number in 0..CAPACITY + 200_000 {
            trust.seen(number as u128, Tick(number as u64 * 10));
        }
        assert!(trust.remembered() <= CAPACITY);
        assert!(trust.remembered() >= CAPACITY / 2);
        assert!(trust.forgotten_early() > 0);
    }

    #[test]
    fn of_many_who_bring_the_same_signature_at_once_one_is_the_first() {
        let trust = Trust::new();
        let firsts: usize = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..1000).filter(|&key| !trust.seen(key, secs(1))).count()))
                .collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap())
                .sum()
        });
        assert_eq!(firsts, 1000);
    }

    #[test]
    fn each_route_is_remembered_by_itself() {
        let trust = Trust::new();
        for route in [0, 1, 63, 64, u16::MAX] {
            assert!(!trust.has_verified(route));
            trust.verified(route);
            trust.verified(route);
            assert!(trust.has_verified(route));
        }
        for route in [2, 62, 65, u16::MAX - 1] {
            assert!(!trust.has_verified(route), "{route}");
        }
    }

    #[test]
    fn a_providers_own_retry_is_no_replay() {
        let options = HmacOptions::new("rosebud-41");
        let verifier = Verifier::Vapi(VapiCredential::hmac(&options).unwrap());
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"rosebud-41");
        let once = |sent_at: i64| {
            let payload = format!("{sent_at}.{{}}");
            let code = hmac::sign(&key, payload.as_bytes());
            let code: String = code.as_ref().iter().map(|b| format!("{b:02x}")).collect();
            let mut headers = HeaderMap::new();
            headers.insert("x-timestamp", sent_at.into());
            headers.insert("x-signature", code.parse().unwrap());
            let signed = Signed {
                method: "POST",
                scheme: "https",
                authority: "voice.example.net",
                target: "/vapi",
                headers: &headers,
                body: b"{}",
            };
            let finding = verifier.verify(&signed, Wall(1_793_000_000_000));
            assert_eq!(finding.found, Found::Verified);
            finding.once.unwrap()
        };
        let trust = Trust::new();
        assert!(!trust.seen(once(1_793_000_000), secs(1)));
        assert!(!trust.seen(once(1_793_000_005), secs(6)), "tried again");
        assert!(
            trust.seen(once(1_793_000_000), secs(7)),
            "sent again by another"
        );
    }
}
