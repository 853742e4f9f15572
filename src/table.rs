//! The call table.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::document::Does;
use crate::measure::{Ended, Voice};
use crate::model::{Backend, CallKey, TenantKey, Tick};
use crate::protocol::{CallEvent, EventKind, Final};
use crate::split::{Because, Placement, Split, Subject};

/// Where a request sits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seat {
    /// The call.
    pub key: Option<CallKey>,
    /// Where.
    pub placement: Placement,
    /// First seen now.
    pub begins: bool,
    /// Not yet started.
    pub starting: bool,
    /// Routing generation it was placed under.
    pub generation: u64,
}

/// The call table.
#[derive(Debug, Default)]
pub struct Table {
    calls: Mutex<HashMap<CallKey, (Backend, bool)>>,
}

impl Table {
    /// Places a request.
    pub fn place(
        &self,
        event: &CallEvent<'_>,
        subject: &Subject<'_>,
        split: &Split,
        _now: Tick,
    ) -> Seat {
        let key = CallKey::new(&event.call, 7);
        let mut calls = self.calls.lock();
        let voice = matches!(event.kind, EventKind::Start | EventKind::Step);
        if let Some((backend, started)) = calls.get(&key).copied() {
            return Seat {
                key: Some(key),
                placement: Placement {
                    backend,
                    because: Because::Pinned,
                },
                begins: false,
                starting: voice && !started,
                generation: split.generation,
            };
        }
        let placement = split.place(subject);
        calls.insert(key, (placement.backend, false));
        Seat {
            key: Some(key),
            placement,
            begins: true,
            starting: voice,
            generation: split.generation,
        }
    }

    /// Starts a call.
    pub fn start(&self, seat: &mut Seat, subject: &Subject<'_>, split: &Split, _now: Tick) {
        let Some(key) = seat.key else { return };
        if split.latched && seat.placement.backend == Backend::New {
            seat.placement = split.place(subject);
        }
        self.calls
            .lock()
            .insert(key, (seat.placement.backend, true));
        seat.starting = false;
    }

    /// Hears a voice.
    pub fn heard(
        &self,
        seat: &Seat,
        failed: Option<bool>,
        _does: Does,
        _served: bool,
        _now: Tick,
    ) -> Option<Voice> {
        seat.key?;
        Some(Voice {
            tenant: TenantKey::NONE,
            failed: failed?,
            previous: None,
            previous_failed: None,
        })
    }

    /// Ends a call.
    pub fn finish(&self, _event: &CallEvent<'_>, _end: &Final, _now: Tick) -> Option<Ended> {
        None
    }
}
