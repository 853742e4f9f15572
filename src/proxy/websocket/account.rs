//! The one place that says what became of a stream: that it was opened or not,
//! and that it is over. In a drop guard, so that it is said however it ends.

use std::rc::Rc;

use crate::measure::{Observation, Streamed};
use crate::model::Backend;
use crate::proxy::worker::Worker;

/// A stream's place among those that may be open, and its account.
#[derive(Debug)]
pub(super) struct Account {
    worker: Rc<Worker>,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// No backend is known yet.
    Unplaced,
    /// Being asked.
    Asked(Backend),
    /// Open.
    Open(Backend),
    /// It is accounted for otherwise.
    Settled,
}

impl Account {
    /// Takes a place. None: all are taken, and one more is not to be opened.
    pub(super) fn open(worker: &Rc<Worker>) -> Option<Self> {
        worker.take_stream().then(|| Self {
            worker: worker.clone(),
            state: State::Unplaced,
        })
    }

    /// This backend is asked for it. If nothing else is said it was refused.
    pub(super) fn asked(&mut self, backend: Backend) {
        self.state = State::Asked(backend);
    }

    /// The backend took it.
    pub(super) fn opened(&mut self) {
        if let State::Asked(backend) = self.state {
            self.state = State::Open(backend);
            self.note(backend, Streamed::Opened);
        }
    }

    /// The request that asked for it is refused, and counted as such.
    pub(super) fn settle(&mut self) {
        self.state = State::Settled;
    }

    fn note(&self, backend: Backend, what: Streamed) {
        self.worker.note(Observation::Stream { backend, what });
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        match self.state {
            // It never belonged to a call.
            State::Unplaced => self.worker.note(Observation::Refused { status: 400 }),
            State::Asked(backend) => self.note(backend, Streamed::Refused),
            State::Open(backend) => self.note(backend, Streamed::Closed),
            State::Settled => {}
        }
        self.worker.leave_stream();
    }
}
