//! Whose call it is: where a route finds the tenant's key, and the directory that
//! says which tenant a key belongs to.

use std::collections::HashMap;

/// Where a tenant's key stands in a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The number called (the caller's on an outbound call).
    To,
    /// The number calling (the called one's on an outbound call).
    From,
    /// Telnyx's `ConnectionId`.
    Connection,
    /// `AccountSid`.
    Account,
    /// A request header, by lower-case name.
    Header(String),
    /// A query parameter, by name.
    Query(String),
    /// A segment of the path, counted from 1.
    Path(usize),
}

/// What a key that the directory does not list means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unlisted {
    /// The call goes to legacy.
    #[default]
    Legacy,
    /// The key itself is the tenant.
    Key,
}

/// Which tenant a key belongs to; many keys may name one tenant. Telephone
/// numbers stand in it, and are looked up, in E.164.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    keys: HashMap<Box<str>, Box<str>>,
}

impl Directory {
    /// A directory of keys and their tenants; of two tenants for one key the
    /// later stands. Keys that are telephone numbers are brought to E.164.
    pub fn from_pairs(pairs: impl Iterator<Item = (String, String)>) -> Self {
        let keys = pairs
            .map(|(key, tenant)| (e164(&key).unwrap_or(key).into(), tenant.into()))
            .collect();
        Self { keys }
    }

    /// How many keys it lists.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Does it list nothing?
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The tenant this key belongs to.
    pub fn tenant(&self, key: &str) -> Option<&str> {
        self.keys.get(key).map(AsRef::as_ref)
    }
}

/// A telephone number in E.164 (`+` and 7 to 15 digits), without the spaces,
/// dots, dashes and brackets people write into it. None: not a number with its
/// country code.
pub fn e164(text: &str) -> Option<String> {
    let rest = text.trim().strip_prefix('+')?;
    let mut number = String::from("+");
    for character in rest.chars() {
        match character {
            '0'..='9' => number.push(character),
            ' ' | '-' | '.' | '(' | ')' | '\u{a0}' => {}
            _ => return None,
        }
    }
    (8..=16).contains(&number.len()).then_some(number)
}
