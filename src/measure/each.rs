//! What is known of each tenant on new by itself, so that one whose flow is broken can
//! be found and taken back alone.
//!
//! Counts in slots of ten seconds, with a running total for every span that a row asks
//! for. Only the busiest [`EACH_MAX`] are kept: who comes on top of them takes the place
//! of the one that calls least. At the very worst, each of them heard in every ten
//! seconds of two hours, that is some 60 MB; a thousand tenants with a call a minute are 6.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::time::Duration;

use super::counts::{TenantAnswers, TenantEnds};
use super::tenants::AsItIs;
use super::window::{Slot, whole_seconds};
use crate::model::{TenantKey, Tick};

/// Tenants that are told apart.
pub const EACH_MAX: usize = 1024;

/// Seconds in a slot.
const WIDTH: u64 = 10;

/// Slots that a lag may reach back: an hour.
const LAG_SLOTS: u64 = 360;

/// A mark that is moved: where it stood, and what is taken back there.
pub type Mark = (Option<Tick>, fn(&mut TenantAnswers));

/// Counts by tenant.
#[derive(Clone, Debug)]
pub struct Each {
    /// At most [`EACH_MAX`].
    of: HashMap<TenantKey, One, BuildHasherDefault<AsItIs>>,
    /// Every span in slots, ascending; the last is the longest.
    spans: Vec<u64>,
    /// How many slots before now the spans of ends end.
    lag: u64,
    /// The running slot.
    now: u64,
    /// Who was heard since the last [`Each::take_heard`].
    touched: Vec<TenantKey>,
    /// Who was in the last one.
    heard_last: Vec<TenantKey>,
}

/// One tenant's.
#[derive(Clone, Debug)]
struct One {
    answers: Held<TenantAnswers>,
    ends: Held<TenantEnds>,
    /// It is among those touched.
    touched: bool,
    /// When it was last heard.
    heard: Tick,
}

/// What was heard of one tenant since the last time: one batch of its sequential tests.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// Whose.
    pub tenant: TenantKey,
    /// What was answered.
    pub answers: TenantAnswers,
    /// Which ends became mature.
    pub ends: TenantEnds,
}

impl Each {
    /// Nobody is known yet.
    pub fn new(spans: &[Duration], now: Tick) -> Self {
        let mut each = Self {
            of: HashMap::default(),
            spans: Vec::new(),
            lag: 0,
            now: now.secs() / WIDTH,
            touched: Vec::new(),
            heard_last: Vec::new(),
        };
        each.set_spans(spans);
        each
    }

    /// Keeps totals over these spans from now on, each rounded up to ten seconds and at
    /// most an hour. What happened is kept.
    pub fn set_spans(&mut self, spans: &[Duration]) {
        let mut slots: Vec<u64> = spans.iter().map(|span| slots(*span)).collect();
        slots.sort_unstable();
        slots.dedup();
        if slots == self.spans {
            return;
        }
        self.spans = slots;
        for one in self.of.values_mut() {
            one.answers.recount(&self.spans, one.answers.head);
            one.ends.recount(&self.spans, one.ends.head);
        }
    }

    /// Ends count from so long after their call began.
    pub fn set_lag(&mut self, lag: Duration) {
        let lag = (lag.as_secs() / WIDTH).min(LAG_SLOTS);
        if lag == self.lag {
            return;
        }
        self.lag = lag;
        let head = self.now.saturating_sub(lag);
        for (tenant, one) in &mut self.of {
            one.ends.recount(&self.spans, head);
            touch(one, *tenant, &mut self.touched);
        }
    }

    /// A tenant's call was answered; `marks` are what it takes back from where it spoke
    /// before.
    pub fn answered(
        &mut self,
        at: Tick,
        tenant: TenantKey,
        change: impl Fn(&mut TenantAnswers),
        marks: [Mark; 2],
    ) {
        self.advance(at);
        let Some((one, spans, touched)) = self.one(tenant, at) else {
            return;
        };
        one.heard = one.heard.max(at);
        one.answers.change(spans, at.secs() / WIDTH, true, change);
        for (mark, change) in marks {
            // A mark of before this tenant had a place here was never set.
            if let Some(mark) = mark {
                one.answers
                    .change(spans, mark.secs() / WIDTH, false, change);
            }
        }
        touch(one, tenant, touched);
    }

    /// Somebody reported something of a tenant.
    pub fn reported(&mut self, at: Tick, tenant: TenantKey, change: impl Fn(&mut TenantAnswers)) {
        self.answered(at, tenant, change, [(None, |_| ()), (None, |_| ())]);
    }

    /// A tenant's call is over: it counts where it began.
    pub fn ended(
        &mut self,
        at: Tick,
        began: Tick,
        tenant: TenantKey,
        change: impl Fn(&mut TenantEnds),
    ) {
        self.advance(at);
        if let Some((one, spans, touched)) = self.one(tenant, at) {
            one.ends.change(spans, began.secs() / WIDTH, true, change);
            touch(one, tenant, touched);
        }
    }

