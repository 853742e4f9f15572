//! What we say ourselves: a last resort, a way to legacy's entry.

use bytes::Bytes;
use http::{HeaderValue, Response, header};

use super::Case;
use crate::document::last_resort;
use crate::model::Backend;
use crate::proxy::body::Reply;
use crate::table::Seat;

impl Case<'_> {
    /// What the caller hears when nobody could answer. None: the route has no last
    /// resort, or nobody would hear it.
    pub(super) fn last_resort(&self) -> Option<Response<Reply>> {
        let last_resort = self.arrival.route.rescue.last_resort.as_ref()?;
        // After a conversation there is nothing left to be sorry for.
        let is_beside = self.patient.beside || self.patient.bridged;
        let said = last_resort.answer(self.verdict.asks, is_beside, self.body)?;
        Some(say(said.content_type, said.body))
    }

    /// The way to legacy's entry. None: the route names none.
    pub(super) fn entry(&self, seat: Seat) -> Option<Response<Reply>> {
        let entry = self.arrival.route.rescue.entry.as_deref()?;
        let token = self.told.token(self.arrival, &seat, Backend::Legacy);
        let url = match token {
            Some(token) => {
                let joint = if entry.contains('?') { '&' } else { '?' };
                format!("{entry}{joint}{}={token}", crate::split::token::PARAM)
            }
            None => entry.to_owned(),
        };
        let document = last_resort::entry_redirect(&url, self.verdict.method);
        Some(say("text/xml; charset=utf-8", document))
    }
}

pub(super) fn say(content_type: &'static str, body: Bytes) -> Response<Reply> {
    let mut response = Response::new(Reply::Whole(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    // It is about this moment, and Twilio keeps documents.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
