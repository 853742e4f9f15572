//! A value of a document: what it says, and where in the document each part of it
//! stands.
//!
//! What a URL leads to is decided on what is said, `&` for `&amp;`; what is changed
//! are the document's own bytes. Between the two stands a list of pieces: an
//! attribute, or a text in parts of plain text, references and CDATA sections, with
//! comments between them.

use std::borrow::Cow;
use std::mem;
use std::ops::Range;

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::BytesRef;

use super::Splice;
use crate::document::address::Edit;
use crate::document::markup;

/// The longest URL that is looked at, in bytes; well beyond the 4,000 characters
/// providers take. A longer value stays as it is.
pub(super) const MAX_URL: usize = 8 * 1024;

/// One value. Kept from one to the next, for its room.
#[derive(Debug, Default)]
pub(super) struct Value {
    text: String,
    pieces: Vec<Piece>,
    /// An entity stands in it that only the document's DOCTYPE could explain.
    is_opaque: bool,
}

#[derive(Debug)]
struct Piece {
    kind: Kind,
    /// Where in the text.
    said: Range<usize>,
    /// Where in the document.
    raw: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    CData,
    /// One reference: many bytes of document for one character.
    Reference,
}

impl Value {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.pieces.clear();
        self.is_opaque = false;
    }

    /// What it says; NUL for an entity that is not known. None: it is too long.
    pub(super) fn text(&self) -> Option<&str> {
        (self.text.len() <= MAX_URL).then_some(&*self.text)
    }

    pub(super) fn is_opaque(&self) -> bool {
        self.is_opaque
    }

    /// Text without references.
    pub(super) fn push_plain(&mut self, text: &str, at: usize) {
        self.push(Kind::Plain, text, at..at + text.len());
    }

    /// What stands in a CDATA section.
    pub(super) fn push_cdata(&mut self, text: &str, at: usize) {
        self.push(Kind::CData, text, at..at + text.len());
    }

    /// `&name;`, at its `&`. What is no reference says what it looks like.
    pub(super) fn push_reference(&mut self, name: &str, at: usize) {
        let raw = at..at + name.len() + 2;
        let mut room = [0; 4];
        if let Some(known) = resolve_predefined_entity(name) {
            self.push(Kind::Reference, known, raw);
        } else if let Ok(Some(character)) = BytesRef::new(name).resolve_char_ref() {
            self.push(Kind::Reference, character.encode_utf8(&mut room), raw);
        } else if markup::is_name(name.as_bytes()) {
            self.is_opaque = true;
            self.push(Kind::Reference, "\0", raw);
        } else {
            self.push_plain("&", at);
            self.push_plain(name, at + 1);
            self.push_plain(";", raw.end - 1);
        }
    }

    /// An attribute's value as it is written. An `&` that begins no reference is
    /// text: providers may be laxer than XML.
    pub(super) fn push_attribute(&mut self, written: &str, at: usize) {
        let mut rest = written;
        let mut at = at;
        while let Some((before, after)) = rest.split_once('&') {
            self.push_plain(before, at);
            at += before.len();
            let end = after.find([';', '&']);
            rest = match end.and_then(|end| after.split_at_checked(end)) {
                Some((name, tail)) if tail.starts_with(';') => {
                    self.push_reference(name, at);
                    at += name.len() + 2;
                    tail.get(1..).unwrap_or_default()
                }
                _ => {
                    self.push_plain("&", at);
                    at += 1;
                    after
                }
            };
        }
        self.push_plain(rest, at);
    }

    fn push(&mut self, kind: Kind, text: &str, raw: Range<usize>) {
        // What is too long stays unread, and takes no room meanwhile.
        if text.is_empty() || self.text.len() > MAX_URL {
            return;
        }
        let start = self.text.len();
        self.text.push_str(text);
        self.pieces.push(Piece {
            kind,
            said: start..self.text.len(),
            raw,
        });
    }

    /// Notes what a change of the text is in the document.
    pub(super) fn change<'a>(&self, edit: Edit<'a>, splices: &mut Vec<Splice<'a>>) {
        if edit.range.is_empty() {
            return self.insert(edit, splices);
        }
        // A piece that adjoins the one before is changed together with it. Others
        // have markup between them, which stays: the first takes what is new.
        let mut by = edit.by;
        let mut last = None;
        for piece in self.pieces_of(&edit.range) {
            let raw = piece.raw_of(&edit.range);
            if let (Some(end), Some(splice)) = (last, splices.last_mut())
                && end == raw.start
            {
                last = Some(raw.end);
                splice.range.end = raw.end;
                continue;
            }
            last = Some(raw.end);
            splices.push(Splice {
                range: raw,
                by: piece.written(mem::take(&mut by)),
            });
        }
    }

    /// The pieces that say this part of the text.
    fn pieces_of(&self, range: &Range<usize>) -> impl Iterator<Item = &Piece> {
        let first = (self.pieces).partition_point(|piece| piece.said.end <= range.start);
        let pieces = self.pieces.get(first..).unwrap_or_default();
        pieces
            .iter()
            .take_while(|piece| piece.said.start < range.end)
    }

    /// Insertions stand behind the byte before them, so inside its CDATA section.
    fn insert<'a>(&self, edit: Edit<'a>, splices: &mut Vec<Splice<'a>>) {
        let before = edit.range.start.saturating_sub(1)..edit.range.start;
        if let Some(piece) = self.pieces_of(&before).next() {
            let at = piece.raw_of(&before).end;
            splices.push(Splice {
                range: at..at,
                by: piece.written(edit.by),
            });
        }
    }
}

impl Piece {
    /// The document's bytes of the part of this piece that is in the range.
    fn raw_of(&self, range: &Range<usize>) -> Range<usize> {
        if self.kind == Kind::Reference {
            return self.raw.clone();
        }
        let start = range.start.max(self.said.start) - self.said.start;
        let end = range.end.min(self.said.end) - self.said.start;
        self.raw.start + start..self.raw.start + end
    }

    /// As it must be written where this piece stands.
    fn written<'a>(&self, text: Cow<'a, str>) -> Cow<'a, str> {
        match self.kind {
            Kind::CData => text,
            Kind::Plain | Kind::Reference => quick_xml::escape::escape(text),
        }
    }
}
