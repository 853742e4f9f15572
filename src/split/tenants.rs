//! Whose call it is: where a route finds the tenant's key, and the directory that
//! says which tenant a key belongs to.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use super::Tenant;
use crate::model::TenantKey;
use crate::protocol::{Keys, vapi};

/// Where a tenant's key stands in a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The number called (the caller's on an outbound call).
    To,
    /// The number calling (the called one's on an outbound call).
    From,
    /// Telnyx's `ConnectionId`.
    Connection,
    /// `AccountSid`, or the organisation.
    Account,
    /// Vapi's id of its phone number.
    PhoneNumber,
    /// Vapi's id of the assistant.
    Assistant,
    /// A key of the metadata that Vapi sends along.
    Metadata(String),
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
    keys: HashMap<Box<str>, Arc<str>>,
    /// Every tenant by what evidence knows it as.
    names: HashMap<u64, Arc<str>>,
}

/// What tenants are called. Evidence knows each by a hash; whoever acts on one, or tells
/// people of it, needs its name.
pub trait Names: std::fmt::Debug {
    /// The tenant's id, as orders name it; None where nobody knows.
    fn name(&self, key: TenantKey) -> Option<String>;
}

/// Nobody's name is known.
impl Names for () {
    fn name(&self, _: TenantKey) -> Option<String> {
        None
    }
}

impl Names for Directory {
    fn name(&self, key: TenantKey) -> Option<String> {
        self.names.get(&key.0).map(|name| name.as_ref().to_owned())
    }
}

/// One key was given to two tenants.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key belongs to tenant `{tenant}` already; take one of the two lines out")]
pub struct Taken {
    /// The tenant that has it.
    pub tenant: String,
}

impl Directory {
    /// A directory of `(key, tenant)` pairs. Where a key comes twice with
    /// different tenants the first counts; [`Directory::add`] tells.
    pub fn from_pairs<K, T>(pairs: impl IntoIterator<Item = (K, T)>) -> Self
    where
        K: AsRef<str>,
        T: AsRef<str>,
    {
        let mut directory = Self::default();
        for (key, tenant) in pairs {
            // The first stays; whoever wants to complain uses `add` itself.
            drop(directory.add(key.as_ref(), tenant.as_ref()));
        }
        directory
    }

    /// Adds one key, brought to E.164 if it is a telephone number.
    ///
    /// # Errors
    ///
    /// The key belongs to another tenant already; nothing is changed.
    pub fn add(&mut self, key: &str, tenant: &str) -> Result<(), Taken> {
        match self.keys.entry(e164(key).as_ref().into()) {
            Entry::Vacant(place) => {
                let name = self.names.entry(TenantKey::new(tenant).0);
                let name = name.or_insert_with(|| tenant.into());
                place.insert(Arc::clone(name));
                Ok(())
            }
            Entry::Occupied(place) if place.get().as_ref() == tenant => Ok(()),
            Entry::Occupied(place) => Err(Taken {
                tenant: place.get().to_string(),
            }),
        }
    }

    /// The tenant this key belongs to.
    pub fn tenant(&self, key: &str) -> Option<&str> {
        self.keys.get(e164(key).as_ref()).map(AsRef::as_ref)
    }

    /// The tenant whose key this is, where no tenant is called so itself.
    pub fn whose(&self, key: &str) -> Option<&str> {
        let tenant = self.tenant(key)?;
        (!self.tenants().any(|name| name == key)).then_some(tenant)
    }

    /// How many keys it lists.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Does it list nothing?
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Every tenant, once for each of its keys, in no order.
    pub fn tenants(&self) -> impl Iterator<Item = &str> {
        self.keys.values().map(AsRef::as_ref)
    }
}

/// Whose call it is, from the key a route found.
pub fn tenant<'a>(
    key: Option<&'a str>,
    directory: Option<&'a Directory>,
    unlisted: Unlisted,
) -> Tenant<'a> {
    let Some(key) = key else {
        return Tenant::Missing;
    };
    let Some(directory) = directory else {
        return Tenant::Known(key);
    };
    match (directory.tenant(key), unlisted) {
        (Some(tenant), _) => Tenant::Known(tenant),
        (None, Unlisted::Key) => Tenant::Known(key),
        (None, Unlisted::Legacy) => Tenant::Unlisted,
    }
}

