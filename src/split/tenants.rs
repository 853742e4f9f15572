//! Whose call it is: where a route finds the tenant's key, and the directory that
//! says which tenant a key belongs to.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::protocol::Keys;

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
    /// The tenant this key belongs to.
    pub fn tenant(&self, key: &str) -> Option<&str> {
        self.keys.get(key).map(AsRef::as_ref)
    }
}

/// Finds the tenant's key.
pub fn resolve<'a>(
    sources: &[Source],
    keys: &Keys<'a>,
    _header: impl Fn(&str) -> Option<&'a str>,
    _query: impl Fn(&str) -> Option<Cow<'a, str>>,
    _path: &'a str,
    _outbound: bool,
) -> Option<Cow<'a, str>> {
    sources.iter().find_map(|source| match source {
        Source::To => keys.to.clone(),
        Source::From => keys.from.clone(),
        _ => None,
    })
}
