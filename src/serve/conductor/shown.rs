//! What others are shown of us: the status, the metrics, and to the supervisor that we turn.

use std::sync::Arc;

use super::Conductor;
use crate::clock;
use crate::metrics::Mishaps;
use crate::model::{Backend, Tick};
use crate::proxy::pulse::Mishap;
use crate::serve::logs::Which;

impl Conductor {
    pub(super) fn publish_status(&mut self) {
        let mut status = self.parts.engine.status(clock::tick(), clock::wall());
        status.notes.extend(self.differs.as_ref().map(|differs| {
            format!("what runs is not what the journal says, a restart would change it: {differs}")
        }));
        let table = &self.parts.shared.table;
        self.parts.metrics.status(&status);
        self.parts
            .metrics
            .table(table.len() as u64, table.evictions());
        for backend in Backend::ALL {
            let counts = self.parts.shared.gates[backend].counts();
            self.parts.metrics.gate(backend, &counts);
        }
        let trust = &self.parts.shared.trust;
        self.parts
            .metrics
            .signatures_forgotten(trust.forgotten_early());
        self.parts
            .metrics
            .pins_unsaved(self.parts.pins.dropped() + self.parts.pins.failed());
        let pulse = &self.parts.shared.pulse;
        self.parts.metrics.mishaps(&Mishaps {
            accept_errors: pulse.count(Mishap::Accept),
            connections_refused: pulse.count(Mishap::Source),
            ports: pulse.count(Mishap::Port),
            descriptors: pulse.count(Mishap::Descriptor),
            panics: pulse.count(Mishap::Panic),
            workers_replaced: self.parts.crew.replaced(),
            access_log_dropped: self.logs.dropped(Which::Access),
            outcomes_dropped: self.logs.dropped(Which::Outcomes),
            decisions_dropped: self.logs.dropped(Which::Decisions),
        });
        if !self.draining {
            self.parts.supervisor.status(&status);
        }
        self.parts.status.store(Arc::new(status));
    }

    /// A supervisor restarts what no longer turns: this thread, which would not come
    /// here, or any worker, which would keep its part of the callers waiting. Workers
    /// that drain end one by one and are waited for elsewhere.
    pub(super) fn tell_that_we_turn(&mut self, now: Tick) {
        let Some(since) = self.parts.supervisor.due(now) else {
            return;
        };
        if self.draining || self.parts.shared.pulse.all_since(since) {
            self.parts.supervisor.turning(now);
        }
    }
}
