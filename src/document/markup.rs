//! What XML demands inside a tag or a text: attributes, names, references,
//! characters, encodings.
//!
//! Bytes in, yes or no out, no allocation. Written for documents of at most 64 kB,
//! whose cost must not depend on what stands in them.
//!
//! Names and values are a few bytes long, so they are read byte by byte: calling
//! a vectorised search costs more than it saves there.

use memchr::{memchr, memmem};

/// The most attributes of one element. The longest of either provider's verbs has
/// fewer than thirty.
pub const MAX_ATTRIBUTES: usize = 64;

/// Why a tag's attributes are not sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadAttributes {
    /// Against the grammar: no value, no quotes, no space between two, a bare `&`
    /// or `<`, the same name twice.
    IllFormed,
    /// More than [`MAX_ATTRIBUTES`].
    TooMany,
}

/// Reads the attributes of one tag after another. Keeps its room for names, so
/// that a tag costs no allocation and no clearing.
#[derive(Debug)]
pub struct Attributes<'a> {
    names: [&'a [u8]; MAX_ATTRIBUTES],
}

impl Default for Attributes<'_> {
    fn default() -> Self {
        Self {
            names: [&[]; MAX_ATTRIBUTES],
        }
    }
}

impl<'a> Attributes<'a> {
    /// Reads what stands between a tag's name and its end, and hands back what
    /// follows the last attribute. `is_declared` says that the document has a DOCTYPE, so
    /// that entities of its own are legal. Ok(true): one of them is called `action`.
    pub fn read(
        &mut self,
        text: &'a [u8],
        is_declared: bool,
    ) -> Result<(bool, &'a [u8]), BadAttributes> {
        let mut rest = text;
        let mut count = 0;
        let mut has_action = false;
        loop {
            let spaced = after_space(rest);
            let (name, after) = name(spaced);
            if name.is_empty() {
                return Ok((has_action, spaced));
            }
            let is_apart = spaced.len() < rest.len();
            rest = after_value(after, is_declared)
                .filter(|_| is_apart && !self.names.iter().take(count).any(|it| *it == name))
                .ok_or(BadAttributes::IllFormed)?;
            *self.names.get_mut(count).ok_or(BadAttributes::TooMany)? = name;
            count += 1;
            has_action |= name == b"action";
        }
    }

    /// Checks that there are attributes and nothing else. See [`Attributes::read`].
    pub fn check(&mut self, text: &'a [u8], is_declared: bool) -> Result<bool, BadAttributes> {
        let (has_action, rest) = self.read(text, is_declared)?;
        if rest.is_empty() {
            Ok(has_action)
        } else {
            Err(BadAttributes::IllFormed)
        }
    }
}

/// What follows `="value"`. The value may hold neither `<` nor an `&` that begins
/// no reference.
fn after_value(text: &[u8], is_declared: bool) -> Option<&[u8]> {
    let [b'=', after @ ..] = after_space(text) else {
        return None;
    };
    let [quote @ (b'"' | b'\''), value @ ..] = after_space(after) else {
        return None;
    };
    let mut rest = value;
    loop {
        rest = match split(rest, PLAIN).1 {
            [b'&', after @ ..] => {
                let (name, tail) = after.split_at(memchr(b';', after)?);
                is_reference(name, is_declared).then_some(tail)?
            }
            [byte, after @ ..] if byte == quote => return Some(after),
            [b'"' | b'\'', after @ ..] => after,
            _ => return None,
        };
    }
}

/// May `&name;` stand in a document? XML itself knows five names and the numbers
/// of its characters; a DOCTYPE may make any other. It is never looked up.
pub fn is_reference(name: &[u8], is_declared: bool) -> bool {
    match name {
        b"amp" | b"lt" | b"gt" | b"quot" | b"apos" => true,
        [b'#', b'x', digits @ ..] => is_character(digits, 16),
        [b'#', digits @ ..] => is_character(digits, 10),
        _ => is_declared && is_name(name),
    }
}

