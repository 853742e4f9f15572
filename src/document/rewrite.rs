//! TeXML and TwiML with the URLs that name a backend leading back to us.
//!
//! quick-xml finds the values; the new text is put in place of the old bytes.
//! Nothing is written anew, so the byte order mark, quotes, CDATA sections, entities,
//! namespaces, comments and whatever a provider reads into white space stay.
//!
//! - Which attributes and texts are URLs is in `rewrite/carriers.rs`. An attribute of
//!   one of those names on an element that is not there is taken for a URL if it has
//!   a host, for it is then nothing else: it is led home and takes a token if it leads
//!   to us. A word without a host takes none there.
//! - Names are taken whole: an element or attribute with a namespace prefix is not
//!   the one without.
//! - Entities that a DOCTYPE declares are never looked up. A URL that begins with one
//!   stays as it is, and one that holds one anywhere takes no token.
//! - UTF-8 and every encoding that extends ASCII are read; UTF-16 is left alone.
//! - What is not well-formed is rewritten as far as it can be read; judging it is
//!   not done here.
//!
//! **Bounds**: those of `document/texml.rs`, and [`value::MAX_URL`] for one URL. A
//! document beyond them is rewritten up to there, one above 64 kB not at all.

mod carriers;
mod value;

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr_iter;
use quick_xml::Reader;
use quick_xml::errors::Error;
use quick_xml::events::{BytesStart, Event};

use self::value::Value;
use super::MAX_BYTES;
use super::address::{Addresses, Taking};
use super::markup::{self, MAX_ATTRIBUTES};
use super::texml::MAX_DEPTH;

/// The document with its URLs led home, every other byte unchanged. None: nothing
/// is to be changed, which costs a look at the bytes if no backend is mentioned and
/// there is no token.
pub fn rewrite(body: &[u8], addresses: &Addresses, token: Option<&str>) -> Option<Vec<u8>> {
    if body.len() > MAX_BYTES || markup::is_utf16(body) {
        return None;
    }
    if token.is_none() && !may_lead_away(body, addresses) {
        return None;
    }
    let readable = readable(body);
    let splices = Reading::new(&readable, addresses, token).run();
    (!splices.is_empty()).then(|| spliced(body, &splices))
}

/// Is a backend named in it, or could it be, in a way that only reading tells? If not,
/// [`rewrite`] changes nothing but for a token's sake.
pub fn may_lead_away(body: &[u8], addresses: &Addresses) -> bool {
    addresses.are_mentioned(body) || may_hide(body)
}

/// What replaces which bytes of the document. They come in order.
#[derive(Debug, PartialEq, Eq)]
struct Splice<'a> {
    range: Range<usize>,
    by: Cow<'a, str>,
}

fn spliced(body: &[u8], splices: &[Splice<'_>]) -> Vec<u8> {
    let added: usize = splices.iter().map(|splice| splice.by.len()).sum();
    let mut new = Vec::with_capacity(body.len() + added);
    let mut done = 0;
    for Splice { range, by } in splices {
        new.extend_from_slice(body.get(done..range.start).unwrap_or_default());
        new.extend_from_slice(by.as_bytes());
        done = range.end;
    }
    new.extend_from_slice(body.get(done..).unwrap_or_default());
    new
}

/// May a URL be there that is not spelled out in one piece: with characters as
/// numbers, or with something between its characters?
fn may_hide(body: &[u8]) -> bool {
    // A fold instead of `any`, which the compiler turns into sixteen bytes a step.
    let after = body.get(1..).unwrap_or_default();
    let is_marked = body.iter().zip(after).fold(false, |found, (&a, &b)| {
        found | ((a == b'&') & (b == b'#')) | ((a == b'<') & ((b == b'!') | (b == b'?')))
    });
    is_marked && (has_number(body) || memchr_iter(b'<', body).any(|at| may_split(body, at)))
}

fn has_number(body: &[u8]) -> bool {
    memchr_iter(b'&', body).any(|at| body.get(at + 1) == Some(&b'#'))
}

/// May what begins here stand inside a URL? A comment or instruction behind white
/// space or markup does not, as a URL has neither in it.
fn may_split(body: &[u8], at: usize) -> bool {
    let (before, markup) = body.split_at(at);
    if !markup.starts_with(b"<?") && !markup.starts_with(b"<!--") {
        return markup.starts_with(b"<!");
    }
    let is_apart = |byte: &u8| *byte <= b' ' || *byte == b'>';
    !before.last().is_none_or(is_apart) && before != b"\xef\xbb\xbf"
}

/// The document as the reader wants it, every byte in its place: what is not UTF-8
/// gets one ASCII character that means nothing for each byte outside ASCII. No URL
/// is led home because of such a byte, and none of them is replaced.
fn readable(body: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(body) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            let ascii = |&byte: &u8| {
                if byte.is_ascii() {
                    char::from(byte)
                } else {
                    '\x7f'
                }
            };
            Cow::Owned(body.iter().map(ascii).collect())
        }
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
    source: &'a str,
    addresses: &'a Addresses,
    token: Option<&'a str>,
    depth: usize,
    /// The attribute or text at hand.
    value: Value,
    /// Inside an element whose text is a URL, with no element in it so far.
    in_text: bool,
    splices: Vec<Splice<'a>>,
}

