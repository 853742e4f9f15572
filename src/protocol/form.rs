//! Forms, in a query or a body: `application/x-www-form-urlencoded`.
//!
//! A webhook is scanned once, and of its twenty fields a handful is wanted; so
//! fields come out as they were sent, in their order and as often as they came,
//! and only what is asked for is decoded. Without an escape in it, decoding costs
//! no allocation either.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memchr3};

/// The most fields looked at in one form; those behind it are not seen. Providers
/// send at most a hundred.
pub const MAX_FIELDS: usize = 512;

/// The longest name that is compared in decoded form, in bytes. No longer name is
/// wanted by anybody.
const MAX_NAME: usize = 64;

/// One field as it was sent, nothing decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// What stands before the first `=`, or everything if there is none.
    pub name: &'a [u8],
    /// What stands behind it.
    pub value: &'a [u8],
    /// The name may have a letter in it that was sent as `%41`.
    pub is_escaped: bool,
}

/// The fields of a form in order, at most [`MAX_FIELDS`]. Nothing between two
/// separators is no field.
pub fn fields(form: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut rest = form;
    std::iter::from_fn(move || {
        while let [b'&', after @ ..] = rest {
            rest = after;
        }
        let (field, after) = next(rest)?;
        rest = after;
        Some(field)
    })
    .take(MAX_FIELDS)
}

/// Splits off the first field.
fn next(form: &[u8]) -> Option<(Field<'_>, &[u8])> {
    form.first()?;
    let mut end = memchr3(b'=', b'&', b'%', form);
    let is_escaped = end.and_then(|at| form.get(at)) == Some(&b'%');
    if is_escaped {
        end = memchr2(b'=', b'&', form);
    }
    let (name, tail) = form.split_at(end.unwrap_or(form.len()));
    let (value, rest) = match tail {
        [b'=', tail @ ..] => tail.split_at(memchr(b'&', tail).unwrap_or(tail.len())),
        _ => tail.split_at(0),
    };
    let field = Field {
        name,
        value,
        is_escaped,
    };
    Some((field, rest))
}

/// The first field of that name, decoded. None if there is none.
pub fn find<'a>(form: &'a [u8], name: &str) -> Option<Cow<'a, str>> {
    let is_it = |sent: &[u8]| sent == name.as_bytes() || Bytes { rest: sent }.eq(name.bytes());
    fields(form)
        .find(|field| is_it(field.name))
        .map(|field| decode(field.value))
}

/// Hands the decoded form of a name to `look`, without allocating. None if it
/// needs no decoding, or is too long for anybody to want it.
pub fn with_decoded<T>(name: &[u8], look: impl FnOnce(&[u8]) -> T) -> Option<T> {
    if !name.iter().any(|&byte| byte == b'%' || byte == b'+') {
        return None;
    }
    let mut room = [0; MAX_NAME];
    let mut length = 0;
    for byte in (Bytes { rest: name }) {
        *room.get_mut(length)? = byte;
        length += 1;
    }
    room.get(..length).map(look)
}

/// A value as text: `+` is a space, `%41` is an `A`. A broken escape stays as it
/// is, what is not UTF-8 becomes U+FFFD.
pub fn decode(value: &[u8]) -> Cow<'_, str> {
    let Some(first) = memchr2(b'%', b'+', value) else {
        // Faster than the lossy way, and hardly ever is anything lost.
        let text = std::str::from_utf8(value).map(Cow::Borrowed);
        return text.unwrap_or_else(|_| String::from_utf8_lossy(value));
    };
    let (plain, rest) = value.split_at(first);
    let mut bytes = Vec::with_capacity(value.len());
    bytes.extend_from_slice(plain);
    decode_into(rest, &mut bytes);
    Cow::Owned(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// Appends a name or value as the bytes that were meant, UTF-8 or not.
pub fn decode_into(value: &[u8], bytes: &mut Vec<u8>) {
    let mut rest = value;
    while !rest.is_empty() {
        let plain = memchr2(b'%', b'+', rest).unwrap_or(rest.len());
        let (plain, escaped) = rest.split_at(plain);
        bytes.extend_from_slice(plain);
        rest = match step(escaped) {
            Some((byte, after)) => {
                bytes.push(byte);
                after
            }
            None => return,
        };
    }
}

/// Do two values mean the same text?
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    one == other || Bytes { rest: one }.eq(Bytes { rest: other })
}

/// Is it a form by its `Content-Type`?
pub fn is_form(content_type: Option<&str>) -> bool {
    const FORM: &str = "application/x-www-form-urlencoded";
    let split = content_type.and_then(|it| it.trim_start().split_at_checked(FORM.len()));
    split.is_some_and(|(kind, rest)| {
        kind.eq_ignore_ascii_case(FORM) && matches!(rest.trim_start().as_bytes(), [] | [b';', ..])
    })
}

/// The decoded bytes of a name or value.
struct Bytes<'a> {
    rest: &'a [u8],
}

