//! TeXML and TwiML documents: sound or broken, as a provider would see it.
//!
//! What the verbs do to the call is told by `document/course.rs`.
//!
//! One pass over the pieces that `document/scan.rs` cuts it into; what a tag or a
//! text may hold is in `document/markup.rs`. No entity is ever expanded and nothing
//! is opened, so there is no way to grow or to leave the 64 kB.
//!
//! **Bounds**: [`MAX_BYTES`], [`MAX_DEPTH`] levels, [`markup::MAX_ATTRIBUTES`] attributes
//! of one element. What lies beyond is not read and is [`Flaw::TooLarge`].
//!
//! **DOCTYPE**: an internal one is legal. As it may define any entity, names of
//! entities are not checked in a document that has one. External parts are
//! neither fetched nor held against it.
//!
//! **Encoding**: UTF-8 and the one-byte encodings are judged; UTF-16 and what
//! else this program cannot read passes as sound, unread.
//!
//! Reading goes on after a flaw wherever it can, so that a flaw that legacy shows
//! by habit hides nothing of what its documents do.

use super::course::Course;
use super::markup::{self, BadAttributes, Encoding};
use super::scan::{Piece, Scanner, Tag};
use super::{Flaw, Judgement, MAX_BYTES};

/// The deepest nesting. The providers' own documents reach six or seven.
pub const MAX_DEPTH: usize = 32;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Judges one document.
pub fn judge(body: &[u8], content_type: Option<&str>) -> Judgement {
    if body.len() > MAX_BYTES {
        return broken(Flaw::TooLarge);
    }
    if markup::is_utf16(body) {
        return Judgement::default();
    }
    let marked = body.strip_prefix(BOM).unwrap_or(body);
    let text = marked.trim_ascii_start();
    if text.is_empty() {
        return broken(Flaw::Empty);
    }
    // White space is only a flaw where a declaration follows: it must come first.
    let is_late = text.len() < marked.len() && text.starts_with(b"<?xml");
    let first = is_late.then_some(Flaw::LeadingSpace);
    let (judgement, rest) = Reading::new(first, text).run(text);
    let (read, _) = text.split_at(text.len() - rest.len());
    if std::str::from_utf8(read).is_ok() {
        return judgement;
    }
    let charset = content_type.and_then(super::charset);
    match markup::encoding(charset, text) {
        Encoding::Utf8 => broken(Flaw::NotWellFormed),
        Encoding::OneByte => judgement,
        Encoding::Other => Judgement::default(),
    }
}

fn broken(flaw: Flaw) -> Judgement {
    Judgement {
        flaw: Some(flaw),
        ..Judgement::default()
    }
}

/// Whether there is more to read.
#[derive(PartialEq, Eq)]
enum Then {
    GoOn,
    Stop,
}

/// One pass over one document.
struct Reading<'a> {
    flaw: Option<Flaw>,
    open: [&'a [u8]; MAX_DEPTH],
    depth: usize,
    had_root: bool,
    scanner: Scanner<'a>,
    course: Course,
}

impl<'a> Reading<'a> {
    fn new(flaw: Option<Flaw>, text: &'a [u8]) -> Self {
        Self {
            flaw,
            open: [&[]; MAX_DEPTH],
            depth: 0,
            had_root: false,
            scanner: Scanner::new(text),
            course: Course::default(),
        }
    }

    /// The judgement, and what was not read for it.
    fn run(mut self, text: &[u8]) -> (Judgement, &'a [u8]) {
        if markup::has_control(text) {
            self.note(Flaw::NotWellFormed);
        }
        let mut is_first = true;
        while let Some(piece) = self.scanner.next_piece() {
            if self.take(piece, is_first) == Then::Stop {
                return (self.stopped(), self.scanner.rest());
            }
            is_first = false;
        }
        (self.finished(), self.scanner.rest())
    }

