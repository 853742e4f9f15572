//! A timer for deadlines that move later all the time: it is left to ring too early, and
//! sleeps on.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Sleep;

use crate::clock;
use crate::model::Tick;

/// A timer that is only moved when it must ring earlier, or has rung too early.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    rings: Tick,
}

impl Timer {
    /// Ready once `deadline` has passed.
    pub(in crate::proxy) fn poll(&mut self, cx: &mut Context<'_>, deadline: Tick) -> Poll<()> {
        if self.sleep.is_none() || self.rings > deadline {
            self.set(deadline);
        }
        loop {
            let Some(sleep) = self.sleep.as_mut() else {
                return Poll::Pending;
            };
            ready!(sleep.as_mut().poll(cx));
            if clock::tick() >= deadline {
                return Poll::Ready(());
            }
            // A tick is a whole microsecond and the wheel a whole millisecond.
            self.set(deadline + Duration::from_millis(1));
        }
    }

    fn set(&mut self, at: Tick) {
        self.rings = at;
        let instant = clock::instant(at);
        match self.sleep.as_mut() {
            Some(sleep) => sleep.as_mut().reset(instant),
            None => self.sleep = Some(Box::pin(tokio::time::sleep_until(instant))),
        }
    }
}