impl Iterator for Bytes<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (byte, rest) = step(self.rest)?;
        self.rest = rest;
        Some(byte)
    }
}

/// The first decoded byte, and what is left to decode.
fn step(text: &[u8]) -> Option<(u8, &[u8])> {
    Some(match text {
        [b'+', rest @ ..] => (b' ', rest),
        [b'%', high, low, rest @ ..] => match (digit(*high), digit(*low)) {
            (Some(high), Some(low)) => (high << 4 | low, rest),
            _ => (b'%', text.get(1..)?),
        },
        [byte, rest @ ..] => (*byte, rest),
        [] => return None,
    })
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(form: &str) -> Vec<(String, String)> {
        fields(form.as_bytes())
            .map(|field| (decode(field.name).into(), decode(field.value).into()))
            .collect()
    }

    #[test]
    fn a_form_is_read_as_providers_write_it_and_as_they_do_not() {
        for (form, expected) in [
            ("", vec![]),
            ("&&", vec![]),
            ("a=1", vec![("a", "1")]),
            ("a=1&b=2&", vec![("a", "1"), ("b", "2")]),
            ("a=b=c", vec![("a", "b=c")]),
            (
                "Empty=&NoEquals&=novalue",
                vec![("Empty", ""), ("NoEquals", ""), ("", "novalue")],
            ),
            ("t=a+b%20c%2Bd", vec![("t", "a b c+d")]),
            (
                "n=+15125550100&m=%2b1512",
                vec![("n", " 15125550100"), ("m", "+1512")],
            ),
            ("D=5&D=1&D=1", vec![("D", "5"), ("D", "1"), ("D", "1")]),
            ("tag%5B%5D=a", vec![("tag[]", "a")]),
            ("c=%E6%9D%8E+caf%C3%A9", vec![("c", "李 café")]),
            (
                "bad=%C3%28&cut=%E6%9D",
                vec![("bad", "\u{fffd}("), ("cut", "\u{fffd}")],
            ),
            (
                "p=%ZZ%&q=%4&r=100%25",
                vec![("p", "%ZZ%"), ("q", "%4"), ("r", "100%")],
            ),
            ("%zz=%%41", vec![("%zz", "%A")]),
        ] {
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            assert_eq!(read(form), expected, "{form}");
        }
    }

    #[test]
    fn what_needs_no_decoding_is_borrowed() {
        assert!(matches!(decode(b"CA1:x-_.~\xc3\xa9"), Cow::Borrowed(_)));
        assert!(matches!(decode(b"a+b"), Cow::Owned(_)));
    }

    #[test]
    fn a_field_is_found_by_its_exact_name_and_the_first_counts() {
        let form = b"callsid=x&CallSid%5B%5D=y&C%61llSid=1&CallSid=2";
        assert_eq!(find(form, "CallSid").as_deref(), Some("1"));
        assert_eq!(find(form, "CallSidd"), None);
        assert_eq!(find(form, ""), None);
    }

    #[test]
    fn the_512th_field_is_seen_and_the_next_is_not() {
        let form = |before: usize| format!("{}x=1", "a=b&".repeat(before));
        assert!(find(form(MAX_FIELDS - 1).as_bytes(), "x").is_some());
        assert!(find(form(MAX_FIELDS).as_bytes(), "x").is_none());
    }

    #[test]
    fn values_are_the_same_when_they_mean_the_same() {
        assert!(is_same(b"%2B1", b"%2b1"));
        assert!(is_same(b"a+b", b"a%20b"));
        assert!(!is_same(b"+1", b"%2B1"), "a bare plus is a space");
        assert!(!is_same(b"a", b"ab"));
    }

    #[test]
    fn a_form_is_known_by_its_content_type() {
        for (content_type, expected) in [
            (Some("application/x-www-form-urlencoded"), true),
            (
                Some("Application/X-WWW-Form-Urlencoded ; charset=UTF-8"),
                true,
            ),
            (Some("application/json"), false),
            (Some("multipart/form-data; boundary=x"), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(is_form(content_type), expected, "{content_type:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_was_encoded_comes_back(text in ".{0,40}") {
            let every: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert_eq!(decode(every.as_bytes()), text.as_str());
            let is_same = with_decoded(every.as_bytes(), |name| name == text.as_bytes());
            let is_wanted = (1..=MAX_NAME).contains(&text.len());
            prop_assert_eq!(is_same, is_wanted.then_some(true));
            prop_assert!(find(every.as_bytes(), &text).is_some() || text.is_empty());
        }

        #[test]
        fn any_bytes_decode_as_one_byte_after_another(form in "[a%+=&4-7é]{0,40}|\\PC{0,40}") {
            for field in fields(form.as_bytes()) {
                let slowly: Vec<u8> = Bytes { rest: field.value }.collect();
                prop_assert_eq!(decode(field.value), String::from_utf8_lossy(&slowly));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(form in prop::collection::vec(any::<u8>(), 0..300)) {
            for field in fields(&form) {
                decode(field.value);
                with_decoded(field.name, <[u8]>::len);
            }
        }
    }
}
