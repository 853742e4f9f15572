//! What of a call is kept over a restart.

use std::time::Duration;

use super::{Call, Flags, Moment};
use crate::model::{Backend, TenantKey};
use crate::split::Because;

/// What of a call is kept over a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Whose call.
    pub tenant: TenantKey,
    /// Low 32 bits of the routing generation under which it was placed.
    pub generation: u32,
    /// When its first webhook came.
    pub began: Moment,
    /// When its last webhook came; of an ended call, when it ended.
    pub seen: Moment,
    /// Is it over?
    pub ended: bool,
    /// What is known of it.
    pub flags: Flags,
    /// Its backend.
    pub backend: Backend,
    /// Why it is there.
    pub because: Because,
}

impl Call {
    /// What of the call is worth keeping over a restart.
    pub fn pin(&self) -> Pin {
        Pin {
            tenant: self.tenant,
            generation: self.generation,
            began: self.began,
            seen: if self.has_ended() {
                self.ended
            } else {
                self.seen
            },
            ended: self.has_ended(),
            flags: self.flags,
            backend: self.backend,
            because: self.because,
        }
    }

    /// The same call as a file kept it. Voices and the moment of answering are
    /// not kept: after a restart the windows they belong to are empty.
    pub fn restored(pin: Pin) -> Self {
        Self {
            tenant: pin.tenant,
            generation: pin.generation,
            began: pin.began,
            seen: pin.seen,
            answered: Moment::NEVER,
            ended: if pin.ended { pin.seen } else { Moment::NEVER },
            good: Moment::NEVER,
            failed: Moment::NEVER,
            flags: pin.flags,
            backend: pin.backend,
            because: pin.because,
        }
    }

    /// Should a file that kept `saved` learn what the call is now? So it should
    /// when anything but a moment changed, and once in every hour that the
    /// call still speaks, so that a restart does not take it for silent.
    pub fn outdates(&self, saved: &Self) -> bool {
        const HOUR: Duration = Duration::from_secs(3600);
        let (now, then) = (self.pin(), saved.pin());
        let same = Pin {
            began: then.began,
            seen: then.seen,
            ..now
        };
        same != then || self.began.whole(HOUR, now.seen) != then.began.whole(HOUR, then.seen)
    }
}
