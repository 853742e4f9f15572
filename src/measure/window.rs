//! Exact counts over a trailing span, in slots of one second.
//!
//! Exact, because a burst of failures must weigh the same whether it came in one
//! second or in ten minutes; a decaying average would hide it. Every span that a
//! row asks for has a running total, so that reading it ten times a second costs
//! nothing and only the second that leaves a span is ever subtracted.

use std::time::Duration;

use crate::model::Tick;

/// The longest span a window can be read over.
pub const LONGEST: Duration = Duration::from_secs(3600);

/// What happened in one second. Signed inside, so that moving a mark from one
/// second to another gives the same sum in whatever order the two are heard.
pub trait Slot: Copy + Default {
    /// Adds what another slot holds.
    fn add(&mut self, other: &Self);
    /// Takes away what another slot holds.
    fn subtract(&mut self, other: &Self);
}

/// A ring of one-second slots with running totals over some trailing spans.
///
/// At a moment in second `s` a span of `n` seconds covers the seconds
/// `s - lag - n < second <= s - lag`: with no lag, the running second and the
/// `n - 1` before it. A lag lets calls be counted where they *began* and be read
/// only once they have had time to end.
#[derive(Clone, Debug)]
pub struct Window<S> {
    slots: Vec<S>,
    /// A bit for each slot: something happened in it. Where nobody calls, hours pass at
    /// the price of a glance.
    marks: Marks,
    /// The newest second the ring holds.
    head: u64,
    lag: u64,
    totals: Vec<(u64, S)>,
    /// What came into reach of the spans since the last [`Window::take_entered`].
    entered: S,
    /// The first second that has not come into reach yet.
    entered_next: u64,
}

impl<S: Slot> Window<S> {
    /// A window that keeps running totals over `spans` (each at most
    /// [`LONGEST`]; longer ones are cut to it) and can lag by up to `lag_max`.
    pub fn new(spans: &[Duration], lag_max: Duration, now: Tick) -> Self {
        let length = (LONGEST + lag_max).as_secs();
        let mut window = Self {
            slots: vec![S::default(); usize::try_from(length).expect("a few hours fit")],
            marks: Marks::new(length),
            head: now.secs(),
            lag: 0,
            totals: Vec::new(),
            entered: S::default(),
            entered_next: now.secs() + 1,
        };
        window.set_spans(spans);
        window
    }

    /// Changes what is known about the second of `at`. A moment newer than all
    /// before moves the window on; one older than the ring is ignored.
    pub fn change(&mut self, at: Tick, change: impl Fn(&mut S)) {
        let second = at.secs();
        self.advance(at);
        if second + self.length() <= self.head {
            return;
        }
        let index = self.index(second);
        change(&mut self.slots[index]);
        self.marks.set(index);
        let due = second + self.lag;
        if due <= self.head {
            for (span, total) in &mut self.totals {
                if due + *span > self.head {
                    change(total);
                }
            }
        }
        if second < self.entered_next {
            change(&mut self.entered);
        }
    }

    /// Moves the window on to `now`; never back.
    pub fn advance(&mut self, now: Tick) {
        let to = now.secs();
        if to <= self.head {
            return;
        }
        if to - self.head >= self.length() {
            // Nothing that is in the ring can still be in a span.
            self.slots.fill(S::default());
            self.marks.clear();
            for (_, total) in &mut self.totals {
                *total = S::default();
            }
            self.head = to;
            self.entered_next = self.entered_next.max((to + 1).saturating_sub(self.lag));
            return;
        }
        while self.head < to {
            self.leap(to.min(self.head + LONGEST.as_secs()));
        }
    }

    /// The sum over a trailing span. One that has a running total is read at
    /// once, any other is counted again.
    pub fn total(&self, span: Duration) -> S {
        let span = whole_seconds(span);
        self.totals
            .iter()
            .find(|(known, _)| *known == span)
            .map_or_else(|| self.recount(span), |(_, total)| *total)
    }

    /// What came into reach of the spans since the last time: one batch of the
    /// sequential test. Every event is in exactly one batch.
    pub fn take_entered(&mut self) -> S {
        std::mem::take(&mut self.entered)
    }

    /// Forgets everything that happened so far.
    pub fn clear(&mut self) {
        self.slots.fill(S::default());
        self.marks.clear();
        self.entered = S::default();
        self.entered_next = (self.head + 1).saturating_sub(self.lag);
        for (_, total) in &mut self.totals {
            *total = S::default();
        }
    }

