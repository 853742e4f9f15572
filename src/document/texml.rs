//! TeXML and TwiML documents: sound or broken, as a provider would see it.
//!
//! What the verbs do to the call is told by `document/course.rs`.
//!
//! One pass over the events of quick-xml, which checks that tags match and
//! comments close; the rest of what makes a provider refuse a document is checked
//! in `document/markup.rs`. No entity is ever expanded and nothing is opened, so
//! there is no way to grow or to leave the 64 kB.
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

use quick_xml::Reader;
use quick_xml::errors::{Error, IllFormedError};
use quick_xml::events::{BytesStart, Event};

use super::course::Course;
use super::markup::{self, Attributes, BadAttributes, Encoding};
use super::{Flaw, Judgement, MAX_BYTES};

/// The deepest nesting. The providers' own documents reach six or seven.
pub const MAX_DEPTH: usize = 32;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Judges one document. `charset` is what its content type says, if anything.
pub fn judge(body: &[u8], charset: Option<&str>) -> Judgement {
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
    Reading::new(first)
        .run(text)
        .unwrap_or_else(|NotUtf8| match markup::encoding(charset, text) {
            Encoding::Utf8 => broken(Flaw::NotWellFormed),
            Encoding::Other => Judgement::default(),
            Encoding::OneByte => Reading::new(first)
                .run(&markup::masked(text))
                .expect("a masked document is ASCII"),
        })
}

fn broken(flaw: Flaw) -> Judgement {
    Judgement {
        flaw: Some(flaw),
        ..Judgement::default()
    }
}

/// A byte sequence that is not UTF-8 came up.
#[derive(Debug)]
struct NotUtf8;

/// Whether there is more to read.
#[derive(PartialEq, Eq)]
enum Then {
    GoOn,
    Stop,
}

/// One pass over one document.
#[derive(Default)]
struct Reading {
    flaw: Option<Flaw>,
    depth: usize,
    had_root: bool,
    had_doctype: bool,
    attributes: Attributes,
    course: Course,
}

impl Reading {
    fn new(flaw: Option<Flaw>) -> Self {
        Self {
            flaw,
            ..Self::default()
        }
    }

    fn run(mut self, text: &[u8]) -> Result<Judgement, NotUtf8> {
        if markup::has_control(text) {
            self.note(Flaw::NotWellFormed);
        }
        let mut reader = Reader::from_reader(text);
        reader.config_mut().check_comments = true;
        // Every event takes at least a byte, so this many are all there can be.
        for turn in 0..=text.len() {
            match reader.read_event() {
                Ok(Event::Eof) => break,
                Ok(event) => {
                    if self.take(&event, turn == 0) == Then::Stop {
                        return Ok(self.stopped());
                    }
                }
                Err(Error::Encoding(_)) => return Err(NotUtf8),
                Err(Error::IllFormed(why)) => self.ill_formed(&why),
                Err(_) => {
                    self.note(Flaw::NotWellFormed);
                    return Ok(self.stopped());
                }
            }
        }
        Ok(self.finished())
    }

    fn take(&mut self, event: &Event<'_>, is_first: bool) -> Then {
        match event {
            Event::Start(tag) => {
                let then = self.element(tag);
                self.depth += 1;
                return then;
            }
            Event::Empty(tag) => return self.element(tag),
            Event::End(_) => self.depth = self.depth.saturating_sub(1),
            Event::Text(text) => self.text(text.as_bytes()),
            Event::GeneralRef(name) => {
                self.demand(
                    self.depth > 0 && markup::is_reference(name.as_bytes(), self.had_doctype),
                );
            }
            Event::CData(_) => self.demand(self.depth > 0),
            Event::DocType(doctype) => return self.doctype(doctype.as_bytes()),
            Event::Decl(declaration) => {
                let after_xml = declaration.as_bytes().get(3..).unwrap_or_default();
                let is_sound = self.attributes.check(after_xml, false).is_ok();
                self.demand(is_first && is_sound);
            }
            Event::Comment(_) | Event::PI(_) | Event::Eof => {}
        }
        Then::GoOn
    }

