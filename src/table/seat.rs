//! What the table hands out, and how it hashes.

use std::hash::{BuildHasher, Hasher};

use crate::calls::{Call, Flags};
use crate::model::{Backend, CallKey, Tick};
use crate::split::{Because, Placement, Split};

/// One request's place: where it goes, and what it is to its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The call; None where none begins with this webhook.
    pub key: Option<CallKey>,
    /// Where the request goes, and because.
    pub placement: Placement,
    /// A call is seen for the first time and is pinned now. Not set for legs.
    pub begins: bool,
    /// This would be the first voice webhook of the call that leaves for a
    /// backend: pass the seat to [`super::Table::start`] just before it does.
    pub starting: bool,
    /// The caller's first choice from a menu came with this webhook.
    pub chose: bool,
    /// Routing generation under which the call was placed.
    pub generation: u64,
    /// When the call began, as far as the clock reaches back: what a token made for it
    /// says. None where none begins with this webhook.
    pub began: Option<Tick>,
    pub(super) flags: Flags,
    /// Why the call is where it is.
    pub(super) origin: Because,
}

impl Seat {
    /// A webhook that begins no call.
    pub const fn passing(placement: Placement, generation: u64) -> Self {
        Self {
            key: None,
            placement,
            begins: false,
            starting: false,
            chose: false,
            generation,
            began: None,
            flags: Flags::NONE,
            origin: placement.because,
        }
    }

    /// Has a backend soundly answered the call before?
    pub const fn is_answered(&self) -> bool {
        self.flags.has(Flags::ANSWERED)
    }

    /// Is it a leg that another call made?
    pub const fn is_leg(&self) -> bool {
        self.flags.has(Flags::LEG)
    }

    /// Did its backend start the call itself?
    pub fn is_claimed(&self) -> bool {
        self.origin == Because::Claimed
    }

    /// Would this be a new call on its backend? A leg of a call that is there is none,
    /// nor a call that the backend began itself, nor one that a token says was there:
    /// nobody else knows of them.
    pub fn is_new_call(&self) -> bool {
        let belongs = matches!(
            self.origin,
            Because::Inherited | Because::Claimed | Because::Token
        );
        let anew = matches!(self.placement.because, Because::Hashed | Because::Enabled);
        !belongs && (self.starting || self.key.is_none() && anew)
    }

    /// Does an emergency stop keep this webhook from every backend? `begins`: it is one
    /// that a call can begin with.
    ///
    /// So it does where the call would begin with it, and where the call was kept
    /// before. What goes on goes on: a leg of a call, one that a token says was there,
    /// one that legacy began itself. What new begins is kept, so that new reaches nobody.
    pub fn is_stopped(&self, begins: bool) -> bool {
        let goes_on = match self.origin {
            Because::Inherited | Because::Token => true,
            Because::Claimed => self.placement.backend == Backend::Legacy,
            _ => false,
        };
        let is_turned_away = begins || self.origin == Because::Stopped;
        is_turned_away && !goes_on && !self.flags.has(Flags::STARTED)
    }

    /// The same webhook, put to legacy instead.
    #[must_use]
    pub const fn rescued(self) -> Self {
        Self {
            placement: Placement::legacy(Because::Rescued),
            begins: false,
            starting: false,
            chose: false,
            ..self
        }
    }

    /// The first webhook of a call.
    pub(super) fn first(key: CallKey, call: &Call, waits: bool) -> Self {
        Self {
            key: Some(key),
            placement: Placement {
                backend: call.backend(),
                because: call.because(),
            },
            // What a token placed had begun before, elsewhere or before a restart.
            begins: !call.flags().has(Flags::LEG) && call.because() != Because::Token,
            starting: waits && !call.flags().has(Flags::STARTED),
            chose: false,
            generation: call.generation(),
            began: call.began().tick(),
            flags: call.flags(),
            origin: call.because(),
        }
    }

    /// A webhook of a call that has its backend.
    pub(super) fn known(key: CallKey, call: &Call, waits: bool) -> Self {
        Self {
            placement: Placement {
                backend: call.backend(),
                because: Because::Pinned,
            },
            begins: false,
            ..Self::first(key, call, waits)
        }
    }

    /// The first voice webhook of the call leaves, or is not the first after all.
    pub(super) fn start(&mut self, first: bool, anew: Option<Placement>, call: &Call) {
        self.starting = first;
        self.generation = call.generation();
        if let Some(placement) = anew {
            self.placement = placement;
        } else if call.backend() != self.placement.backend {
            // Another first webhook of the call was placed anew before us.
            self.placement = Placement {
                backend: call.backend(),
                because: Because::Pinned,
            };
        } else if first && call.follows() {
            // It belongs there and is no new call, whoever pinned it: the proxy asks
            // before it sends a first webhook to new while latched.
            self.placement.because = call.because();
        }
    }

    /// The same for a webhook that is no call's here (see [`super::Table::peek`]).
    pub(super) fn pass(&mut self, split: &Split) {
        if std::mem::take(&mut self.starting)
            && split.latched
            && self.placement.backend == Backend::New
        {
            self.placement = Placement::legacy(Because::Latched);
        }
    }
}

/// What is known of a call, for `switchback explain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// The table's key.
    pub key: CallKey,
    /// Its backend.
    pub backend: Backend,
    /// Why it is there.
    pub because: Because,
    /// Routing generation under which it was placed.
    pub generation: u64,
    /// Pinned by events alone: no voice webhook of it was sent yet.
    pub provisional: bool,
    /// A voice webhook of it was sent to its backend.
    pub started: bool,
    /// A leg that another call made.
    pub leg: bool,
    /// It goes out from the application.
    pub outbound: bool,
    /// The caller got what the application wanted to give.
    pub served: bool,
    /// A voice webhook of it failed by its backend's fault.
    pub failed: bool,
    /// When its first webhook came, to a tenth of a second.
    pub began: Tick,
    /// When its last webhook came.
    pub seen: Tick,
    /// When its end was told, if it was.
    pub ended: Option<Tick>,
}

impl View {
    pub(super) fn new(key: CallKey, call: &Call) -> Self {
        let has = |flag| call.flags().has(flag);
        Self {
            key,
            backend: call.backend(),
            because: call.because(),
            generation: call.generation(),
            provisional: has(Flags::PROVISIONAL),
            started: has(Flags::STARTED),
            leg: has(Flags::LEG),
            outbound: has(Flags::OUTBOUND),
            served: has(Flags::SERVED),
            failed: has(Flags::FAILED),
            began: call.began().tick().unwrap_or_default(),
            seen: call.seen().tick().unwrap_or_default(),
            ended: call.ended().tick(),
        }
    }
}

/// The map's hasher: a key is a keyed XXH3 already, so it is passed on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Passed;

impl BuildHasher for Passed {
    type Hasher = PassedOn;

    fn build_hasher(&self) -> PassedOn {
        PassedOn(0)
    }
}

#[derive(Debug)]
pub(super) struct PassedOn(u64);

impl Hasher for PassedOn {
    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = (key & u128::from(u64::MAX)) as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        // Keys are written by `write_u64`; anything else still hashes somehow.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