    /// Moves every span on to now, and forgets who is in none any more.
    pub fn advance(&mut self, now: Tick) {
        let to = now.secs() / WIDTH;
        if to <= self.now {
            return;
        }
        self.now = to;
        let ends_to = to.saturating_sub(self.lag);
        let Self {
            of, spans, touched, ..
        } = self;
        of.retain(|tenant, one| {
            one.answers.advance(spans, to);
            one.ends.advance(spans, ends_to);
            if one.ends.entered != TenantEnds::default() {
                touch(one, *tenant, touched);
            }
            one.touched || !one.answers.slots.is_empty() || !one.ends.slots.is_empty()
        });
    }

    /// What was heard of each tenant since the last time.
    pub fn take_heard(&mut self) -> Vec<Heard> {
        self.heard_last.clear();
        std::mem::swap(&mut self.heard_last, &mut self.touched);
        let Self { of, heard_last, .. } = self;
        heard_last
            .iter()
            .filter_map(|tenant| {
                let one = of.get_mut(tenant)?;
                one.touched = false;
                Some(Heard {
                    tenant: *tenant,
                    answers: std::mem::take(&mut one.answers.entered),
                    ends: std::mem::take(&mut one.ends.entered),
                })
            })
            .collect()
    }

    /// Who was heard when [`Each::take_heard`] was asked last.
    pub fn heard_last(&self) -> &[TenantKey] {
        &self.heard_last
    }

    /// One tenant's counts over a span, if anything is known of it.
    pub fn of(&self, tenant: TenantKey, span: Duration) -> Option<(TenantAnswers, TenantEnds)> {
        let one = self.of.get(&tenant)?;
        let place = self.place(span);
        Some((one.answers.total(place), one.ends.total(place)))
    }

    /// Every tenant's counts over a span, in no order.
    pub fn all(
        &self,
        span: Duration,
    ) -> impl Iterator<Item = (TenantKey, TenantAnswers, TenantEnds)> {
        let place = self.place(span);
        self.of
            .iter()
            .map(move |(tenant, one)| (*tenant, one.answers.total(place), one.ends.total(place)))
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.of.len()
    }

    /// Is nobody known?
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// Forgets one tenant.
    pub fn forget(&mut self, tenant: TenantKey) {
        self.of.remove(&tenant);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.of.clear();
        self.touched.clear();
        self.heard_last.clear();
    }

    fn place(&self, span: Duration) -> usize {
        let slots = slots(span);
        let known = self.spans.iter().position(|known| *known == slots);
        known.unwrap_or(usize::MAX)
    }

    /// A tenant's place, which may cost the one its own that calls least.
    fn one(
        &mut self,
        tenant: TenantKey,
        at: Tick,
    ) -> Option<(&mut One, &[u64], &mut Vec<TenantKey>)> {
        if tenant == TenantKey::NONE {
            return None;
        }
        if self.of.len() >= EACH_MAX && !self.of.contains_key(&tenant) {
            let longest = self.spans.len().saturating_sub(1);
            let least = self
                .of
                .iter()
                .min_by_key(|(_, one)| (one.answers.total(longest).calls, one.heard))
                .map(|(tenant, _)| *tenant);
            self.of.remove(&least?);
        }
        let (spans, now, lag) = (&self.spans, self.now, self.lag);
        let one = self.of.entry(tenant).or_insert_with(|| One {
            answers: Held::new(spans.len(), now),
            ends: Held::new(spans.len(), now.saturating_sub(lag)),
            touched: false,
            heard: at,
        });
        Some((one, spans, &mut self.touched))
    }
}

fn touch(one: &mut One, tenant: TenantKey, touched: &mut Vec<TenantKey>) {
    if !std::mem::replace(&mut one.touched, true) {
        touched.push(tenant);
    }
}

fn slots(span: Duration) -> u64 {
    whole_seconds(span).div_ceil(WIDTH)
}

/// The slots in which something happened, oldest first, and totals over trailing spans.
#[derive(Clone, Debug)]
struct Held<C> {
    slots: VecDeque<(u64, C)>,
    /// One for each span: what lies after `head - span`, up to `head`.
    totals: Vec<C>,
    head: u64,
    /// What came into reach since it was taken.
    entered: C,
    /// The newest slot that has come into reach.
    entered_to: u64,
}

impl<C: Slot> Held<C> {
    fn new(spans: usize, head: u64) -> Self {
        Self {
            slots: VecDeque::new(),
            totals: vec![C::default(); spans],
            head,
            entered: C::default(),
            entered_to: head,
        }
    }

    fn total(&self, place: usize) -> C {
        self.totals.get(place).copied().unwrap_or_default()
    }

    /// Changes a slot; one that is not there is made only if `make`.
    fn change(&mut self, spans: &[u64], slot: u64, make: bool, change: impl Fn(&mut C)) {
        let longest = spans.last().copied().unwrap_or(0);
        if slot + longest <= self.head {
            return;
        }
        let place = self.slots.partition_point(|(at, _)| *at < slot);
        match self.slots.get_mut(place) {
            Some((at, counts)) if *at == slot => change(counts),
            _ if make => {
                let mut counts = C::default();
                change(&mut counts);
                self.slots.insert(place, (slot, counts));
            }
            _ => return,
        }
        if slot <= self.head {
            for (span, total) in spans.iter().zip(&mut self.totals) {
                if slot + span > self.head {
                    change(total);
                }
            }
        }
        if slot <= self.entered_to {
            change(&mut self.entered);
        }
    }