    fn element(&mut self, tag: &BytesStart<'_>) -> Then {
        let name = tag.name().into_inner();
        let action = self
            .attributes
            .check(tag.attributes_raw().as_bytes(), self.had_doctype);
        if self.depth >= MAX_DEPTH || action == Err(BadAttributes::TooMany) {
            self.note(Flaw::TooLarge);
            return Then::Stop;
        }
        if self.depth == 0 {
            return self.root(name, action.is_ok());
        }
        self.demand(action.is_ok() && markup::is_name(name.as_bytes()));
        if self.depth == 1 {
            self.course.verb(name, action.unwrap_or(true));
        } else {
            self.course.noun(name);
        }
        Then::GoOn
    }

    fn root(&mut self, name: &str, is_sound: bool) -> Then {
        if self.had_root {
            self.note(Flaw::NotWellFormed);
            return Then::Stop;
        }
        self.had_root = true;
        if name == "Response" {
            self.demand(is_sound);
            return Then::GoOn;
        }
        self.note(if name.eq_ignore_ascii_case("html") {
            Flaw::Html
        } else if markup::is_name(name.as_bytes()) {
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
        self.demand(!self.had_root && !self.had_doctype);
        self.had_doctype = true;
        Then::GoOn
    }

    fn text(&mut self, text: &[u8]) {
        self.demand(if self.depth == 0 {
            text.trim_ascii().is_empty()
        } else {
            !markup::has_cdata_end(text)
        });
    }

    /// quick-xml goes on behind such a fault; a wrong end tag has closed the
    /// innermost element all the same.
    fn ill_formed(&mut self, why: &IllFormedError) {
        if matches!(why, IllFormedError::MismatchedEndTag { .. }) {
            self.depth = self.depth.saturating_sub(1);
        }
        self.note(Flaw::NotWellFormed);
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

    fn finished(mut self) -> Judgement {
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
    fn stopped(self) -> Judgement {
        Judgement {
            flaw: self.flaw,
            does: self.course.so_far(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn flaw(body: impl AsRef<[u8]>) -> Option<Flaw> {
        judge(body.as_ref(), None).flaw
    }

    /// A document as backends write it: verbs, nouns, comment, unicode, escapes.
    const MENU: &str = r##"<?xml version="1.0" encoding="UTF-8"?>
<Response>
  <!-- the menu > of - tonight -->
  <Gather input="dtmf speech" action="/menu?step=2&amp;lang=es" invalidDigitsAction="again" numDigits='1'>
    <Say language="es-MX">¿Ventas &#x26; soporte? <prosody rate="90%">Diga <emphasis level="strong">uno</emphasis></prosody></Say>
    <Play loop="2">https://cdn.example.com/a%20b.mp3?sig=x&amp;exp=9</Play>
  </Gather>
  <Dial action="/after" callerId="+13120001234" recordingStatusCallback="//app.example.com/rec?call={{CallSid}}">
    <Number url="/whisper" statusCallbackEvent="initiated ringing answered">+19995550123</Number>
    <Sip>sip:agent@acme.example.com;transport=tls</Sip>
  </Dial>
  <Redirect><![CDATA[https://app.example.com/next?a=1&b=2]]></Redirect>
</Response>
"##;

    #[test]
    fn documents_that_providers_run_are_sound() {
        for sound in [
            MENU,
            "<Response/>",
            "<Response></Response>",
            "\n\t <Response/> \n",
            "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Say>BOM ✓</Say></Response>",
            "<?xml version='1.0'?>\n<!-- before --><Response/><!-- after -->",
            "<?xml version=\"1.0\" encoding=\"utf-16\"?><Response/>",
            "<?xml version=\"1.0\"?><?xml-stylesheet href=\"a.xsl\"?><Response/>",
            "<!DOCTYPE Response [<!ENTITY base \"https://a.example.com\"><!ENTITY amp2 \"&#38;#38;\">]>\n<Response><Redirect>&base;/x?y=1&amp2;z=&#51;</Redirect></Response>",
            "<!DOCTYPE Response [<!ENTITY xxe SYSTEM \"file:///etc/hostname\">]><Response><Say>&xxe;</Say></Response>",
            "<Response xmlns:x='urn:x'><x:Unknown x:a=\"1\"/><Future/></Response>",
            "<Response><Say>a > b, ]] and ]></Say ></Response\n>",
        ] {
            assert_eq!(flaw(sound), None, "{sound}");
        }
    }

    #[test]
    fn each_flaw_has_a_sound_neighbour() {
        use Flaw::{Empty, Html, LeadingSpace, NotWellFormed, WrongRoot};
        for (expected, bad, sound) in [
            (Empty, "", "<Response/>"),
            (Empty, " \r\n", " \r\n<Response/>"),
            (Empty, "\u{feff}", "\u{feff}<Response/>"),
            (
                LeadingSpace,
                "\n<?xml version=\"1.0\"?><Response/>",
                "<?xml version=\"1.0\"?>\n<Response/>",
            ),
            (
                LeadingSpace,
                "\u{feff} <?xml version=\"1.0\"?><Response/>",
                "\u{feff} <Response/>",
            ),
            (
                Html,
                "<!DOCTYPE html><html><body><h1>502</h1><br></body></html>",
                "<!DOCTYPE Response><Response/>",
            ),
            (
                Html,
                "<!doctype HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\"><p>",
                "<!DOCTYPE htmlish><Response/>",
            ),
            (
                Html,
                "<?xml version=\"1.0\"?><html/>",
                "<?xml version=\"1.0\"?><Response/>",
            ),
            (
                Html,
                "\n<HTML lang=en><p>oops</HTML>",
                "\n<Response><html/></Response>",
            ),
            (
                WrongRoot,
                "<Say>Hello</Say>",
                "<Response><Say>Hello</Say></Response>",
            ),
            (WrongRoot, "<response/>", "<Response/>"),
            (WrongRoot, "<Responses/>", "<Response />"),
            (
                NotWellFormed,
                "<Response/><Response/>",
                "<Response/><!-- one -->",
            ),
            (NotWellFormed, "<Response/>done", "<Response/>\n"),
            (
                NotWellFormed,
                "Hello <Response/>",
                "<!-- Hello --><Response/>",
            ),
            (
                NotWellFormed,
                "<Response/>&amp;",
                "<Response>&amp;</Response>",
            ),
            (
                NotWellFormed,
                "<![CDATA[x]]><Response/>",
                "<Response><![CDATA[x]]></Response>",
            ),
            (
                NotWellFormed,
                "{\"error\":\"boom\"}",
                "<Response>{\"error\":\"boom\"}</Response>",
            ),
            (NotWellFormed, "<Response>", "<Response></Response>"),
            (
                NotWellFormed,
                "<Response><Say>Hello</Response>",
                "<Response><Say>Hello</Say></Response>",
            ),
            (
                NotWellFormed,
                "<Response><a><b></a></b></Response>",
                "<Response><a><b></b></a></Response>",
            ),
            (
                NotWellFormed,
                "<Response></Say></Response>",
                "<Response><Say/></Response>",
            ),
            (NotWellFormed, "</Response>", "<Response/>"),
            (NotWellFormed, "<Response", "<Response/>"),
            (
                NotWellFormed,
                "<Response><Say a=\">\"</Response>",
                "<Response><Say a=\">\"/></Response>",
            ),
            (
                NotWellFormed,
                "<Response><Play>?a=1&b=2</Play></Response>",
                "<Response><Play>?a=1&amp;b=2</Play></Response>",
            ),
            (
                NotWellFormed,
                "<Response><Say>Q & A</Say></Response>",
                "<Response><Say>Q &#38; A</Say></Response>",
            ),
            (
                NotWellFormed,
                "<Response><Say>a&nbsp;b</Say></Response>",
                "<Response><Say>a&#160;b</Say></Response>",
            ),
            (
                NotWellFormed,
                "<Response><Gather action=\"/a?b=1&c=2\"/></Response>",
                "<Response><Gather action=\"/a?b=1&amp;c=2\"/></Response>",
            ),
            (
                NotWellFormed,
                "<Response><Say voice=alice/></Response>",
                "<Response><Say voice='alice'/></Response>",
            ),
            (
                NotWellFormed,
                "<Response><Say a=\"1\" a=\"1\"/></Response>",
                "<Response><Say a=\"1\" b=\"1\"/></Response>",
            ),
            (NotWellFormed, "<Response x=1/>", "<Response x=\"1\"/>"),
            (
                NotWellFormed,
                "<Response><1/></Response>",
                "<Response><a1/></Response>",
            ),
            (
                NotWellFormed,
                "<Response>< Say/></Response>",
                "<Response><Say /></Response>",
            ),
            (
                NotWellFormed,
                "<Response><Say>]]></Say></Response>",
                "<Response><Say>]]&gt;</Say></Response>",
            ),
            (
                NotWellFormed,
                "<Response><!-- a -- b --></Response>",
                "<Response><!-- a - b --></Response>",
            ),
            (
                NotWellFormed,
                "<Response><!-- a </Response>",
                "<Response><!-- a --></Response>",
            ),
            (
                NotWellFormed,
                "<Response><![CDATA[x</Response>",
                "<Response><![CDATA[x]]></Response>",
            ),
            (
                NotWellFormed,
                "<Response>\u{1}</Response>",
                "<Response>\t</Response>",
            ),
            (
                NotWellFormed,
                "<!-- x --><?xml version=\"1.0\"?><Response/>",
                "<?xml version=\"1.0\"?><!-- x --><Response/>",
            ),
            (
                NotWellFormed,
                "<?xml version=1.0?><Response/>",
                "<?xml version=\"1.0\"?><Response/>",
            ),
            (
                NotWellFormed,
                "<!DOCTYPE Response><!DOCTYPE Response><Response/>",
                "<!DOCTYPE Response><Response/>",
            ),
            (
                NotWellFormed,
                "<!DOCTYPE Response [<!ENTITY a \"b\">]><Response>&b=2;</Response>",
                "<!DOCTYPE Response [<!ENTITY a \"b\">]><Response>&a;</Response>",
            ),
        ] {
            assert_eq!(flaw(bad), Some(expected), "{bad}");
            assert_eq!(flaw(sound), None, "{sound}");
        }
    }

    #[test]
    fn sixty_four_kilobytes_pass_and_a_byte_more_does_not() {
        let of = |bytes: usize| {
            let frame = "<Response><Say></Say></Response>";
            let words = "x".repeat(bytes - frame.len());
            format!("<Response><Say>{words}</Say></Response>")
        };
        assert_eq!(flaw(of(MAX_BYTES)), None);
        assert_eq!(flaw(of(MAX_BYTES + 1)), Some(Flaw::TooLarge));
    }

    #[test]
    fn nesting_and_attributes_are_bounded() {
        let nested = |levels: usize| {
            let (open, close) = ("<a>".repeat(levels - 1), "</a>".repeat(levels - 1));
            format!("<Response>{open}{close}</Response>")
        };
        assert_eq!(flaw(nested(MAX_DEPTH)), None);
        assert_eq!(flaw(nested(MAX_DEPTH + 1)), Some(Flaw::TooLarge));
        let endless = format!("<Response>{}", "<a>".repeat(MAX_BYTES / 3 - 4));
        assert_eq!(flaw(endless), Some(Flaw::TooLarge), "64 kB of opening tags");

        let with = |count: usize| {
            let attributes: String = (0..count).map(|n| format!(" a{n}=\"\"")).collect();
            format!("<Response><Say{attributes}/></Response>")
        };
        assert_eq!(flaw(with(64)), None);
        assert_eq!(flaw(with(65)), Some(Flaw::TooLarge));
        assert_eq!(flaw(with(7_000)), Some(Flaw::TooLarge), "under 64 kB");
        assert_eq!(flaw(with(80_000)), Some(Flaw::TooLarge));
    }

    #[test]
    fn entities_are_never_expanded() {
        let laughs: String = (1..10)
            .map(|n| format!("<!ENTITY l{n} \"{}\">", format!("&l{};", n - 1).repeat(10)))
            .collect();
        let document =
            format!("<!DOCTYPE Response [<!ENTITY l0 \"ha\">{laughs}]><Response>&l9;</Response>");
        assert_eq!(flaw(document), None, "not our affair what it would grow to");
    }

    #[test]
    fn an_encoding_is_no_flaw_unless_the_bytes_deny_it() {
        let document = |declaration: &[u8]| {
            let mut document = declaration.to_vec();
            document
                .extend_from_slice(b"<Response><Say v\xe9=\"\xfc\">Gr\xfc\xdfe</Say></Response>");
            document
        };
        for (declaration, expected) in [
            ("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>", None),
            ("<?xml version='1.0' encoding='windows-1252'?>", None),
            ("<?xml version=\"1.0\" encoding=\"Big5\"?>", None),
            (
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
                Some(Flaw::NotWellFormed),
            ),
            ("", Some(Flaw::NotWellFormed)),
        ] {
            assert_eq!(
                flaw(document(declaration.as_bytes())),
                expected,
                "{declaration}"
            );
        }
        let broken = b"<?xml version='1.0' encoding='latin1'?><Response><Say>\xfc</Response>";
        assert_eq!(flaw(broken), Some(Flaw::NotWellFormed), "still read");
        let spaced = b"\n<?xml version='1.0' encoding='latin1'?><Response>\xfc</Response>";
        assert_eq!(flaw(spaced), Some(Flaw::LeadingSpace));
    }

    #[test]
    fn utf_16_is_not_judged() {
        let wide = |text: &str, order: fn(u16) -> [u8; 2]| -> Vec<u8> {
            text.encode_utf16().flat_map(order).collect()
        };
        for text in [
            "\u{feff}<Response/>",
            "<Response/>",
            "<Response>",
            "\u{feff}<html>",
        ] {
            assert_eq!(flaw(wide(text, u16::to_le_bytes)), None, "{text}");
            assert_eq!(flaw(wide(text, u16::to_be_bytes)), None, "{text}");
        }
    }

    #[test]
    fn a_flaw_hides_nothing_of_what_the_document_does() {
        for document in [
            "\n<?xml version=\"1.0\"?><Response><Dial/></Response>",
            "<Response><Play>?a=1&b=2</Play><Dial/></Response>",
            "<Response><Play x=1/><Dial/></Response>",
            "<Response><Say></Sai><Dial/></Response>",
            "<Response><!-- a -- b --><Dial/></Response>",
        ] {
            let judgement = judge(document.as_bytes(), None);
            assert!(judgement.flaw.is_some(), "{document}");
            assert!(judgement.does.serves, "{document}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..400)) {
            judge(&body, None);
        }

        #[test]
        fn no_soup_of_markup_makes_it_panic(
            parts in prop::collection::vec(prop::sample::select(vec![
                "<", ">", "/", "&", ";", "\"", "'", "=", " ", "\n", "!", "?", "--", "[", "]]>",
                "<![CDATA[", "<!--", "-->", "<!DOCTYPE", "<?xml", "?>", "Response", "<Response>",
                "</Response>", "Say", "a", "é", "\u{feff}", "&amp;", "&#", "x",
            ]), 0..60),
        ) {
            judge(parts.concat().as_bytes(), None);
        }

        #[test]
        fn a_sound_document_with_a_byte_changed_never_hangs(
            at in 0..MENU.len(), byte in any::<u8>(), cut in any::<bool>(),
        ) {
            let mut body = MENU.as_bytes().to_vec();
            if cut { body.truncate(at) } else { body[at] = byte }
            let judgement = judge(&body, None);
            let missing = !body.trim_ascii_end().ends_with(b"</Response>");
            prop_assert!(judgement.flaw.is_some() || !missing, "without its end it is broken");
        }
    }
}
