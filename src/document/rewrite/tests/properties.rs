//! What holds for every document, sound or not.

use proptest::prelude::*;

use super::*;
use crate::document::texml;

/// The URLs of a document and all the rest, as an XML reader finds them.
fn events(document: &[u8]) -> Vec<String> {
    let mut reader = Reader::from_reader(document);
    let mut found = Vec::new();
    loop {
        match reader.read_event() {
            Ok(Event::Eof) => return found,
            Ok(event) => found.push(format!("{event:?}")),
            Err(error) => {
                found.push(error.to_string());
                return found;
            }
        }
    }
}

fn soup() -> impl Strategy<Value = String> {
    let parts = vec![
        "<Redirect>",
        "</Redirect>",
        "<Play>",
        "</Play>",
        "<Say>",
        "</Say>",
        "<Gather action=\"",
        "\"/>",
        "'/>",
        "<Dial action='",
        "'>",
        "</Dial>",
        "https://ivr-new.example.com",
        "HTTP://10.1.2.3:3001",
        "//",
        "ivr-new.",
        "example.com",
        "/ivr",
        "?a=1",
        "&amp;",
        "&#47;",
        "&#x68;",
        "&x;",
        "&",
        "#f",
        "_sb=A",
        " ",
        "<![CDATA[",
        "]]>",
        "<!-- ",
        " -->",
        "<?p ",
        "?>",
        "<!DOCTYPE a>",
        "\n",
        "é",
        "{{x}}",
        "https:",
        ":443",
    ];
    prop::collection::vec(prop::sample::select(parts), 0..24).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn whatever_comes_is_rewritten_once_and_only_where_urls_are(document in soup(), is_bad in any::<bool>()) {
        let addresses = addresses();
        let mut body = document.into_bytes();
        if is_bad {
            body.extend(b"<Say>\xfc</Say>");
        }
        let source = readable(&body);
        let splices = Reading::new(&source, &addresses, None).run();
        // The shortcut misses nothing.
        let new = rewrite(&body, &addresses, None);
        prop_assert_eq!(new.is_some(), !splices.is_empty());
        // In order, apart, inside.
        let mut last = 0;
        for splice in &splices {
            prop_assert!(last <= splice.range.start && splice.range.end <= body.len());
            last = splice.range.end;
        }
        if let Some(new) = new {
            prop_assert_eq!(rewrite(&new, &addresses, None), None);
            prop_assert_eq!(texml::judge(&new, None).flaw, texml::judge(&body, None).flaw);
        }
        if let Some(new) = rewrite(&body, &addresses, Some("T")) {
            prop_assert_eq!(rewrite(&new, &addresses, Some("T")), None);
            prop_assert_eq!(texml::judge(&new, None).flaw, texml::judge(&body, None).flaw);
        }
    }

    #[test]
    fn a_sound_document_is_the_same_to_a_reader_but_for_its_urls(
        picked in prop::collection::vec((0..CARRIERS.len() - 3, 0..LOOK_ALIKES.len(), 0..4_usize), 1..8),
    ) {
        let urls = ["NAMED/ivr/a?b=1&amp;c=2", "/ivr", "https://cdn.example.com/x", "NAMED/ivr"];
        let body: String = picked
            .iter()
            .map(|(carrier, look_alike, url)| {
                let (carrier, look_alike) = (CARRIERS[*carrier], LOOK_ALIKES[*look_alike]);
                carrier.replace("URL", urls[*url]) + &look_alike.replace("URL", "https://cdn.example.com/y")
            })
            .collect();
        let document = format!("<Response>{body}</Response>").replace("NAMED", NEW);
        prop_assert_eq!(texml::judge(document.as_bytes(), None).flaw, None);
        let new = rewritten(&document, None).unwrap_or_else(|| document.clone());
        let expected: Vec<String> =
            events(document.as_bytes()).iter().map(|event| event.replace(NEW, HOME)).collect();
        prop_assert_eq!(events(new.as_bytes()), expected);
    }

    #[test]
    fn no_bytes_at_all_are_too_much(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = rewrite(&body, &addresses(), Some("T"));
    }
}
