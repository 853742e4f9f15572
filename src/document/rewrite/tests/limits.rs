//! Documents that cannot be read, or not to their end, and those that need not be.

use super::*;

#[test]
fn a_document_that_cannot_be_read_to_its_end_is_rewritten_up_to_there() {
    let good = "<Response><Gather action='https://ivr-new.example.com/ivr'/>";
    let led = "<Response><Gather action='https://voice.example.com/ivr'/>";
    let lost = "<Redirect>https://ivr-new.example.com/ivr";
    for end in [
        "",
        "<Say",
        "<![CDATA[",
        "<!-- ",
        "<?x",
        "<!ELEMENT a>",
        lost,
    ] {
        check(&format!("{good}{end}"), None, &format!("{led}{end}"));
    }
    // Faults whose end is plain hide nothing of what follows.
    for fault in [
        "</Say>",
        "&",
        "&x;",
        "<a b=c d>",
        "<a b='1' b='2'>",
        "<1/>",
        "<!DOCTYPE>",
        "]]>",
        "<!-- -- -->",
    ] {
        check(
            &format!("{good}{fault}{lost}</Redirect>"),
            None,
            &format!("{led}{fault}<Redirect>https://voice.example.com/ivr</Redirect>"),
        );
    }
}

#[test]
fn the_bounds_are_kept_and_one_fewer_is_read() {
    let url = "<Redirect>https://ivr-new.example.com/ivr</Redirect>";
    let nested = |depth: usize| format!("{}{url}", "<a>".repeat(depth - 1));
    assert!(rewritten(&nested(MAX_DEPTH), None).is_some());
    stays(&nested(MAX_DEPTH + 1), None);
    stays(&nested(10_000), None);

    let laden = |count: usize| {
        let attributes: String = (0..count).map(|n| format!(" a{n}=''")).collect();
        format!("<Response><Say{attributes}/>{url}</Response>")
    };
    assert!(rewritten(&laden(MAX_ATTRIBUTES), None).is_some());
    stays(&laden(MAX_ATTRIBUTES + 1), None);
    stays(&laden(5_000), None);
    stays(
        &format!("<Response><Say{}/>{url}</Response>", " a=''".repeat(10_000)),
        Some("T"),
    );

    let long = |length: usize| {
        let path = "x".repeat(length - "https://ivr-new.example.com/ivr/".len());
        format!("<Redirect>https://ivr-new.example.com/ivr/{path}</Redirect>")
    };
    assert!(rewritten(&long(value::MAX_URL), None).is_some());
    stays(&long(value::MAX_URL + 1), None);
    // However many pieces there are, each change finds its own.
    let pieces = "_sb=A&amp;".repeat(1_300);
    check(
        &format!("<Redirect>/ivr?{pieces}</Redirect>"),
        Some("T"),
        "<Redirect>/ivr?_sb=T&amp;</Redirect>",
    );

    let large = |size: usize| format!("{url}{}", " ".repeat(size - url.len()));
    assert!(rewritten(&large(MAX_BYTES), None).is_some());
    stays(&large(MAX_BYTES + 1), None);
}

#[test]
fn a_document_without_a_backend_in_it_is_not_read() {
    for (document, hides) in [
        (
            "<?xml version='1.0'?><Response><!-- a --> <!-- b --><Say>a &amp; b</Say></Response>",
            false,
        ),
        ("\u{feff}<?xml version='1.0'?>\n<Response/>", false),
        ("<!-- a --><Response/>", false),
        ("<Response>&#47;</Response>", true),
        ("<Response><![CDATA[x]]></Response>", true),
        ("<!DOCTYPE Response><Response/>", true),
        ("<Response>a<!-- b --></Response>", true),
        ("<Response>a<?b?></Response>", true),
    ] {
        assert_eq!(may_hide(document.as_bytes()), hides, "{document}");
        assert!(
            !addresses().are_mentioned(document.as_bytes()),
            "{document}"
        );
    }
}
