//! A document cut into its pieces: tags, texts, references and the rest.
//!
//! One pass, forward only, no allocation; it takes less than half the time of a
//! general XML reader, which matters as every answer waits for it. Bytes outside ASCII
//! are taken as letters, so any encoding that extends ASCII can be read.
//!
//! It goes on after a fault wherever the next piece can still be found, by the
//! same rules as quick-xml, the oracle of the tests below.

use memchr::{memchr, memchr2, memmem};

use super::markup::{self, Attributes, BadAttributes};

/// One piece of a document. White space between two others is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// `<name …>` or `<name …/>`.
    Tag(Tag<'a>),
    /// `</name>`.
    Close(&'a [u8]),
    /// What stands between markup, without white space in front.
    Text(&'a [u8]),
    /// `&name;`.
    Reference(&'a [u8]),
    /// A CDATA section.
    CData,
    /// `<!DOCTYPE …>`: what follows the word.
    Doctype(&'a [u8]),
    /// `<?xml …?>`: whether its attributes are sound.
    Declaration(bool),
    /// A comment or processing instruction: nothing to us.
    Other,
    /// Against the grammar, but its end is plain: a lone `&`, a comment with `--`
    /// in it, a DOCTYPE of nothing.
    Flawed,
    /// Markup whose end cannot be found: nothing after it can be read.
    Cut,
}

/// What a tag says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag<'a> {
    /// What stands before the first white space. A name, if `has_action` is `Ok`.
    pub name: &'a [u8],
    /// Whether it has an attribute `action`, or what is wrong with the tag.
    pub has_action: Result<bool, BadAttributes>,
    /// It closes itself.
    pub is_empty: bool,
}

/// Reads one document.
#[derive(Debug)]
pub struct Scanner<'a> {
    rest: &'a [u8],
    attributes: Attributes<'a>,
    /// There was a DOCTYPE, so entities of its own are legal. Set by whoever
    /// accepts it.
    pub is_declared: bool,
}

impl<'a> Scanner<'a> {
    /// At the start of a document.
    pub fn new(document: &'a [u8]) -> Self {
        Self {
            rest: document,
            attributes: Attributes::default(),
            is_declared: false,
        }
    }

    /// What was not read yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next piece. None at the end; after [`Piece::Cut`] nothing new comes.
    pub fn next_piece(&mut self) -> Option<Piece<'a>> {
        let text = markup::after_space(self.rest);
        let (piece, rest) = match text {
            [] => return None,
            [b'<', b'/', after @ ..] => close(after),
            [b'<', b'!', after @ ..] => bang(after),
            [b'<', b'?', ..] => self.question(text),
            [b'<', after @ ..] => self.tag(after),
            [b'&', after @ ..] => Some(reference(after)),
            _ => {
                let end = memchr2(b'<', b'&', text).unwrap_or(text.len());
                let (text, rest) = text.split_at(end);
                Some((Piece::Text(text), rest))
            }
        }
        .unwrap_or((Piece::Cut, text));
        self.rest = rest;
        Some(piece)
    }

    fn tag(&mut self, after: &'a [u8]) -> Option<(Piece<'a>, &'a [u8])> {
        let (name, rest) = markup::name(after);
        let attributes = self.attributes.read(rest, self.is_declared);
        let (has_action, is_empty, rest) = match attributes {
            Ok((has_action, [b'>', rest @ ..])) if !name.is_empty() => (has_action, false, rest),
            Ok((has_action, [b'/', b'>', rest @ ..])) if !name.is_empty() => {
                (has_action, true, rest)
            }
            _ => return self.bad_tag(after),
        };
        let tag = Tag {
            name,
            has_action: Ok(has_action),
            is_empty,
        };
        Some((Piece::Tag(tag), rest))
    }

    /// A tag that is not sound ends at the first `>` outside quotes all the same.
    #[cold]
    fn bad_tag(&mut self, after: &'a [u8]) -> Option<(Piece<'a>, &'a [u8])> {
        let (content, rest) = quoted(after)?;
        let inside = content.strip_suffix(b"/");
        let (name, attributes) = markup::word(inside.unwrap_or(content));
        let checked = self.attributes.check(attributes, self.is_declared);
        let tag = Tag {
            name,
            has_action: match checked {
                Ok(_) if !markup::is_name(name) => Err(BadAttributes::IllFormed),
                checked => checked,
            },
            is_empty: inside.is_some(),
        };
        Some((Piece::Tag(tag), rest))
    }

    /// What begins with `<?`: the XML declaration or a processing instruction.
    fn question(&mut self, text: &'a [u8]) -> Option<(Piece<'a>, &'a [u8])> {
        let rest = behind(text.get(1..)?, b"?>")?;
        let (whole, _) = text.split_at(text.len() - rest.len());
        let content = whole.strip_prefix(b"<?")?.strip_suffix(b"?>")?;
        let piece = match content.strip_prefix(b"xml") {
            Some(said) if markup::word(said).0.is_empty() => {
                Piece::Declaration(self.attributes.check(said, false).is_ok())
            }
            _ => Piece::Other,
        };
        Some((piece, rest))
    }
}

fn close(after: &[u8]) -> Option<(Piece<'_>, &[u8])> {
    if let (name, [b'>', rest @ ..]) = markup::name(after) {
        return Some((Piece::Close(name), rest));
    }
    let (content, rest) = quoted(after)?;
    Some((Piece::Close(content.trim_ascii_end()), rest))
}

fn reference(after: &[u8]) -> (Piece<'_>, &[u8]) {
    let end = after
        .iter()
        .position(|byte| matches!(byte, b';' | b'&' | b'<'));
    match after.split_at(end.unwrap_or(after.len())) {
        (name, [b';', rest @ ..]) => (Piece::Reference(name), rest),
        (_, rest) => (Piece::Flawed, rest),
    }
}

/// What begins with `<!`: a comment, a CDATA section or a DOCTYPE.
fn bang(after: &[u8]) -> Option<(Piece<'_>, &[u8])> {
    if let Some(comment) = after.strip_prefix(b"--") {
        let (_, hyphens) = comment.split_at(memmem::find(comment, b"--")?);
        if let [b'-', b'-', b'>', rest @ ..] = hyphens {
            return Some((Piece::Other, rest));
        }
        return Some((Piece::Flawed, behind(hyphens, b"-->")?));
    }
    if let Some(section) = after.strip_prefix(b"[CDATA[") {
        return Some((Piece::CData, behind(section, b"]]>")?));
    }
    let (word, doctype) = after.split_at_checked(7)?;
    if !word.eq_ignore_ascii_case(b"DOCTYPE") {
        return None;
    }
    let rest = behind_doctype(doctype)?;
    let (content, _) = doctype.split_at(doctype.len() - rest.len() - 1);
    let piece = match markup::after_space(content) {
        [] => Piece::Flawed,
        content => Piece::Doctype(content),
    };
    Some((piece, rest))
}

/// A DOCTYPE ends at the first `>` outside quotes and outside its `[…]`.
fn behind_doctype(doctype: &[u8]) -> Option<&[u8]> {
    let mut rest = doctype;
    loop {
        let special = |byte: &u8| matches!(byte, b'\'' | b'"' | b'[' | b'>');
        let (byte, after) = rest.get(rest.iter().position(special)?..)?.split_first()?;
        rest = match byte {
            b'>' => return Some(after),
            b'[' => return behind(behind_subset(after)?, b">"),
            quote => after.get(memchr(*quote, after)? + 1..)?,
        };
    }
}

/// The internal subset of a DOCTYPE ends at the first `]` outside its declarations.
fn behind_subset(subset: &[u8]) -> Option<&[u8]> {
    let mut rest = subset;
    loop {
        rest = match rest.get(memchr2(b']', b'<', rest)?..)? {
            [b']', after @ ..] => return Some(after),
            [b'<', b'?', after @ ..] => behind(after, b"?>")?,
            [b'<', b'!', b'-', b'-', after @ ..] => behind(after, b"-->")?,
            declaration => {
                let starts = |word: &[u8]| declaration.starts_with(word);
                if starts(b"<!ENTITY") || starts(b"<!ATTLIST") || starts(b"<!NOTATION") {
                    quoted(declaration)?.1
                } else {
                    behind(declaration, b">")?
                }
            }
        };
    }
}

/// Splits at the first `>` outside quotes.
fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut quote = None;
    let end = text.iter().position(|&byte| {
        match (quote, byte) {
            (None, b'>') => return true,
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
        false
    })?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}

fn behind<'a>(text: &'a [u8], end: &[u8]) -> Option<&'a [u8]> {
    text.get(memmem::find(text, end)? + end.len()..)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use quick_xml::Reader;
    use quick_xml::errors::Error;
    use quick_xml::events::{BytesStart, Event};

    use super::*;

    const SAMPLE: &str = "<?xml version='1.0'?><!DOCTYPE Response [<!ENTITY a \"]>\"><!-- ]> -->\
        <?pi ]>?><!ELEMENT b ANY>]>\n<Response a=\"1\" b='&amp;>'><!-- - --><Say >one &#38; two ]]</Say\n>\
        <Play/> <Dial action = \"/x\"/><![CDATA[<]]]]></Response><?end?>\n";

    /// The pieces of a document, written out.
    fn pieces(document: &str) -> Vec<String> {
        let mut scanner = Scanner::new(document.as_bytes());
        let mut found = Vec::new();
        while let Some(piece) = scanner.next_piece() {
            scanner.is_declared |= matches!(piece, Piece::Doctype(_));
            found.push(format!("{piece:?}"));
            if piece == Piece::Cut {
                break;
            }
        }
        found
    }

    /// The same, as quick-xml cuts it.
    fn oracle(document: &str) -> Vec<String> {
        let mut reader = Reader::from_str(document);
        let config = reader.config_mut();
        config.check_comments = true;
        config.check_end_names = false;
        config.allow_unmatched_ends = true;
        let mut found = Vec::new();
        let mut is_declared = false;
        loop {
            let event = reader.read_event();
            let piece = match &event {
                Ok(Event::Eof) => return found,
                Ok(Event::Start(start)) => tag(start, false, is_declared),
                Ok(Event::Empty(start)) => tag(start, true, is_declared),
                Ok(Event::End(end)) => Piece::Close(end.as_bytes().trim_ascii_end()),
                Ok(Event::Text(text)) => match markup::after_space(text.as_bytes()) {
                    [] => continue,
                    text => Piece::Text(text),
                },
                Ok(Event::GeneralRef(name)) => Piece::Reference(name.as_bytes()),
                Ok(Event::CData(_)) => Piece::CData,
                Ok(Event::DocType(doctype)) => Piece::Doctype(doctype.as_bytes()),
                Ok(Event::Decl(said)) => {
                    let said = said.as_bytes().strip_prefix(b"xml").unwrap();
                    Piece::Declaration(Attributes::default().check(said, false).is_ok())
                }
                Ok(Event::Comment(_) | Event::PI(_)) => Piece::Other,
                Err(Error::IllFormed(_)) => Piece::Flawed,
                Err(_) => Piece::Cut,
            };
            is_declared |= matches!(piece, Piece::Doctype(_));
            found.push(format!("{piece:?}"));
        }
    }

    fn tag<'a>(tag: &'a BytesStart<'_>, is_empty: bool, is_declared: bool) -> Piece<'a> {
        let name = tag.name().into_inner().as_bytes();
        let raw = tag.attributes_raw().as_bytes();
        let has_action = Attributes::default().check(raw, is_declared);
        Piece::Tag(Tag {
            name,
            has_action: match has_action {
                Ok(_) if !markup::is_name(name) => Err(BadAttributes::IllFormed),
                other => other,
            },
            is_empty,
        })
    }

    #[test]
    fn a_document_falls_into_the_pieces_an_xml_reader_finds() {
        let found = pieces(SAMPLE);
        assert_eq!(found, oracle(SAMPLE));
        assert_eq!(found.len(), 14, "{found:?}");
        assert!(!found.contains(&"Cut".to_owned()), "{found:?}");
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_read_as_an_xml_reader_does() {
        for at in 0..SAMPLE.len() {
            let (before, after) = SAMPLE.split_at(at);
            assert_eq!(pieces(before), oracle(before), "{before}");
            for byte in "<>/&;\"'=!?-[] \n\u{c}x1".chars() {
                let changed = format!("{before}{byte}{}", after.get(1..).unwrap());
                assert_eq!(pieces(&changed), oracle(&changed), "{changed}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_soup_of_markup_is_read_as_an_xml_reader_does(
            parts in prop::collection::vec(prop::sample::select(vec![
                "<", ">", "/", "&", ";", "\"", "'", "=", " ", "\n", "!", "?", "-", "--", "[", "]", "]]>",
                "<![CDATA[", "<!--", "-->", "<!DOCTYPE", "<!doctype a", "<!ENTITY", "<!ELEMENT", "<!NOTATION",
                "<!x", "<?xml", "<?x", "?>", "<Say ", "<a>", "</a", "action", "é", "&amp;", "&#", "x", "\u{c}",
                " a=\"b\"", " c='", "/>",
            ]), 0..40),
        ) {
            let document = parts.concat();
            prop_assert_eq!(pieces(&document), oracle(&document));
        }
    }
}