/// The tenant's key: the first of a route's sources that is there and not empty.
///
/// `header` finds a header's value by lower-case name, `query` a query
/// parameter's, form-decoded. Numbers (`to`, `from`) come back in E.164, path
/// segments percent-decoded, everything else as it was sent.
pub fn resolve<'a>(
    sources: &[Source],
    keys: &'a Keys<'_>,
    header: impl Fn(&str) -> Option<Cow<'a, str>>,
    query: impl Fn(&str) -> Option<Cow<'a, str>>,
    path: &'a str,
    outbound: bool,
) -> Option<Cow<'a, str>> {
    sources
        .iter()
        .filter_map(|source| match source {
            Source::To => number(if outbound { &keys.from } else { &keys.to }),
            Source::From => number(if outbound { &keys.to } else { &keys.from }),
            Source::Connection => keys.connection.as_deref().map(Cow::Borrowed),
            Source::Account => keys.account.as_deref().map(Cow::Borrowed),
            Source::PhoneNumber => keys.phone_number.as_deref().map(Cow::Borrowed),
            Source::Assistant => keys.assistant.as_deref().map(Cow::Borrowed),
            Source::Metadata(key) => vapi::metadata(keys, key),
            Source::Header(name) => header(name),
            Source::Query(name) => query(name),
            Source::Path(nth) => segment(path, *nth),
        })
        .find(|key| !key.is_empty())
}

/// The number of the person on the line, in E.164: who calls, or on an outbound
/// call who is called.
pub fn caller<'a>(keys: &'a Keys<'_>, outbound: bool) -> Option<Cow<'a, str>> {
    number(if outbound { &keys.to } else { &keys.from }).filter(|number| !number.is_empty())
}

/// A telephone number in E.164; anything that is not clearly one as it is.
///
/// - `+52 (55) 1234-5678` and `+52.55…` lose their separators: spaces, dashes,
///   dots, parentheses.
/// - `00` before seven or more digits that do not begin with 0 stands for `+`.
/// - `sip:`, `sips:` and `tel:` addresses give their user part, if that is a
///   number; else the address stays whole.
/// - Digits without `+` or `00` stay as they are: their country is not known, and
///   they may be no telephone number at all.
///
/// Allocates nothing when nothing has to be taken out.
pub fn e164(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    if let Some(user) = address_user(text) {
        // `sip:4155550142@…` is a number though nobody wrote its country.
        let digits = !user.is_empty() && user.bytes().all(|byte| byte.is_ascii_digit());
        return if digits || is_plain(user) {
            Cow::Borrowed(user)
        } else {
            written_out(user).map_or(Cow::Borrowed(text), Cow::Owned)
        };
    }
    written_out(text).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// `+` and seven to fifteen digits: E.164 as it should be.
fn is_plain(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(is_subscriber)
}

fn is_subscriber(digits: &str) -> bool {
    (7..=15).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !digits.starts_with('0')
}

/// The number somebody wrote with separators, or with `00`.
fn written_out(text: &str) -> Option<String> {
    let marked = text.strip_prefix('+').or_else(|| text.strip_prefix("00"))?;
    // Forty characters hold fifteen digits with generous separators; a longer
    // text is no number, and is not copied to find that out.
    if marked.len() > 40 {
        return None;
    }
    let mut number = String::with_capacity(1 + marked.len());
    number.push('+');
    number.extend(
        marked
            .chars()
            .filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')')),
    );
    is_plain(&number).then_some(number)
}

