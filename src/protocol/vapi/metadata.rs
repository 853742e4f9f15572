//! A key's value in the metadata that an operator hangs onto a call or an
//! assistant.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::protocol::Keys;
use crate::protocol::fields::MAX_VALUE;

/// The value of a key of the metadata, if it is a string or a number; of several
/// objects the first that has one counts. An empty value, or one longer than
/// [`MAX_VALUE`] bytes as sent, is none.
pub fn metadata<'a>(keys: &'a Keys<'_>, key: &str) -> Option<Cow<'a, str>> {
    keys.metadata
        .iter()
        .flatten()
        .find_map(|object| value(object, key))
}

fn value<'a>(object: &'a str, key: &str) -> Option<Cow<'a, str>> {
    let mut reader = serde_json::Deserializer::from_str(object);
    let raw = Wanted(key).deserialize(&mut reader).ok()??.get();
    match raw.as_bytes().first()? {
        _ if raw.len() > MAX_VALUE => None,
        b'"' => text(raw).filter(|text| !text.is_empty()),
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(raw)),
        _ => None,
    }
}

fn text(raw: &str) -> Option<Cow<'_, str>> {
    if raw.contains('\\') {
        return serde_json::from_str(raw).map(Cow::Owned).ok();
    }
    raw.strip_prefix('"')?.strip_suffix('"').map(Cow::Borrowed)
}

/// Finds a key in an object. Where it comes twice the last counts, as it does for
/// the backend's own reader.
struct Wanted<'k>(&'k str);

impl<'de> DeserializeSeed<'de> for Wanted<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Wanted<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_wanted) = object.next_key_seed(IsKey(self.0))? {
            if is_wanted {
                found = Some(object.next_value()?);
            } else {
                object.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

struct IsKey<'k>(&'k str);

impl<'de> DeserializeSeed<'de> for IsKey<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsKey<'_> {
    type Value = bool;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(objects: &[&str], key: &str) -> Option<String> {
        let mut keys = Keys::default();
        for (slot, object) in keys.metadata.iter_mut().zip(objects) {
            *slot = Some(object);
        }
        metadata(&keys, key).map(Cow::into_owned)
    }

    #[test]
    fn a_string_or_a_number_is_found_in_the_first_object_that_has_one() {
        for (objects, expected) in [
            (&[r#"{"tenant":"acme"}"#] as &[&str], Some("acme")),
            (&[r#"{"a":{"tenant":"no"},"tenant":17}"#], Some("17")),
            (&[r#"{"tenant":-1.5}"#], Some("-1.5")),
            (&[r#"{"ten\u0061nt":"caf\u00e9"}"#], Some("café")),
            (&["{}", r#"{"tenant":"second"}"#], Some("second")),
            (
                &[r#"{"tenant":null}"#, r#"{"tenant":"second"}"#],
                Some("second"),
            ),
            (
                &[r#"{"tenant":""}"#, r#"{"tenant":"second"}"#],
                Some("second"),
            ),
            (
                &[r#"{"tenant":["x"]}"#, r#"{"tenant":"second"}"#],
                Some("second"),
            ),
            (
                &[r#"{"tenant":"first"}"#, r#"{"tenant":"second"}"#],
                Some("first"),
            ),
            (&[r#"{"tenant":"first","tenant":"last"}"#], Some("last")),
            (&[r#""tenant""#], None),
            (&["[1]"], None),
            (&["{"], None),
            (&[], None),
        ] {
            assert_eq!(find(objects, "tenant").as_deref(), expected, "{objects:?}");
        }
    }

    #[test]
    fn a_value_longer_than_any_tenants_is_none() {
        let of = |length: usize| format!("{{\"tenant\":\"{}\"}}", "x".repeat(length));
        assert!(find(&[&of(MAX_VALUE - 2)], "tenant").is_some());
        assert!(find(&[&of(MAX_VALUE - 1)], "tenant").is_none());
    }
}
