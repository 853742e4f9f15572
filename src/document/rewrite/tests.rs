//! Every URL of both dialects and what looks like one: what is led home, what takes the
//! token, and that nothing else changes.

mod limits;
mod properties;

use super::*;

const NEW: &str = "https://ivr-new.example.com";
const HOME: &str = "https://voice.example.com";

fn addresses() -> Addresses {
    Addresses::new(
        HOME,
        &["http://10.1.2.3:3001".to_owned(), NEW.to_owned()],
        &["/ivr".to_owned()],
    )
}

fn rewritten(document: &str, token: Option<&str>) -> Option<String> {
    rewrite(document.as_bytes(), &addresses(), token).map(|new| String::from_utf8(new).unwrap())
}

#[track_caller]
fn check(document: &str, token: Option<&str>, expected: &str) {
    let new = rewritten(document, token);
    assert_eq!(new.as_deref(), Some(expected), "{document}");
    assert_eq!(rewritten(expected, token), None, "{expected}");
}

#[track_caller]
fn stays(document: &str, token: Option<&str>) {
    assert_eq!(rewritten(document, token), None, "{document}");
}

/// Every URL of both dialects, as a document with `URL` in its place.
const CARRIERS: [&str; 62] = [
    "<Gather action='URL'/>",
    "<Gather invalidDigitsAction='URL'/>",
    "<Gather partialResultCallback='URL'/>",
    "<Record action='URL'/>",
    "<Record recordingStatusCallback='URL'/>",
    "<Record transcriptionCallback='URL'/>",
    "<Record transcribeCallback='URL'/>",
    "<Redirect>URL</Redirect>",
    "<Redirect method='GET'>URL</Redirect>",
    "<Play>URL</Play>",
    "<Play loop='2' mediaStorage='false'>URL</Play>",
    "<Gather><Play>URL</Play></Gather>",
    "<Dial action='URL'/>",
    "<Dial recordingStatusCallback='URL'/>",
    "<Dial audioUrl='URL'/>",
    "<Dial referUrl='URL'/>",
    "<Dial><Number url='URL'>+19995550100</Number></Dial>",
    "<Dial><Number statusCallback='URL'>+19995550100</Number></Dial>",
    "<Dial><Number amdStatusCallback='URL'>+19995550100</Number></Dial>",
    "<Dial><Sip url='URL'>sip:a@b.example.com</Sip></Dial>",
    "<Dial><Sip statusCallback='URL'>sip:a@b.example.com</Sip></Dial>",
    "<Dial><Sip amdStatusCallback='URL'>sip:a@b.example.com</Sip></Dial>",
    "<Dial><Client url='URL'>agent</Client></Dial>",
    "<Dial><Client statusCallback='URL'>agent</Client></Dial>",
    "<Dial><Application url='URL'/></Dial>",
    "<Dial><Application statusCallback='URL'/></Dial>",
    "<Dial><WhatsApp url='URL'/></Dial>",
    "<Dial><WhatsApp statusCallback='URL'/></Dial>",
    "<Dial><Queue url='URL'>support</Queue></Dial>",
    "<Dial><Conference waitUrl='URL'>room</Conference></Dial>",
    "<Dial><Conference statusCallback='URL'>room</Conference></Dial>",
    "<Dial><Conference recordingStatusCallback='URL'>room</Conference></Dial>",
    "<Dial><Conference eventCallbackUrl='URL'>room</Conference></Dial>",
    "<Enqueue action='URL'>support</Enqueue>",
    "<Enqueue waitUrl='URL'>support</Enqueue>",
    "<Sms action='URL'>hello</Sms>",
    "<Sms statusCallback='URL'>hello</Sms>",
    "<Pay action='URL'/>",
    "<Pay statusCallback='URL'/>",
    "<Refer action='URL'><Sip>sip:a@b.example.com</Sip></Refer>",
    "<Start action='URL'/>",
    "<Connect action='URL'/>",
    "<Start><Stream url='URL'/></Start>",
    "<Connect><Stream url='URL'/></Connect>",
    "<Connect><Stream statusCallback='URL'/></Connect>",
    "<Start><Siprec statusCallback='URL'/></Start>",
    "<Stop><Siprec statusCallback='URL'/></Stop>",
    "<Siprec statusCallback='URL'/>",
    "<Start><Transcription transcriptionCallback='URL'/></Start>",
    "<Start><Transcription statusCallbackUrl='URL'/></Start>",
    "<Start><Recording recordingStatusCallback='URL'/></Start>",
    "<Connect><VirtualAgent statusCallback='URL'/></Connect>",
    "<Connect><Conversation url='URL'/></Connect>",
    "<Connect><Conversation statusCallback='URL'/></Connect>",
    "<Connect><Conversation recordingStatusCallback='URL'/></Connect>",
    "<Connect><ConversationRelay url='URL'/></Connect>",
    "<AIGather action='URL'/>",
    "<HttpRequest action='URL'/>",
    "<HttpRequest><Request url='URL'/></HttpRequest>",
    "<Gather input='speech' action=\"URL\" method=\"POST\">",
    "<Gather\n  action = \"URL\"\n/>",
    "<Redirect \n>URL</Redirect \n>",
];