fn is_character(digits: &[u8], radix: u32) -> bool {
    // `from_str_radix` takes a sign, XML does not.
    let is_signed = digits.first() == Some(&b'+');
    let code = std::str::from_utf8(digits)
        .ok()
        .filter(|_| !is_signed)
        .and_then(|digits| u32::from_str_radix(digits, radix).ok());
    let character = code.and_then(char::from_u32);
    character.is_some_and(|it| it >= ' ' || matches!(it, '\t' | '\n' | '\r'))
}

/// Is this a name an element or attribute may have? Everything outside ASCII
/// counts as a letter.
pub fn is_name(text: &[u8]) -> bool {
    !text.is_empty() && name(text).0.len() == text.len()
}

/// Splits off the name at the start; it is empty if there is none.
pub fn name(text: &[u8]) -> (&[u8], &[u8]) {
    match text.first() {
        Some(first) if is(*first, LETTER) => split(text, NAME),
        _ => text.split_at(0),
    }
}

/// Splits at the first white space.
pub fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&byte| is(byte, SPACE));
    text.split_at(end.unwrap_or(text.len()))
}

/// The text without the white space at its start.
pub fn after_space(text: &[u8]) -> &[u8] {
    split(text, SPACE).1
}

const SPACE: u8 = 1;
/// May begin a name.
const LETTER: u8 = 2;
/// May stand in a name.
const NAME: u8 = 4;
/// Says nothing in an attribute's value.
const PLAIN: u8 = 8;

/// What each byte may be: one look instead of a row of comparisons.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b' ' | b'\t' | b'\n' | b'\r' => SPACE | PLAIN,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b':' | 0x80.. => LETTER | NAME | PLAIN,
            b'0'..=b'9' | b'-' | b'.' => NAME | PLAIN,
            b'"' | b'\'' | b'<' | b'&' => 0,
            _ => PLAIN,
        };
        byte += 1;
    }
    classes
};

fn is(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

/// Splits before the first byte that is not of this class.
fn split(text: &[u8], class: u8) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&byte| !is(byte, class));
    text.split_at(end.unwrap_or(text.len()))
}

/// Does it hold a control character that XML forbids anywhere?
pub fn has_control(text: &[u8]) -> bool {
    // A fold instead of `any`, which the compiler turns into sixteen bytes a step.
    text.iter().fold(false, |found, &byte| {
        found | (byte < b' ' && byte != b'\t' && byte != b'\n' && byte != b'\r')
    })
}

/// Does a text hold `]]>`, which only the end of a CDATA section may?
pub fn has_cdata_end(text: &[u8]) -> bool {
    memchr(b'>', text).is_some() && memmem::find(text, b"]]>").is_some()
}

/// Is it UTF-16, with or without its mark? Such a document is not judged.
pub fn is_utf16(body: &[u8]) -> bool {
    matches!(
        body,
        [0xfe, 0xff, ..] | [0xff, 0xfe, ..] | [0, b'<', ..] | [b'<', 0, ..]
    )
}

/// What a document that is not UTF-8 may still be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Said to be UTF-8, or nothing said, which means the same: it is broken.
    Utf8,
    /// One byte a character, of which the lower half is ASCII.
    OneByte,
    /// Something this program cannot read.
    Other,
}

/// Which encoding a document is in: what its content type says, else what its
/// declaration says, else UTF-8.
pub fn encoding(charset: Option<&str>, body: &[u8]) -> Encoding {
    let Some(name) = charset.map(str::as_bytes).or_else(|| declared(body)) else {
        return Encoding::Utf8;
    };
    let begins = |word: &[u8]| {
        name.get(..word.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(word))
    };
    if begins(b"utf-8") || begins(b"utf8") || begins(b"us-ascii") {
        Encoding::Utf8
    } else if begins(b"iso-8859") || begins(b"latin") || begins(b"windows-125") || begins(b"cp125")
    {
        Encoding::OneByte
    } else {
        Encoding::Other
    }
}