    fn take(&mut self, piece: Piece<'a>, is_first: bool) -> Then {
        match piece {
            Piece::Tag(tag) => return self.element(tag),
            Piece::Close(name) => self.close(name),
            Piece::Text(text) => {
                self.demand(self.depth > 0 && !markup::has_cdata_end(text));
            }
            Piece::Reference(name) => {
                let is_known = markup::is_reference(name, self.scanner.is_declared);
                self.demand(self.depth > 0 && is_known);
            }
            Piece::CData => self.demand(self.depth > 0),
            Piece::Doctype(doctype) => return self.doctype(doctype),
            Piece::Declaration(is_sound) => self.demand(is_first && is_sound),
            Piece::Other => {}
            Piece::Flawed => self.note(Flaw::NotWellFormed),
            Piece::Cut => {
                self.note(Flaw::NotWellFormed);
                return Then::Stop;
            }
        }
        Then::GoOn
    }

    fn element(&mut self, tag: Tag<'a>) -> Then {
        let Some(slot) = self.open.get_mut(self.depth) else {
            self.note(Flaw::TooLarge);
            return Then::Stop;
        };
        if tag.has_action == Err(BadAttributes::TooMany) {
            self.note(Flaw::TooLarge);
            return Then::Stop;
        }
        *slot = tag.name;
        let depth = self.depth;
        self.depth += usize::from(!tag.is_empty);
        if depth == 0 {
            return self.root(tag);
        }
        self.demand(tag.has_action.is_ok());
        if depth == 1 {
            self.course.verb(tag.name, tag.has_action.unwrap_or(true));
        } else {
            self.course.noun(tag.name);
        }
        Then::GoOn
    }

    /// An end tag of the wrong name closes the innermost element all the same.
    fn close(&mut self, name: &[u8]) {
        let innermost = self.depth.checked_sub(1);
        self.demand(innermost.and_then(|at| self.open.get(at)) == Some(&name));
        self.depth = innermost.unwrap_or(0);
    }

    fn root(&mut self, tag: Tag<'_>) -> Then {
        if self.had_root {
            self.note(Flaw::NotWellFormed);
            return Then::Stop;
        }
        self.had_root = true;
        if tag.name == b"Response" {
            self.demand(tag.has_action.is_ok());
            return Then::GoOn;
        }
        self.note(if tag.name.eq_ignore_ascii_case(b"html") {
            Flaw::Html
        } else if markup::is_name(tag.name) {
            Flaw::WrongRoot
        } else {
            Flaw::NotWellFormed
        });
        Then::Stop
    }

    fn doctype(&mut self, doctype: &[u8]) -> Then {
        let name = doctype.get(..4).unwrap_or_default();
        let is_whole = doctype
            .get(4)
            .is_none_or(|byte| !byte.is_ascii_alphanumeric());
        if !self.had_root && is_whole && name.eq_ignore_ascii_case(b"html") {
            self.note(Flaw::Html);
            return Then::Stop;
        }
        self.demand(!self.had_root && !self.scanner.is_declared);
        self.scanner.is_declared = true;
        Then::GoOn
    }

    fn demand(&mut self, is_so: bool) {
        if !is_so {
            self.note(Flaw::NotWellFormed);
        }
    }

    /// The first flaw is the one that is told.
    fn note(&mut self, flaw: Flaw) {
        self.flaw.get_or_insert(flaw);
    }

    fn finished(&mut self) -> Judgement {
        let is_whole = self.had_root && self.depth == 0;
        self.demand(is_whole);
        if !is_whole {
            return self.stopped();
        }
        Judgement {
            flaw: self.flaw,
            does: self.course.at_end(),
        }
    }

    /// The end was not seen, so only what certainly happens before it counts.
    fn stopped(&self) -> Judgement {
        Judgement {
            flaw: self.flaw,
            does: self.course.so_far(),
        }
    }
}

#[cfg(test)]
mod tests;