/// What looks like one and is none.
const LOOK_ALIKES: [&str; 28] = [
    "<Gather method='URL'/>",
    "<Gather actionOnEmptyResult='URL'/>",
    "<Gather hints='URL'/>",
    "<Gather Action='URL'/>",
    "<Gather x:action='URL'/>",
    "<Dial statusCallbackMethod='URL'>+19995550100</Dial>",
    "<Dial><Number statusCallbackEvent='URL'>+19995550100</Number></Dial>",
    "<Dial><Number statusCallbackMethod='URL'>URL</Number></Dial>",
    "<Dial><Sip>URL</Sip></Dial>",
    "<Dial><Queue>URL</Queue></Dial>",
    "<Dial><Conference>URL</Conference></Dial>",
    "<Dial>URL</Dial>",
    "<Refer><Sip>URL</Sip></Refer>",
    "<Enqueue waitUrlMethod='URL'>URL</Enqueue>",
    "<Enqueue><Task>{\"url\":\"URL\"}</Task></Enqueue>",
    "<Record recordingStatusCallbackMethod='URL' recordingStatusCallbackEvent='URL'/>",
    "<Connect><Stream><Parameter name='url' value='URL'/></Stream></Connect>",
    "<Play mediaStorage='true'>URL</Play>",
    "<Play mediaStorage=' True '>URL</Play>",
    "<Play digits='1w2'>URL</Play>",
    "<Say>URL</Say>",
    "<Say>see <prosody>URL</prosody></Say>",
    "<Sms>URL</Sms>",
    "<Prompt>URL</Prompt>",
    "<x:Redirect>URL</x:Redirect>",
    "<redirect>URL</redirect>",
    "<Redirect>URL<x/></Redirect>",
    "URL<!-- <Redirect>URL</Redirect> --><?x url='URL'?>",
];

#[test]
fn every_url_of_both_dialects_is_led_home_and_takes_the_token() {
    for carrier in CARRIERS {
        let with = |url: &str| format!("<Response>{}</Response>", carrier.replace("URL", url));
        check(
            &with("https://ivr-new.example.com/ivr/a?b=1&amp;c={{From}}#rc=2"),
            None,
            &with("https://voice.example.com/ivr/a?b=1&amp;c={{From}}#rc=2"),
        );
        check(
            &with("wss://ivr-new.example.com/ivr"),
            Some("T"),
            &with("wss://voice.example.com/ivr?_sb=T"),
        );
        check(
            &with("../next?a=1"),
            Some("T"),
            &with("../next?a=1&amp;_sb=T"),
        );
        stays(&with("https://cdn.example.com/ivr"), Some("T"));
        stays(&with("../next?a=1"), None);
    }
}