/// The `encoding` of an XML declaration.
fn declared(body: &[u8]) -> Option<&[u8]> {
    let declaration = body.get(..memmem::find(body, b"?>")?)?;
    let after = declaration.get(memmem::find(declaration, b"encoding")? + 8..)?;
    let mut parts = after.split(|&byte| byte == b'"' || byte == b'\'');
    parts.nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tag: &str) -> Result<bool, BadAttributes> {
        Attributes::default().check(tag.as_bytes(), false)
    }

    #[test]
    fn each_bad_attribute_has_a_sound_neighbour() {
        for (bad, sound) in [
            (" a", " a=\"\""),
            (" a=1", " a='1'"),
            (" a=\"1", " a=\"1\""),
            (" a=\"1\"b=\"2\"", " a=\"1\" b=\"2\""),
            ("a=\"1\"", "\n\ta = \"1\" "),
            (" a=\"1\" a=\"2\"", " a=\"1\" A=\"2\""),
            (" u=\"?x=1&y=2\"", " u=\"?x=1&amp;y=2\""),
            (" u=\"?x=1&y;\"", " u=\"?x=1&#38;y;\""),
            (" u=\"a<b\"", " u=\"a>b\""),
            (" 1a=\"\"", " a1=\"\""),
            (" a==\"\"", " a=\"=\""),
            (" a=\"'", " a=\"'\""),
            (" /=\"\"", " x:y=\"/\""),
        ] {
            assert_eq!(check(bad), Err(BadAttributes::IllFormed), "{bad}");
            assert_eq!(check(sound), Ok(false), "{sound}");
        }
    }

    #[test]
    fn sixty_four_attributes_pass_and_sixty_five_do_not() {
        let tag =
            |count: usize| -> String { (0..count).map(|n| format!(" a{n}=\"{n}\"")).collect() };
        assert_eq!(check(&tag(64)), Ok(false));
        assert_eq!(check(&tag(65)), Err(BadAttributes::TooMany));
        assert_eq!(check(&tag(80_000)), Err(BadAttributes::TooMany));
    }

    #[test]
    fn an_action_is_noticed_wherever_it_stands() {
        assert_eq!(check(" action=\"/x\""), Ok(true));
        assert_eq!(check(" a=\"1\" action='' b=\"2\""), Ok(true));
        assert_eq!(check(" invalidDigitsAction=\"/x\" b=\"action\""), Ok(false));
    }

    #[test]
    fn only_a_doctype_makes_other_entities_legal() {
        for name in ["amp", "lt", "gt", "quot", "apos", "#38", "#x26", "#x1F4DE"] {
            assert!(is_reference(name.as_bytes(), false), "{name}");
        }
        for name in [
            "#",
            "#x",
            "#0",
            "#x1f",
            "#xD800",
            "#+38",
            "#x110000",
            "#99999999999",
            "",
            "b=2",
        ] {
            assert!(!is_reference(name.as_bytes(), true), "{name}");
        }
        for name in ["base", "nbsp"] {
            assert!(is_reference(name.as_bytes(), true), "{name}");
            assert!(!is_reference(name.as_bytes(), false), "{name}");
        }
    }

    #[test]
    fn the_encoding_is_what_the_content_type_then_the_document_says() {
        let body = |name: &str| format!("<?xml version='1.0' encoding='{name}'?><Response/>");
        for (charset, name, expected) in [
            (None, "UTF-8", Encoding::Utf8),
            (None, "iso-8859-15", Encoding::OneByte),
            (None, "Windows-1251", Encoding::OneByte),
            (None, "Shift_JIS", Encoding::Other),
            (Some("utf-8"), "iso-8859-1", Encoding::Utf8),
            (Some("latin1"), "UTF-8", Encoding::OneByte),
        ] {
            let body = body(name);
            assert_eq!(
                encoding(charset, body.as_bytes()),
                expected,
                "{charset:?} {name}"
            );
        }
        assert_eq!(encoding(None, b"<Response/>"), Encoding::Utf8);
    }
}