/// The part of a `sip:`, `sips:` or `tel:` address before host and parameters.
fn address_user(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(':')?;
    ["sip", "sips", "tel"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
        .then(|| rest.split(['@', ';']).next().unwrap_or(rest))
}

fn number<'a>(value: &'a Option<Cow<'_, str>>) -> Option<Cow<'a, str>> {
    value.as_deref().map(e164)
}

fn segment(path: &str, nth: usize) -> Option<Cow<'_, str>> {
    let raw = path
        .strip_prefix('/')?
        .split('/')
        .nth(nth.checked_sub(1)?)?;
    // A segment that is not UTF-8 names no tenant anybody could have written.
    percent_decode_str(raw).decode_utf8().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_to_e164_and_everything_else_stays() {
        for (sent, expected) in [
            ("+525512345678", "+525512345678"),
            (" +525512345678 ", "+525512345678"),
            ("+52 (55) 1234-5678", "+525512345678"),
            ("+1.415.555.0142", "+14155550142"),
            ("0052 55 1234 5678", "+525512345678"),
            ("sip:+14155550142@example.com", "+14155550142"),
            ("SIPS:+14155550142;user=phone@example.com", "+14155550142"),
            ("sip:4155550142@example.com", "4155550142"),
            ("tel:+1-415-555-0142;ext=2", "+14155550142"),
            ("sip:reception@example.com", "sip:reception@example.com"),
            ("4155550142", "4155550142"),
            ("12-3", "12-3"),
            ("0001234567", "0001234567"),
            ("00123", "00123"),
            ("tenant-1", "tenant-1"),
            ("+12", "+12"),
            ("+1234567890123456", "+1234567890123456"),
            ("", ""),
        ] {
            assert_eq!(e164(sent), expected, "{sent:?}");
        }
    }

    #[test]
    fn a_number_that_is_right_already_is_not_copied() {
        for sent in ["+525512345678", "sip:+14155550142@example.com", "tenant-1"] {
            assert!(matches!(e164(sent), Cow::Borrowed(_)), "{sent}");
        }
    }

    fn keys() -> Keys<'static> {
        Keys {
            to: Some("+52 55 1111 1111".into()),
            from: Some("+525522222222".into()),
            connection: Some("".into()),
            account: Some("AC1".into()),
            ..Keys::default()
        }
    }

    fn found(sources: &[Source], outbound: bool) -> Option<String> {
        let keys = keys();
        let header = |name: &str| (name == "x-tenant").then_some(Cow::Borrowed("by-header"));
        let query = |name: &str| (name == "t").then_some(Cow::Borrowed("by query"));
        resolve(sources, &keys, header, query, "/ivr/a%20b/menu", outbound).map(Cow::into_owned)
    }

    #[test]
    fn the_first_source_that_is_there_counts() {
        let query = |name: &str| Source::Query(name.into());
        for (sources, expected) in [
            (vec![Source::To], Some("+525511111111")),
            (vec![Source::From], Some("+525522222222")),
            (vec![Source::Connection, Source::Account], Some("AC1")),
            (
                vec![Source::Header("x-tenant".into()), Source::To],
                Some("by-header"),
            ),
            (vec![query("missing"), query("t")], Some("by query")),
            (vec![Source::Path(2)], Some("a b")),
            (vec![Source::Path(0)], None),
            (vec![Source::Path(4)], None),
            (vec![Source::Connection], None),
            (vec![], None),
        ] {
            assert_eq!(found(&sources, false).as_deref(), expected, "{sources:?}");
        }
    }

    #[test]
    fn on_an_outbound_call_to_and_from_change_places() {
        assert_eq!(found(&[Source::To], true).as_deref(), Some("+525522222222"));
        assert_eq!(
            found(&[Source::From], true).as_deref(),
            Some("+525511111111")
        );
        assert_eq!(caller(&keys(), false).as_deref(), Some("+525522222222"));
        assert_eq!(caller(&keys(), true).as_deref(), Some("+525511111111"));
    }

    #[test]
    fn a_directory_finds_a_number_however_it_is_written() {
        let directory = Directory::from_pairs([
            ("+52 55 1234 5678", "clinic"),
            ("+525587654321", "clinic"),
            ("AC1", "shop"),
        ]);
        assert_eq!(directory.tenant("+525512345678"), Some("clinic"));
        assert_eq!(directory.tenant("sip:+525512345678@x"), Some("clinic"));
        assert_eq!(directory.tenant("AC1"), Some("shop"));
        assert_eq!(directory.tenant("AC2"), None);
        assert_eq!(directory.len(), 3);
    }

    #[test]
    fn a_key_belongs_to_one_tenant() {
        let mut directory = Directory::default();
        directory.add("+525512345678", "clinic").unwrap();
        directory
            .add("+52 55 1234 5678", "clinic")
            .expect("twice the same is no harm");
        let taken = directory.add("0052-55-1234-5678", "shop").unwrap_err();
        assert_eq!(taken.tenant, "clinic");
        assert_eq!(directory.tenant("+525512345678"), Some("clinic"));
    }

    #[test]
    fn what_a_key_means_depends_on_the_directory() {
        let directory = Directory::from_pairs([("AC1", "shop")]);
        let whose = |key, directory, unlisted| tenant(key, directory, unlisted);
        let given = Some(&directory);
        assert_eq!(whose(None, given, Unlisted::Key), Tenant::Missing);
        assert_eq!(
            whose(Some("AC1"), given, Unlisted::Legacy),
            Tenant::Known("shop")
        );
        assert_eq!(
            whose(Some("AC2"), given, Unlisted::Legacy),
            Tenant::Unlisted
        );
        assert_eq!(
            whose(Some("AC2"), given, Unlisted::Key),
            Tenant::Known("AC2")
        );
        assert_eq!(
            whose(Some("AC2"), None, Unlisted::Legacy),
            Tenant::Known("AC2")
        );
    }
}
