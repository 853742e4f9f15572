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
            "\n\u{feff}<Response/>",
            "\u{feff}\n<Response/>",
        ),
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
        document.extend_from_slice(b"<Response><Say v\xe9=\"\xfc\">Gr\xfc\xdfe</Say></Response>");
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
