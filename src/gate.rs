//! How much one backend is asked at once.
//!
//! A backend that is sent more than it can do answers nobody: each request waits
//! behind the rest until its provider has given up. A capped backend answers as many
//! as it can, and who is too many is told at once, while there is time to ask somebody
//! else. Reports, which nobody waits for and which come again, make room for callers.
//!
//! Without a cap a gate is open: entering costs one load, and nothing is counted.

mod count;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Index;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use self::count::{AtomicCount, Count};
use crate::measure::Kind;
use crate::model::{Backend, PerBackend};

/// How much a backend takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    /// Requests on their way to it at once, over all workers; up to [`Cap::MOST`].
    pub concurrency: usize,
    /// Webhooks that may wait until one of those is answered; one more is turned away.
    /// Up to [`Cap::MOST`].
    pub queue: usize,
    /// How long each may wait; then it is turned away.
    pub wait: Duration,
}

impl Cap {
    /// The most that a gate can count; a larger number means this one.
    pub const MOST: usize = 1_000_000;
}

/// The gates of both backends, and the bound on rescues. Shared by all workers, and
/// the same over reloads, so that what is on its way stays counted.
#[derive(Debug)]
pub struct Gates {
    backends: PerBackend<Arc<Gate>>,
    rescues: Arc<Gate>,
}

impl Gates {
    /// Gates with these caps, and so many rescues at once.
    pub fn new(caps: &PerBackend<Option<Cap>>, rescues: usize) -> Self {
        Self {
            backends: PerBackend::from_fn(|backend| Arc::new(Gate::new(caps[backend]))),
            rescues: Arc::new(Gate::new(Some(rescue_cap(rescues)))),
        }
    }

    /// From now on these caps hold. Nothing on its way is forgotten or waited for: a
    /// lower cap lets nobody in until it is met. What went through a gate while it had
    /// no cap was not counted, and comes on top of a first cap until it is answered.
    pub fn resize(&self, caps: &PerBackend<Option<Cap>>, rescues: usize) {
        for backend in Backend::ALL {
            self.backends[backend].resize(caps[backend]);
        }
        self.rescues.resize(Some(rescue_cap(rescues)));
    }

    /// Leave to ask the other backend for a webhook that failed; held while it is asked.
    /// None: as many rescues are under way as may be, and one more would bring down
    /// the backend that still answers.
    pub fn rescue(&self) -> Option<RescuePermit> {
        self.rescues.try_enter().map(RescuePermit)
    }

    /// How the rescues stand.
    pub fn rescues(&self) -> Counts {
        self.rescues.counts()
    }
}

impl Index<Backend> for Gates {
    type Output = Arc<Gate>;

    fn index(&self, backend: Backend) -> &Arc<Gate> {
        &self.backends[backend]
    }
}

/// A rescue is for a caller who has waited already: it goes at once or not at all.
const fn rescue_cap(rescues: usize) -> Cap {
    Cap {
        concurrency: rescues,
        queue: 0,
        wait: Duration::ZERO,
    }
}

/// Who may ask one backend now.
pub struct Gate {
    count: AtomicCount,
    queue: Mutex<Queue>,
    most: AtomicU32,
    /// By [`Kind`], in the order of that enum.
    turned_away: [AtomicU64; 2],
    on_trial: AtomicBool,
}

/// Who waits, in the order they came. `Count::queued` is its length, and changes only
/// under its lock.
#[derive(Default)]
struct Queue {
    /// So many may wait.
    max: u32,
    /// So long may each wait.
    wait: Duration,
    next: u64,
    waiting: BTreeMap<u64, oneshot::Sender<Permit>>,
}

/// How a gate stands, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// So many may be on their way at once; None: as many as come, uncounted.
    pub cap: Option<usize>,
    /// On their way now.
    pub in_flight: usize,
    /// Waiting now.
    pub queued: usize,
    /// The most that were on their way at once since the process began.
    pub most: usize,
    /// Voice webhooks turned away since the process began.
    pub voice_turned_away: u64,
    /// Events turned away since the process began.
    pub events_turned_away: u64,
}