    /// Keeps running totals over these spans from now on; what happened is kept.
    pub fn set_spans(&mut self, spans: &[Duration]) {
        let mut seconds: Vec<u64> = spans.iter().copied().map(whole_seconds).collect();
        seconds.sort_unstable();
        seconds.dedup();
        self.totals = seconds
            .into_iter()
            .map(|span| (span, self.recount(span)))
            .collect();
    }

    /// Lets the spans end so long before now, at most the `lag_max` given at first.
    pub fn set_lag(&mut self, lag: Duration) {
        let lag = lag.as_secs().min(self.length() - LONGEST.as_secs());
        if lag == self.lag {
            return;
        }
        self.lag = lag;
        for position in 0..self.totals.len() {
            let span = self.totals[position].0;
            self.totals[position].1 = self.recount(span);
        }
        // A shorter lag brings some seconds into reach at once. A longer one takes
        // none back: what the sequential test has heard it has heard.
        while self.entered_next + lag <= self.head {
            let index = self.index(self.entered_next);
            self.entered.add(&self.slots[index]);
            self.entered_next += 1;
        }
    }

    /// How long before now the spans end.
    pub const fn lag(&self) -> Duration {
        Duration::from_secs(self.lag)
    }

    /// Moves on to a second at most [`LONGEST`] ahead.
    fn leap(&mut self, to: u64) {
        let Self {
            slots,
            marks,
            totals,
            ..
        } = self;
        let from = self.head;
        // Before anything is overwritten: the longest span at the longest lag loses the
        // very slots that are about to be used again.
        for (span, total) in totals.iter_mut() {
            // Nothing happened yet in the seconds after `from`.
            let leaves = to.checked_sub(self.lag + *span).map(|last| last.min(from));
            let first = (from + 1).saturating_sub(self.lag + *span);
            marks.each(first, leaves, |index| total.subtract(&slots[index]));
        }
        self.head = to;
        marks.each(from + 1, Some(to), |index| slots[index] = S::default());
        marks.unset(from + 1, to);
        let Some(last) = to.checked_sub(self.lag) else {
            return;
        };
        let first = (from + 1).saturating_sub(self.lag);
        marks.each(first, Some(last.min(from)), |index| {
            for (_, total) in totals.iter_mut() {
                total.add(&slots[index]);
            }
        });
        let first = first.max(self.entered_next);
        marks.each(first, Some(last.min(from)), |index| {
            self.entered.add(&slots[index])
        });
        self.entered_next = self.entered_next.max(last + 1);
    }

    fn recount(&self, span: u64) -> S {
        let mut total = S::default();
        let Some(last) = self.head.checked_sub(self.lag) else {
            return total;
        };
        let oldest_kept = (self.head + 1).saturating_sub(self.length());
        for second in (last + 1).saturating_sub(span).max(oldest_kept)..=last {
            total.add(&self.slots[self.index(second)]);
        }
        total
    }

    fn length(&self) -> u64 {
        self.slots.len() as u64
    }

    fn index(&self, second: u64) -> usize {
        usize::try_from(second % self.length()).expect("an index of the ring")
    }
}

/// One bit for each slot of a ring.
#[derive(Clone, Debug)]
struct Marks {
    words: Vec<u64>,
    length: u64,
}

impl Marks {
    fn new(length: u64) -> Self {
        let words = usize::try_from(length.div_ceil(64)).expect("a few hours fit");
        Self {
            words: vec![0; words],
            length,
        }
    }

    fn set(&mut self, index: usize) {
        self.words[index / 64] |= 1 << (index % 64);
    }

    fn clear(&mut self) {
        self.words.fill(0);
    }

    /// The slots of these seconds that are marked; both ends included.
    fn each(&self, first: u64, last: Option<u64>, mut found: impl FnMut(usize)) {
        let Some(last) = last else { return };
        let mut second = first;
        while second <= last {
            let place = second % self.length;
            let index = usize::try_from(place).expect("an index of the ring");
            let word = self.words[index / 64] >> (index % 64);
            // To the next mark of this word, else to its end or the ring's.
            let rest = (64 - place % 64).min(self.length - place);
            let gap = u64::from(word.trailing_zeros()).min(rest);
            if gap < rest && second + gap <= last {
                found(index + usize::try_from(gap).expect("within a word"));
                second += gap + 1;
            } else {
                second += rest;
            }
        }
    }

    fn unset(&mut self, first: u64, last: u64) {
        for second in first..=last {
            let index = usize::try_from(second % self.length).expect("an index of the ring");
            self.words[index / 64] &= !(1 << (index % 64));
        }
    }
}