#[test]
fn what_looks_like_a_url_and_is_none_stays() {
    for look_alike in LOOK_ALIKES {
        for url in ["https://ivr-new.example.com/ivr", "/ivr/a"] {
            let document = format!("<Response>{}</Response>", look_alike.replace("URL", url));
            stays(&document, None);
            stays(&document, Some("T"));
        }
    }
}

#[test]
fn an_unknown_element_is_trusted_with_a_host_only() {
    let with = |url: &str| format!("<Response><Future action=\"{url}\"/></Response>");
    check(
        &with("https://ivr-new.example.com/ivr"),
        Some("T"),
        &with("https://voice.example.com/ivr?_sb=T"),
    );
    stays(&with("listen"), Some("T"));
    stays(&with("/ivr/next"), Some("T"));
}

#[test]
fn a_value_keeps_the_way_it_is_written() {
    for (document, token, expected) in [
        (
            "<Redirect>\n  https://ivr-new.example.com/ivr \n</Redirect>",
            Some("T"),
            "<Redirect>\n  https://voice.example.com/ivr?_sb=T \n</Redirect>",
        ),
        (
            "<Redirect><![CDATA[https://ivr-new.example.com/ivr?a=1&b=2#c]]></Redirect>",
            Some("T"),
            "<Redirect><![CDATA[https://voice.example.com/ivr?a=1&b=2&_sb=T#c]]></Redirect>",
        ),
        (
            "<Redirect>https:&#x2F;/IVR-&#110;ew.example.com/ivr?a=1&#38;b&#x3d;2</Redirect>",
            Some("T"),
            "<Redirect>https:&#x2F;/voice.example.com/ivr?a=1&#38;b&#x3d;2&amp;_sb=T</Redirect>",
        ),
        (
            "<Redirect>&#104;ttp&#58;//10.1.2.3:3001/ivr</Redirect>",
            None,
            "<Redirect>https&#58;//voice.example.com/ivr</Redirect>",
        ),
        (
            "<Gather action='&#104;ttps://ivr-new.example.com&#47;ivr'/>",
            None,
            "<Gather action='&#104;ttps://voice.example.com&#47;ivr'/>",
        ),
        (
            "<Redirect>https://ivr<![CDATA[-new.example]]>.com/ivr<![CDATA[?a=1]]></Redirect>",
            Some("T"),
            "<Redirect>https://voice.example.com<![CDATA[]]>/ivr<![CDATA[?a=1&_sb=T]]></Redirect>",
        ),
        (
            "<Redirect>https://ivr-new.<!-- > -->example.com/ivr</Redirect>",
            None,
            "<Redirect>https://voice.example.com<!-- > -->/ivr</Redirect>",
        ),
        (
            "<Redirect>/ivr?_sb=A&amp;b=&quot;&amp;_sb=B</Redirect>",
            Some("T"),
            "<Redirect>/ivr?_sb=T&amp;b=&quot;</Redirect>",
        ),
        (
            "<Gather action='https://ivr-new.example.com/ivr?a=1&b=2&'/>",
            Some("T"),
            "<Gather action='https://voice.example.com/ivr?a=1&b=2&&amp;_sb=T'/>",
        ),
        (
            "<Redirect>https://ivr-new.example.com/ivr?a=1&b=2;c</Redirect>",
            Some("T"),
            "<Redirect>https://voice.example.com/ivr?a=1&b=2;c&amp;_sb=T</Redirect>",
        ),
        (
            "<Dial action=\"//ivr-new.example.com/ivr\" method='POST' recordingStatusCallback='http://10.1.2.3:3001/ivr/r'><Number url=\"https://ivr-new.example.com/ivr/w\">+19995550100</Number></Dial>",
            None,
            "<Dial action=\"//voice.example.com/ivr\" method='POST' recordingStatusCallback='https://voice.example.com/ivr/r'><Number url=\"https://voice.example.com/ivr/w\">+19995550100</Number></Dial>",
        ),
    ] {
        check(
            &format!("<Response>{document}</Response>"),
            token,
            &format!("<Response>{expected}</Response>"),
        );
    }
}