/// The backend has as much to do as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the backend has as many requests as its `concurrency` allows, and none ended within `queue_wait`"
)]
pub struct Full;

/// Leave to ask a backend. Whoever drops it, anywhere, makes room for the next.
#[must_use = "dropping it gives the place away"]
#[derive(Debug)]
pub struct Permit {
    /// None: the gate had no cap.
    gate: Option<Arc<Gate>>,
}

/// Leave to rescue one webhook; see [`Gates::rescue`].
#[must_use = "dropping it gives the place away"]
#[derive(Debug)]
pub struct RescuePermit(#[expect(dead_code, reason = "it is held, not looked at")] Permit);

/// The one call by which a backend with a half-open breaker is tried; see [`Gate::trial`].
#[must_use = "dropping it ends the trial"]
#[derive(Debug)]
pub struct Trial {
    gate: Arc<Gate>,
}

impl Gate {
    fn new(cap: Option<Cap>) -> Self {
        let gate = Self {
            count: AtomicCount::default(),
            queue: Mutex::default(),
            most: AtomicU32::new(0),
            turned_away: [AtomicU64::new(0), AtomicU64::new(0)],
            on_trial: AtomicBool::new(false),
        };
        gate.set(cap);
        gate
    }

    /// Enters, as soon as it may. Events never wait, and never pass a voice webhook that
    /// does. A voice webhook waits in line, no longer than the cap says. A caller that
    /// drops the future leaves the line.
    ///
    /// # Errors
    ///
    /// [`Full`], counted as turned away: no place was free, and nobody may wait (any
    /// more) or the wait was over.
    pub async fn enter(self: &Arc<Self>, kind: Kind) -> Result<Permit, Full> {
        if let Some(permit) = self.try_enter() {
            return Ok(permit);
        }
        let entered = match kind {
            Kind::Voice => self.wait().await,
            Kind::Event => None,
        };
        entered.ok_or_else(|| {
            self.turned_away[kind as usize].fetch_add(1, Ordering::Relaxed);
            Full
        })
    }

    /// Enters if there is a place now and nobody waits for it. Who is not let in is not
    /// counted as turned away.
    pub fn try_enter(self: &Arc<Self>) -> Option<Permit> {
        if self.count.load().is_open() {
            return Some(Permit { gate: None });
        }
        let count = self.count.update(Count::entered)?;
        self.saw(count);
        Some(Permit::of(self))
    }

    /// Leave to be the one call that tries a backend whose breaker is half-open. None:
    /// another is trying it.
    pub fn trial(self: &Arc<Self>) -> Option<Trial> {
        self.on_trial
            .compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
            .then(|| Trial {
                gate: Arc::clone(self),
            })
    }

    /// How it stands.
    pub fn counts(&self) -> Counts {
        let count = self.count.load();
        let [voice, events] = &self.turned_away;
        Counts {
            cap: (!count.is_open()).then_some(count.limit as usize),
            in_flight: count.in_flight as usize,
            queued: count.queued as usize,
            most: self.most.load(Ordering::Relaxed) as usize,
            voice_turned_away: voice.load(Ordering::Relaxed),
            events_turned_away: events.load(Ordering::Relaxed),
        }
    }

    fn resize(self: &Arc<Self>, cap: Option<Cap>) {
        self.set(cap);
        // It may be larger now.
        self.hand_over();
    }

    fn set(&self, cap: Option<Cap>) {
        let mut queue = self.queue.lock();
        // Who waits already keeps the place in line and the time it was given.
        queue.max = cap.map_or(0, |cap| within(cap.queue));
        queue.wait = cap.map_or(Duration::ZERO, |cap| cap.wait);
        // A cap of 0 would be none at all.
        let limit = cap.map_or(Count::OPEN, |cap| within(cap.concurrency.max(1)));
        self.count.set_limit(limit);
    }

    /// Waits in line. None: the line is full, or the time is over.
    async fn wait(self: &Arc<Self>) -> Option<Permit> {
        let (mut waiting, longest) = match self.line_up() {
            Lined::In(permit) => return Some(permit),
            Lined::Up(waiting, longest) => (waiting, longest),
            Lined::Full => return None,
        };
        match tokio::time::timeout(longest, &mut waiting.turn).await {
            Ok(turn) => turn.ok(),
            // Its turn may have come at the very end.
            Err(_) => waiting.turn.try_recv().ok(),
        }
    }

    fn line_up(self: &Arc<Self>) -> Lined<'_> {
        let mut queue = self.queue.lock();
        // A place that became free meanwhile, with nobody in line, is found here: from
        // the lock on, whoever leaves sees who waits.
        if let Some(permit) = self.try_enter() {
            return Lined::In(permit);
        }
        let max = queue.max;
        if queue.wait.is_zero() {
            return Lined::Full;
        }
        loop {
            if self.count.update(|count| count.lined_up(max)).is_some() {
                break;
            }
            match self.try_enter() {
                Some(permit) => return Lined::In(permit),
                None if self.count.load().queued >= max => return Lined::Full,
                None => {}
            }
        }
        let number = queue.next;
        queue.next += 1;
        let (giver, turn) = oneshot::channel();
        queue.waiting.insert(number, giver);
        let gate = self;
        Lined::Up(Waiting { gate, number, turn }, queue.wait)
    }

    /// Gives free places to who waits, first come, first served.
    fn hand_over(self: &Arc<Self>) {
        while let Some(turn) = self.next_in_line() {
            // Outside the lock: what is dropped here may come back to it.
            if let Err(mut unwanted) = turn.send(Permit::of(self)) {
                // It left just now; the place goes to the next.
                unwanted.gate = None;
                self.count.leave();
            }
        }
    }

    /// Takes a place for the first in line, and the first out of the line.
    fn next_in_line(&self) -> Option<oneshot::Sender<Permit>> {
        let mut queue = self.queue.lock();
        let first = queue.waiting.first_entry()?;
        let count = self.count.update(Count::called)?;
        self.saw(count);
        Some(first.remove())
    }

    fn leave(self: &Arc<Self>) {
        if self.count.leave().queued > 0 {
            self.hand_over();
        }
    }

    fn saw(&self, count: Count) {
        // Mostly a load: the most is seldom surpassed.
        if count.in_flight > self.most.load(Ordering::Relaxed) {
            self.most.fetch_max(count.in_flight, Ordering::Relaxed);
        }
    }
}

fn within(number: usize) -> u32 {
    u32::try_from(number.min(Cap::MOST)).unwrap_or(u32::MAX)
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gate").field(&self.counts()).finish()
    }
}

/// What became of one that came to a full gate.
enum Lined<'a> {
    /// A place was free after all.
    In(Permit),
    /// It waits, so long at most.
    Up(Waiting<'a>, Duration),
    /// It may not even wait.
    Full,
}

/// One in line. Dropping it leaves the line; a turn that came meanwhile goes back
/// with the receiver.
struct Waiting<'a> {
    gate: &'a Arc<Gate>,
    number: u64,
    turn: oneshot::Receiver<Permit>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut queue = self.gate.queue.lock();
        if queue.waiting.remove(&self.number).is_some() {
            self.gate.count.update(Count::gone);
        }
    }
}

impl Permit {
    fn of(gate: &Arc<Gate>) -> Self {
        Self {
            gate: Some(Arc::clone(gate)),
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(gate) = self.gate.take() {
            gate.leave();
        }
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        self.gate.on_trial.store(false, Ordering::Release);
    }
}