/// A span in whole seconds, at least one and at most [`LONGEST`].
pub fn whole_seconds(span: Duration) -> u64 {
    span.as_secs().clamp(1, LONGEST.as_secs())
}

/// The smallest slot there is, for the tests of everything that is made of slots.
#[cfg(test)]
pub(super) mod counting {
    use super::Slot;

    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(in crate::measure) struct Count(pub(in crate::measure) i64);

    impl Slot for Count {
        fn add(&mut self, other: &Self) {
            self.0 += other.0;
        }
        fn subtract(&mut self, other: &Self) {
            self.0 -= other.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::measure::window::counting::Count;

    const SPANS: [Duration; 4] = [
        Duration::from_secs(1),
        Duration::from_secs(60),
        Duration::from_secs(300),
        LONGEST,
    ];

    fn counted(events: &[(u64, i64)], now: u64, lag: u64, span: u64) -> i64 {
        events
            .iter()
            .filter(|(second, _)| second + lag <= now && second + lag + span > now)
            .map(|(_, weight)| weight)
            .sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_window_agrees_with_keeping_every_event_and_counting_again(
            steps in prop::collection::vec(
                // (microseconds to the next moment, how much older the event is, weight)
                (prop_oneof![
                    4 => 0u64..300_000,
                    4 => 0u64..20_000_000,
                    1 => 0u64..2_000_000_000,
                    1 => 3_000_000_000u64..30_000_000_000,
                ], prop_oneof![3 => Just(0u64), 1 => 0u64..3_000_000], 1i64..5),
                1..120,
            ),
            lag in prop_oneof![Just(0u64), 1u64..1800],
            start in 0u64..10_000_000_000,
        ) {
            let mut window = Window::new(&SPANS, Duration::from_secs(1800), Tick(start));
            window.set_lag(Duration::from_secs(lag));
            let (mut now, mut events) = (start, Vec::new());
            for (gap, older, weight) in steps {
                now += gap;
                let at = Tick(now.saturating_sub(older));
                window.advance(Tick(now));
                window.change(at, |slot: &mut Count| slot.0 += weight);
                events.push((at.secs(), weight));
                for span in SPANS {
                    let naive = counted(&events, Tick(now).secs(), lag, span.as_secs());
                    prop_assert_eq!(window.total(span).0, naive, "{:?} at {}", span, now);
                }
                let odd = Duration::from_secs(77);
                prop_assert_eq!(window.total(odd).0, counted(&events, Tick(now).secs(), lag, 77));
            }
        }

        #[test]
        fn every_event_enters_exactly_one_batch(
            gaps in prop::collection::vec(0u64..400, 1..60),
            lags in prop::collection::vec(0u64..600, 1..60),
        ) {
            let mut window = Window::new(&SPANS, Duration::from_secs(600), Tick(0));
            window.set_lag(Duration::from_secs(lags[0]));
            let (mut now, mut sent, mut heard) = (0, 0, 0);
            for (gap, lag) in gaps.iter().zip(lags.iter().cycle()) {
                now += gap;
                window.change(Tick::from_secs(now), |slot: &mut Count| slot.0 += 1);
                sent += 1;
                window.set_lag(Duration::from_secs(*lag));
                heard += window.take_entered().0;
                prop_assert!(heard <= sent);
            }
            // Second by second, so that nothing waits in the ring for longer than it is.
            for second in now..now + 700 {
                window.advance(Tick::from_secs(second));
            }
            heard += window.take_entered().0;
            prop_assert_eq!(heard, sent);
        }
    }

    #[test]
    fn an_event_leaves_a_five_minute_span_after_exactly_300_seconds() {
        let span = Duration::from_secs(300);
        let mut window = Window::new(&[span], Duration::ZERO, Tick(0));
        window.change(Tick::from_secs(10), |slot: &mut Count| slot.0 += 1);
        window.advance(Tick::from_secs(309));
        assert_eq!(window.total(span).0, 1);
        window.advance(Tick::from_secs(310));
        assert_eq!(window.total(span).0, 0);
    }

    #[test]
    fn a_new_span_is_counted_from_what_is_already_known() {
        let mut window = Window::new(&[], Duration::ZERO, Tick(0));
        for second in 0..100 {
            window.change(Tick::from_secs(second), |slot: &mut Count| slot.0 += 1);
        }
        window.set_spans(&[Duration::from_secs(60)]);
        assert_eq!(window.total(Duration::from_secs(60)).0, 60);
        window.clear();
        assert_eq!(window.total(Duration::from_secs(60)).0, 0);
    }
}