    fn advance(&mut self, spans: &[u64], to: u64) {
        if to <= self.head {
            return;
        }
        // Only what lies on a border changes a total, and slots are in order.
        let after = |slot: u64| self.slots.partition_point(|(at, _)| *at <= slot);
        for (span, total) in spans.iter().zip(&mut self.totals) {
            let (was, is) = (self.head.checked_sub(*span), to.checked_sub(*span));
            let kept = is.map_or(0, after);
            let (from, head) = (was.map_or(0, after), after(self.head));
            for (_, counts) in self.slots.range(from..kept.min(head).max(from)) {
                total.subtract(counts);
            }
            for (_, counts) in self
                .slots
                .range(head.max(kept)..after(to).max(head.max(kept)))
            {
                total.add(counts);
            }
        }
        self.enter(to);
        self.head = to;
        let longest = spans.last().copied().unwrap_or(0);
        while self
            .slots
            .front()
            .is_some_and(|(slot, _)| slot + longest <= to)
        {
            self.slots.pop_front();
        }
    }

    fn recount(&mut self, spans: &[u64], head: u64) {
        self.enter(head);
        self.head = head;
        self.totals = vec![C::default(); spans.len()];
        for (slot, counts) in self.slots.iter().filter(|(slot, _)| *slot <= head) {
            for (span, total) in spans.iter().zip(&mut self.totals) {
                if slot + span > head {
                    total.add(counts);
                }
            }
        }
    }

    /// What has come into reach comes only once.
    fn enter(&mut self, to: u64) {
        let newest = self.slots.iter().rev().skip_while(|(slot, _)| *slot > to);
        for (_, counts) in newest.take_while(|(slot, _)| *slot > self.entered_to) {
            self.entered.add(counts);
        }
        self.entered_to = self.entered_to.max(to);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPANS: [Duration; 2] = [Duration::from_secs(300), Duration::from_secs(3600)];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn each_tenants_totals_agree_with_keeping_every_event(
            steps in prop::collection::vec((0u64..700, 0u64..40, 1u64..4), 1..80),
            lag in prop_oneof![Just(0u64), Just(600u64)],
        ) {
            let mut each = Each::new(&SPANS, Tick(0));
            each.set_lag(Duration::from_secs(lag));
            let (mut now, mut events) = (0u64, Vec::new());
            let mut entered = [0i32; 4];
            for (gap, older, tenant) in steps {
                now += gap;
                let (at, began) = (Tick::from_secs(now), Tick::from_secs(now.saturating_sub(older)));
                let key = TenantKey(tenant);
                each.answered(at, key, |slot| slot.good += 1, [(None, |_| ()), (None, |_| ())]);
                each.ended(at, began, key, |slot| slot.served += 1);
                events.push((now / 10, began.secs() / 10, tenant));
                for heard in each.take_heard() {
                    entered[heard.tenant.0 as usize] += heard.ends.served;
                }
                for tenant in 1..4u64 {
                    let mine = || events.iter().filter(|(.., whose)| *whose == tenant);
                    for span in SPANS {
                        let slots = span.as_secs() / 10;
                        let (answers, ends) = each.of(TenantKey(tenant), span).unwrap_or_default();
                        let good = mine().filter(|(slot, ..)| slot + slots > now / 10).count();
                        prop_assert_eq!(answers.good as usize, good);
                        let head = (now / 10).saturating_sub(lag / 10);
                        let served = mine()
                            .filter(|(_, slot, _)| *slot <= head && slot + slots > head)
                            .count();
                        prop_assert_eq!(ends.served as usize, served, "{} at {}", tenant, now);
                    }
                }
            }
            for second in (now..now + 700).step_by(10) {
                each.advance(Tick::from_secs(second));
                for heard in each.take_heard() {
                    entered[heard.tenant.0 as usize] += heard.ends.served;
                }
            }
            prop_assert_eq!(entered.iter().sum::<i32>() as usize, events.len());
        }
    }

    #[test]
    fn who_calls_least_makes_room_and_the_busy_ones_stay() {
        let mut each = Each::new(&SPANS, Tick(0));
        let call = |each: &mut Each, tenant| {
            each.answered(
                Tick(0),
                TenantKey(tenant),
                |slot| slot.calls += 1,
                [(None, |_| ()), (None, |_| ())],
            );
        };
        (0..5).for_each(|_| call(&mut each, 1));
        (2..5000).for_each(|tenant| call(&mut each, tenant));
        assert_eq!(each.len(), EACH_MAX);
        assert!(each.of(TenantKey(1), SPANS[0]).is_some());
        each.advance(Tick::from_secs(3610));
        each.take_heard();
        each.advance(Tick::from_secs(3620));
        assert!(each.is_empty(), "quiet for the longest span");
    }
}