impl<'a> Reading<'a> {
    fn new(source: &'a str, addresses: &'a Addresses, token: Option<&'a str>) -> Self {
        Self {
            source,
            addresses,
            token,
            depth: 0,
            value: Value::default(),
            in_text: false,
            splices: Vec::new(),
        }
    }

    fn run(mut self) -> Vec<Splice<'a>> {
        let mut reader = Reader::from_str(self.source);
        let config = reader.config_mut();
        config.allow_dangling_amp = true;
        config.allow_unmatched_ends = true;
        config.check_end_names = false;
        loop {
            let then = match reader.read_event() {
                Ok(event) => self.take(event),
                // The reader has found the end of it all the same.
                Err(Error::IllFormed(_)) => Then::GoOn,
                Err(_) => Then::Stop,
            };
            if then == Then::Stop {
                return self.splices;
            }
        }
    }

    fn take(&mut self, event: Event<'a>) -> Then {
        match event {
            Event::Start(tag) => {
                self.depth += 1;
                return self.tag(&tag, true);
            }
            Event::Empty(tag) => return self.tag(&tag, false),
            Event::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                if self.in_text {
                    self.in_text = false;
                    self.lead_home(Taking::All);
                }
            }
            Event::Text(text) if self.in_text => {
                let text = text.into_inner();
                if let Some(at) = self.place(&text) {
                    self.value.push_plain(&text, at);
                }
            }
            Event::CData(text) if self.in_text => {
                let text = text.into_inner();
                if let Some(at) = self.place(&text) {
                    self.value.push_cdata(&text, at);
                }
            }
            Event::GeneralRef(name) if self.in_text => {
                let name = name.into_inner();
                if let Some(at) = self.place(&name) {
                    self.value.push_reference(&name, at.saturating_sub(1));
                }
            }
            Event::Eof => return Then::Stop,
            Event::Text(_)
            | Event::CData(_)
            | Event::GeneralRef(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_) => {}
        }
        Then::GoOn
    }

    fn tag(&mut self, tag: &BytesStart<'_>, has_content: bool) -> Then {
        if self.depth > MAX_DEPTH {
            return Then::Stop;
        }
        let element = tag.name().into_inner();
        let mut in_text = has_content && carriers::has_url_text(element);
        let mut attributes = tag.attributes();
        // Two of one name are the judge's affair.
        attributes.with_checks(false);
        for (number, attribute) in attributes.enumerate() {
            if number == MAX_ATTRIBUTES {
                return Then::Stop;
            }
            let Ok(attribute) = attribute else { continue };
            let name = attribute.key.into_inner();
            in_text &= !carriers::denies_url_text(name, &attribute.value);
            if carriers::may_carry(name) {
                self.attribute(element, name, &attribute.value);
            }
        }
        self.in_text = in_text;
        self.value.clear();
        Then::GoOn
    }

    fn attribute(&mut self, element: &str, name: &str, written: &str) {
        let Some(at) = self.place(written) else {
            return;
        };
        let taking = if self.token.is_some() && carriers::is_carrier(element, name) {
            Taking::All
        } else {
            Taking::WithHost
        };
        self.value.clear();
        self.value.push_attribute(written, at);
        self.lead_home(taking);
    }

    /// Leads the value home.
    fn lead_home(&mut self, taking: Taking) {
        let Some(url) = self.value.text() else {
            return;
        };
        let token = self.token.filter(|_| !self.value.is_opaque());
        for edit in self.addresses.edits(url, token, taking) {
            self.value.change(edit, &mut self.splices);
        }
    }

    /// Where in the document a part of it stands. The reader lends us parts of what
    /// we gave it, so this is a matter of addresses.
    fn place(&self, part: &str) -> Option<usize> {
        let start = part.as_ptr().addr();
        let at = start.checked_sub(self.source.as_ptr().addr())?;
        self.source.get(at..at + part.len()).map(|_| at)
    }
}

#[cfg(test)]
mod tests;
