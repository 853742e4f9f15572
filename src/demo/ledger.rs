//! What became of the demo's calls, as the callers saw it: the proxy is not asked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::model::{Backend, PerBackend, Tick};

/// How a call ended for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Got what they wanted.
    Served,
    /// Was connected to a person, and afterwards heard that we were sorry.
    SorryAfter,
    /// Was connected to a person, and afterwards waited in vain.
    SilenceAfter,
    /// Thought better of it and hung up in the middle of a menu.
    HungUp,
    /// Heard that we were sorry instead of what they wanted.
    Apology,
    /// Heard the platform's error, or waited for an answer in vain.
    Lost,
}

/// When a call began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Era {
    /// Before the fault, or long after it.
    #[default]
    Well,
    /// New is broken and nothing has been reversed.
    Failing,
    /// After the reversal.
    Reversed,
}

/// Calls of one backend.
#[derive(Debug, Default)]
pub(crate) struct Side {
    /// Calls in progress.
    pub(crate) running: AtomicI64,
    /// See [`Fate::Served`].
    pub(crate) served: AtomicU64,
    /// See [`Fate::HungUp`].
    pub(crate) hung_up: AtomicU64,
    /// See [`Fate::Lost`]; those of [`Fate::Apology`] are among them.
    pub(crate) lost: AtomicU64,
    /// Calls that it took over from the other, however they ended.
    pub(crate) rescued: AtomicU64,
}

/// The book of all calls.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Calls begun.
    pub(crate) begun: AtomicU64,
    /// By the backend that answered them.
    pub(crate) sides: PerBackend<Side>,
    /// Calls that went from legacy to new, or from new to legacy without having been
    /// sent there. Must stay 0.
    pub(crate) moved: AtomicU64,
    /// Calls begun after the reversal, of tenants that new answered before it,
    /// and served by legacy.
    pub(crate) spared: AtomicU64,
    /// Calls of new's tenants that went straight to legacy between the fault and the
    /// reversal, because it was known to fail: when they were answered. New never heard
    /// of them. As many as begin in that time.
    kept: Mutex<Vec<Tick>>,
    /// Of the lost, those of [`Fate::Apology`].
    pub(crate) apologies: AtomicU64,
    /// Of the served, those of [`Fate::SorryAfter`].
    pub(crate) sorry_after: AtomicU64,
    /// Of the served, those of [`Fate::SilenceAfter`].
    pub(crate) silence_after: AtomicU64,
    /// Microseconds that the caller waited whose rescue took longest.
    rescue_max: AtomicU64,
    /// See [`Ledger::enters`].
    era: Mutex<Era>,
    /// Who answered a tenant first. As many as the demo has tenants.
    homes: Mutex<HashMap<&'static str, Backend>>,
}

/// A call in the book.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    tenant: &'static str,
    era: Era,
    /// Who answered it last; before anybody did, who will have been asked.
    pub(crate) backend: Backend,
}

impl Ledger {
    /// A call begins.
    pub(crate) fn begin(&self, tenant: &'static str) -> Line {
        let era = *self.era.lock();
        let backend = match era {
            Era::Reversed => Backend::Legacy,
            Era::Well | Era::Failing => self.home(tenant),
        };
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.sides[backend].running.fetch_add(1, Ordering::Relaxed);
        Line {
            tenant,
            era,
            backend,
        }
    }

    /// Its first answer came from there. `new_met`: new had heard of it, as its own book
    /// says.
    pub(crate) fn answered(&self, line: &mut Line, backend: Backend, new_met: bool, now: Tick) {
        if line.era != Era::Reversed && (backend == Backend::New || !new_met) {
            self.homes.lock().entry(line.tenant).or_insert(backend);
        }
        // Begun before the reversal and answered after it, it shows nothing.
        let before = line.era == Era::Failing && *self.era.lock() == Era::Failing;
        let unheard_of = backend == Backend::Legacy && !new_met && before;
        if unheard_of && self.home(line.tenant) == Backend::New {
            self.kept.lock().push(now);
        }
        self.goes_to(line, backend);
    }

