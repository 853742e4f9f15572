//! What became of the demo's calls, as the callers saw it: the proxy is not asked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::model::{Backend, PerBackend};

/// How a call ended for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Got what they wanted.
    Served,
    /// Thought better of it and hung up in the middle of a menu.
    HungUp,
    /// Heard the platform's error, or waited for an answer in vain.
    Lost,
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
    /// See [`Fate::Lost`].
    pub(crate) lost: AtomicU64,
}

/// The book of all calls.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Calls begun.
    pub(crate) begun: AtomicU64,
    /// By the backend that answered them.
    pub(crate) sides: PerBackend<Side>,
    /// Calls that met both backends. Must stay 0.
    pub(crate) moved: AtomicU64,
    /// Calls begun after the reversal, of tenants that new answered before it,
    /// and served by legacy.
    pub(crate) spared: AtomicU64,
    /// Has the reversal been seen?
    reversed: AtomicBool,
    /// Who answered a tenant first. As many as the demo has tenants.
    homes: Mutex<HashMap<&'static str, Backend>>,
}

/// A call in the book.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    tenant: &'static str,
    after: bool,
    /// Who answered it; before anybody did, who will have been asked.
    pub(crate) backend: Backend,
}

impl Ledger {
    /// A call begins.
    pub(crate) fn begin(&self, tenant: &'static str) -> Line {
        let after = self.reversed.load(Ordering::Relaxed);
        let backend = if after {
            Backend::Legacy
        } else {
            self.home(tenant)
        };
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.sides[backend].running.fetch_add(1, Ordering::Relaxed);
        Line {
            tenant,
            after,
            backend,
        }
    }

    /// Its first answer came from there.
    pub(crate) fn answered(&self, line: &mut Line, backend: Backend) {
        if !line.after {
            self.homes.lock().entry(line.tenant).or_insert(backend);
        }
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
            Fate::Served => &side.served,
            Fate::HungUp => &side.hung_up,
            Fate::Lost => &side.lost,
        };
        count.fetch_add(1, Ordering::Relaxed);
        let legacy_served = line.backend == Backend::Legacy && fate == Fate::Served;
        if line.after && legacy_served && self.home(line.tenant) == Backend::New {
            self.spared.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// From now on, or no longer, calls begin after the reversal.
    pub(crate) fn set_reversed(&self, reversed: bool) {
        self.reversed.store(reversed, Ordering::Relaxed);
    }

    /// Calls in progress on both.
    pub(crate) fn running(&self) -> i64 {
        let sides = Backend::ALL.map(|backend| &self.sides[backend]);
        sides
            .iter()
            .map(|side| side.running.load(Ordering::Relaxed))
            .sum()
    }

    fn home(&self, tenant: &str) -> Backend {
        let homes = self.homes.lock();
        homes.get(tenant).copied().unwrap_or(Backend::Legacy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(count: &AtomicU64) -> u64 {
        count.load(Ordering::Relaxed)
    }

    #[test]
    fn a_call_lost_without_any_answer_is_held_against_its_tenants_backend() {
        let book = Ledger::default();
        let mut line = book.begin("a");
        book.answered(&mut line, Backend::New);
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
            book.answered(&mut line, backend);
            book.end(line, Fate::Served);
        }
        let early = book.begin("n");
        book.set_reversed(true);
        book.end(early, Fate::Served);
        assert_eq!(count(&book.spared), 0, "it began before");
        for (tenant, fate) in [("n", Fate::Served), ("n", Fate::Lost), ("l", Fate::Served)] {
            let mut line = book.begin(tenant);
            book.answered(&mut line, Backend::Legacy);
            book.end(line, fate);
        }
        assert_eq!(count(&book.spared), 1);
    }
}
