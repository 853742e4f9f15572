//! The two envelopes an event comes in, read without a tree.
//!
//! - `{"data": {event_type, id, occurred_at, payload}, "meta": …}`
//! - `{"metadata": {"event": {…the same…}}, "call_session_id": …, "name": …}`, where
//!   what the inner event leaves out is taken from the outside.
//!
//! Only the fields wanted are kept, borrowed from the body where they hold no
//! escape. A value of another type than expected counts as absent; what is not JSON,
//! or names a wanted field twice, is no event. Values nobody wants are skipped
//! without recursion, so that depth costs nothing.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What is wanted of an event.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Event<'a> {
    #[serde(borrow)]
    pub(super) event_type: Text<'a>,
    pub(super) id: Text<'a>,
    pub(super) occurred_at: Text<'a>,
    pub(super) payload: Object<Payload<'a>>,
}

/// What is wanted of its payload. No two event types use one name for two things.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Payload<'a> {
    #[serde(borrow)]
    pub(super) call_session_id: Text<'a>,
    pub(super) call_control_id: Text<'a>,
    pub(super) call_leg_id: Text<'a>,
    pub(super) connection_id: Text<'a>,
    pub(super) organization_id: Text<'a>,
    pub(super) user_id: Text<'a>,
    pub(super) to: Text<'a>,
    pub(super) from: Text<'a>,
    pub(super) direction: Text<'a>,
    pub(super) state: Text<'a>,
    pub(super) start_time: Text<'a>,
    pub(super) hangup_cause: Text<'a>,
    pub(super) hangup_source: Text<'a>,
    pub(super) status: Text<'a>,
    pub(super) reason: Text<'a>,
    pub(super) digits: Text<'a>,
    pub(super) transcription_data: Object<Transcription<'a>>,
}

/// What is wanted of a transcription.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Transcription<'a> {
    #[serde(borrow)]
    pub(super) is_final: Text<'a>,
    pub(super) transcript: Text<'a>,
    pub(super) transcription_track: Text<'a>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: Option<Object<Event<'a>>>,
    metadata: Object<Metadata<'a>>,
    name: Text<'a>,
    event_timestamp: Text<'a>,
    call_session_id: Text<'a>,
    call_control_id: Text<'a>,
    call_leg_id: Text<'a>,
    organization_id: Text<'a>,
    user_id: Text<'a>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Metadata<'a> {
    #[serde(borrow)]
    event: Option<Object<Event<'a>>>,
}

/// Reads a body. None: it is no JSON object, or in neither envelope.
pub(super) fn read(body: &[u8]) -> Option<Event<'_>> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    // The derived reader would take an array's elements for the fields in order.
    if !body.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    let envelope: Envelope<'_> = serde_json::from_slice(body).ok()?;
    let mut event = envelope.data.or(envelope.metadata.0.event)?.0;
    let payload = &mut event.payload.0;
    for (inner, outer) in [
        (&mut event.event_type, envelope.name),
        (&mut event.occurred_at, envelope.event_timestamp),
        (&mut payload.call_session_id, envelope.call_session_id),
        (&mut payload.call_control_id, envelope.call_control_id),
        (&mut payload.call_leg_id, envelope.call_leg_id),
        (&mut payload.organization_id, envelope.organization_id),
        (&mut payload.user_id, envelope.user_id),
    ] {
        if inner.is_empty() {
            *inner = outer;
        }
    }
    Some(event)
}

/// A text that is not empty, or a number or a yes or no as text, or nothing.
///
/// A type of its own because serde borrows into no `Option<Cow<str>>`.
#[derive(Default)]
pub(super) struct Text<'a>(pub(super) Option<Cow<'a, str>>);

impl<'a> Text<'a> {
    pub(super) fn new(text: Cow<'a, str>) -> Self {
        Self(Some(text).filter(|text| !text.is_empty()))
    }

    /// The text, or an empty one.
    pub(super) fn get(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    pub(super) fn is(&self, text: &str) -> bool {
        self.get() == text
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text::new(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text::new(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, so: bool) -> Result<Self::Value, E> {
        Ok(Text::new(Cow::Borrowed(if so { "true" } else { "false" })))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Text::new(Cow::Owned(number.to_string())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Text::new(Cow::Owned(number.to_string())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Text::new(Cow::Owned(number.to_string())))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Text(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        skip(seq)?;
        Ok(Text(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text(None))
    }
}

/// An object; anything else counts as an empty one.
#[derive(Default)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        skip(seq)?;
        Ok(Object::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Object::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Object::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Object::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Object::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Object::default())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Object::default())
    }
}

fn skip<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}