    /// Legacy answered it after new had failed it; the caller waited so long.
    pub(crate) fn rescued(&self, line: &mut Line, waited: Duration) {
        self.goes_to(line, Backend::Legacy);
        let side = &self.sides[Backend::Legacy];
        side.rescued.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        self.rescue_max.fetch_max(micros, Ordering::Relaxed);
    }

    /// It goes on there.
    pub(crate) fn goes_to(&self, line: &mut Line, backend: Backend) {
        if line.backend != backend {
            self.sides[line.backend]
                .running
                .fetch_sub(1, Ordering::Relaxed);
            self.sides[backend].running.fetch_add(1, Ordering::Relaxed);
            line.backend = backend;
        }
    }

    /// It is over.
    pub(crate) fn end(&self, line: Line, fate: Fate) {
        let side = &self.sides[line.backend];
        side.running.fetch_sub(1, Ordering::Relaxed);
        let count = match fate {
            Fate::Served | Fate::SorryAfter | Fate::SilenceAfter => &side.served,
            Fate::HungUp => &side.hung_up,
            Fate::Lost | Fate::Apology => &side.lost,
        };
        count.fetch_add(1, Ordering::Relaxed);
        let told = match fate {
            Fate::Apology => Some(&self.apologies),
            Fate::SorryAfter => Some(&self.sorry_after),
            Fate::SilenceAfter => Some(&self.silence_after),
            Fate::Served | Fate::HungUp | Fate::Lost => None,
        };
        if let Some(count) = told {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let legacy_served = line.backend == Backend::Legacy && fate == Fate::Served;
        if line.era == Era::Reversed && legacy_served && self.home(line.tenant) == Backend::New {
            self.spared.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Calls that begin from now on belong to that era.
    pub(crate) fn enters(&self, era: Era) {
        *self.era.lock() = era;
    }

    /// The reversal came at `at`, and was noticed only now: what legacy answered since
    /// then, it answered because of it.
    pub(crate) fn reversed(&self, at: Tick) {
        self.kept.lock().retain(|answered| *answered < at);
        self.enters(Era::Reversed);
    }

    /// Calls of new's tenants that were kept from it while it was known to fail.
    pub(crate) fn kept(&self) -> usize {
        self.kept.lock().len()
    }

    /// Calls that a backend took over from the other.
    pub(crate) fn rescues(&self) -> u64 {
        self.sum(|side| &side.rescued)
    }

    /// Calls lost, on both sides.
    pub(crate) fn lost(&self) -> u64 {
        self.sum(|side| &side.lost)
    }

    /// How long the caller waited whose rescue took longest.
    pub(crate) fn rescue_max(&self) -> Duration {
        Duration::from_micros(self.rescue_max.load(Ordering::Relaxed))
    }

    /// Calls in progress on both.
    pub(crate) fn running(&self) -> i64 {
        let sides = Backend::ALL.map(|backend| &self.sides[backend]);
        sides
            .iter()
            .map(|side| side.running.load(Ordering::Relaxed))
            .sum()
    }

    fn sum(&self, of: impl Fn(&Side) -> &AtomicU64) -> u64 {
        let sides = Backend::ALL.map(|backend| of(&self.sides[backend]).load(Ordering::Relaxed));
        sides.iter().sum()
    }

    fn home(&self, tenant: &str) -> Backend {
        let homes = self.homes.lock();
        homes.get(tenant).copied().unwrap_or(Backend::Legacy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Tick = Tick::from_secs(4000);

    fn count(count: &AtomicU64) -> u64 {
        count.load(Ordering::Relaxed)
    }

    #[test]
    fn a_call_lost_without_any_answer_is_held_against_its_tenants_backend() {
        let book = Ledger::default();
        let mut line = book.begin("a");
        book.answered(&mut line, Backend::New, true, AT);
        book.end(line, Fate::Served);
        book.end(book.begin("a"), Fate::Lost);
        book.end(book.begin("b"), Fate::Lost);
        let new = &book.sides.new;
        assert_eq!((count(&new.served), count(&new.lost)), (1, 1));
        assert_eq!(count(&book.sides.legacy.lost), 1);
        assert_eq!(book.running(), 0);
    }

    #[test]
    fn spared_is_a_call_of_news_tenant_that_legacy_served_after_the_reversal() {
        let book = Ledger::default();
        for (tenant, backend) in [("n", Backend::New), ("l", Backend::Legacy)] {
            let mut line = book.begin(tenant);
            book.answered(&mut line, backend, backend == Backend::New, AT);
            book.end(line, Fate::Served);
        }
        let early = book.begin("n");
        book.enters(Era::Reversed);
        book.end(early, Fate::Served);
        assert_eq!(count(&book.spared), 0, "it began before");
        for (tenant, fate) in [("n", Fate::Served), ("n", Fate::Lost), ("l", Fate::Served)] {
            let mut line = book.begin(tenant);
            book.answered(&mut line, Backend::Legacy, false, AT);
            book.end(line, fate);
        }
        assert_eq!(count(&book.spared), 1);
    }

    #[test]
    fn a_rescued_call_is_legacy_s_and_counted_once_and_its_tenant_is_still_new_s() {
        let book = Ledger::default();
        // The very first call of its tenant: new was asked, and failed.
        let mut line = book.begin("n");
        book.answered(&mut line, Backend::Legacy, true, AT);
        book.rescued(&mut line, Duration::from_millis(40));
        book.end(line, Fate::Served);
        assert_eq!(book.home("n"), Backend::Legacy, "nobody has told yet");
        let mut line = book.begin("n");
        book.answered(&mut line, Backend::New, true, AT);
        book.rescued(&mut line, Duration::from_millis(700));
        assert_eq!(book.sides.new.running.load(Ordering::Relaxed), 0);
        book.end(line, Fate::HungUp);
        assert_eq!(book.home("n"), Backend::New);
        assert_eq!((book.rescues(), book.lost(), book.running()), (2, 0, 0));
        assert_eq!(book.rescue_max(), Duration::from_millis(700));
        assert_eq!(count(&book.sides.legacy.served), 1);
        assert_eq!(book.kept(), 0);
    }

    #[test]
    fn kept_is_a_call_of_new_s_tenant_that_new_never_met_while_it_was_failing() {
        let book = Ledger::default();
        book.answered(&mut book.begin("n"), Backend::New, true, AT);
        for (era, kept) in [(Era::Well, 0), (Era::Failing, 1), (Era::Reversed, 1)] {
            book.enters(era);
            for (tenant, met) in [("n", false), ("n", true), ("l", false)] {
                book.answered(&mut book.begin(tenant), Backend::Legacy, met, AT);
            }
            assert_eq!(book.kept(), kept, "{era:?}");
        }
        book.enters(Era::Failing);
        let mut overtaken = book.begin("n");
        book.reversed(AT + Duration::from_millis(1));
        assert_eq!(book.kept(), 1);
        book.answered(&mut overtaken, Backend::Legacy, false, AT);
        assert_eq!(book.kept(), 1);
        book.reversed(AT);
        assert_eq!(book.kept(), 0, "it was the reversal that sent it there");
    }

    #[test]
    fn an_apology_is_a_lost_call_unless_the_caller_had_been_connected() {
        let book = Ledger::default();
        book.end(book.begin("a"), Fate::Apology);
        book.end(book.begin("a"), Fate::SorryAfter);
        book.end(book.begin("a"), Fate::SilenceAfter);
        let side = &book.sides.legacy;
        assert_eq!((count(&side.lost), count(&side.served)), (1, 2));
        assert_eq!((count(&book.apologies), count(&book.sorry_after)), (1, 1));
        assert_eq!(count(&book.silence_after), 1);
    }
}
