//! The words and hashes that stand in a line.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::{Backend, CallKey, TenantKey};

/// One of our own when it is written, somebody's when it is read.
pub(super) type Word = Cow<'static, str>;

/// Sixteen hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hex(pub(super) u64);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16)
            .map(Self)
            .map_err(|_| serde::de::Error::custom("a hash of 16 hexadecimal digits is expected"))
    }
}

impl Hex {
    pub(super) fn of_call(call: Option<CallKey>) -> Option<Self> {
        call.map(|key| Self(key.0))
    }

    pub(super) fn call(hex: Option<Self>) -> Option<CallKey> {
        hex.map(|hex| CallKey(hex.0))
    }

    pub(super) fn tenant(hex: Option<Self>) -> TenantKey {
        hex.map_or(TenantKey::NONE, |hex| TenantKey(hex.0))
    }
}

/// What a field that is left out stands for.
pub(super) const fn yes() -> bool {
    true
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
pub(super) const fn is_yes(it: &bool) -> bool {
    *it
}

pub(super) fn is_default<T: Default + PartialEq>(it: &T) -> bool {
    *it == T::default()
}

pub(super) fn backend(name: &str) -> Result<Backend, String> {
    Backend::from_name(name).ok_or_else(|| unknown(name))
}

/// The one of that name.
pub(super) fn named<T: Copy>(
    all: &[T],
    name: impl Fn(T) -> &'static str,
    word: &str,
) -> Result<T, String> {
    let found = all.iter().copied().find(|it| name(*it) == word);
    found.ok_or_else(|| unknown(word))
}

pub(super) fn unknown(word: &str) -> String {
    let word: String = word.chars().take(40).collect();
    format!("`{word}` is no word of this version")
}
