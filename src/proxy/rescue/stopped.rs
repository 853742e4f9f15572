//! Nobody is asked: while an emergency stop lets nobody through, who calls anew hears the
//! route's last resort at once.

use http::Response;

use super::Case;
use super::words::say;
use crate::clock;
use crate::document::last_resort::LastResort;
use crate::measure::{Observation, Placed, RescueResult, Why};
use crate::model::Backend;
use crate::proxy::body::Reply;
use crate::split::{Because, Placement};
use crate::table::Seat;

impl Case<'_> {
    /// Answers a webhook that no backend is to hear of. A route that names no last resort
    /// says what we ship; where nobody hears a document the provider is told that all is
    /// well, because a failure would make it send the same again.
    pub(in crate::proxy) fn stop(&self, seat: Seat) -> Response<Reply> {
        let worker = self.errand.worker;
        let now = clock::tick();
        worker.shared.table.stop(&seat, now);
        worker.note(Observation::Placed(Placed {
            at: self.webhook.ready,
            placement: Placement::legacy(Because::Stopped),
            call: seat.key,
            // It is no call of anybody's.
            begins: false,
            after_latch: false,
            starts: false,
        }));
        self.note(Backend::Legacy, Why::Kept, RescueResult::Stopped);
        self.errand.conn.answered.set(now);
        let said = self.last_resort().or_else(|| self.shipped());
        said.unwrap_or_else(|| Response::new(Reply::from("")))
    }

    /// Where the route names no last resort, an operator said that failures are to be
    /// passed on. Here nobody failed.
    fn shipped(&self) -> Option<Response<Reply>> {
        let shipped = LastResort::shipped(self.arrival.route.protocol, None);
        let is_beside = self.patient.beside || self.patient.bridged;
        let said = shipped.answer(self.verdict.asks, is_beside, self.body)?;
        Some(say(said.content_type, said.body))
    }
}