/// A document as backends write it, with `URL` where a backend is named.
const MENU: &str = "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- menu > tonight -->\n\
<Response xmlns:x='urn:x'>\r\n  <Gather input=\"dtmf speech\" action='URL/menu?step=2&amp;lang=es' \
actionOnEmptyResult=\"true\" hints='sales, URL'>\n    <Say language=\"es-MX\">¿Ventas &#x26; \
<prosody rate=\"90%\">soporte</prosody>?</Say>\n    <Play loop=\"2\">https://cdn.example.com/a%20b.mp3?e=1&amp;s=2</Play>\n\
  </Gather>\n  <Dial action='URL/after' callerId=\"+13120005555\" recordingStatusCallback='URL/rec?c={{CallSid}}'>\n\
    <Number url='URL/whisper' statusCallbackEvent=\"initiated ringing\">+19995550111</Number>\n    \
<Sip statusCallback='URL/leg'>sip:a@b.example.com;transport=tls</Sip>\n  </Dial>\n  <Connect><Stream \
url='URL/ws?t=%2B1' x:url='URL'><Parameter name=\"back\" value='URL'/></Stream></Connect>\n  \
<Redirect><![CDATA[URL/next?a=1&b=2]]></Redirect>\n</Response>\n";

#[test]
fn a_whole_document_keeps_every_byte_but_the_urls() {
    let document = MENU.replace("URL", "https://ivr-new.example.com/ivr");
    let mut expected = MENU.replace("URL/", "https://voice.example.com/ivr/");
    expected = expected.replace("URL", "https://ivr-new.example.com/ivr");
    check(&document, None, &expected);
}

#[test]
fn entities_of_a_doctype_are_never_looked_up() {
    let with = |text: &str| {
        format!(
            "<!DOCTYPE Response [<!ENTITY base \"https://ivr-new.example.com\">\
             <!ENTITY amp2 \"&#38;#38;\">]>\n<Response><Redirect>{text}</Redirect></Response>"
        )
    };
    stays(&with("&base;/ivr?x=1"), Some("T"));
    stays(&with("https://ivr-new&dot;example.com/ivr"), Some("T"));
    check(
        &with("https://ivr-new.example.com/ivr?x=1&amp2;y=2"),
        Some("T"),
        &with("https://voice.example.com/ivr?x=1&amp2;y=2"),
    );
}

#[test]
fn encodings_of_one_byte_keep_their_bytes_and_utf_16_is_left_alone() {
    let latin1 = |host: &[u8]| {
        [
            b"<?xml version='1.0' encoding='ISO-8859-1'?><Response><Say>Gr\xfc\xdfe</Say><Redirect>https://",
            host,
            b"/ivr?n=M\xfcller</Redirect></Response>",
        ]
        .concat()
    };
    assert_eq!(
        rewrite(&latin1(b"ivr-new.example.com"), &addresses(), None),
        Some(latin1(b"voice.example.com"))
    );
    assert_eq!(
        rewrite(&latin1(b"ivr-n\xfcw.example.com"), &addresses(), None),
        None
    );
    let document = "<Response><Redirect>https://ivr-new.example.com/ivr</Redirect></Response>";
    for mark in [true, false] {
        let units = document.encode_utf16().flat_map(u16::to_le_bytes);
        let body: Vec<u8> = mark
            .then_some([0xff, 0xfe])
            .into_iter()
            .flatten()
            .chain(units)
            .collect();
        assert_eq!(rewrite(&body, &addresses(), Some("T")), None);
    }
}
