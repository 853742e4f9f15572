use proptest::prelude::*;

use super::*;

fn addresses() -> Addresses {
    let names = [
        "http://10.1.2.3:3001",
        "http://[2001:db8::7]:3002",
        "https://ivr-new.example.com",
        "https://Old.Example.com:8443/ignored",
    ];
    Addresses::new(
        "https://voice.example.com",
        &names.map(str::to_owned),
        &["/ivr".to_owned(), "/media/".to_owned()],
    )
}

#[track_caller]
fn check(url: &str, token: Option<&str>, expected: Option<&str>) {
    assert_eq!(
        addresses().lead_home(url, token).as_deref(),
        expected,
        "{url}"
    );
}

#[test]
fn a_url_that_names_a_backend_and_lies_under_a_route_is_led_home() {
    for (url, expected) in [
        (
            "http://10.1.2.3:3001/ivr/menu",
            "https://voice.example.com/ivr/menu",
        ),
        (
            "https://ivr-new.example.com/ivr",
            "https://voice.example.com/ivr",
        ),
        (
            "HTTP://IVR-New.Example.COM:443/ivr",
            "https://voice.example.com/ivr",
        ),
        (
            "http://ivr-new.example.com/ivr",
            "https://voice.example.com/ivr",
        ),
        (
            "http://ivr-new.example.com:/ivr",
            "https://voice.example.com/ivr",
        ),
        (
            "https://ivr-new.example.com./ivr",
            "https://voice.example.com/ivr",
        ),
        (
            "https://old.example.com:08443/ivr",
            "https://voice.example.com/ivr",
        ),
        ("//ivr-new.example.com/ivr", "//voice.example.com/ivr"),
        (
            "ws://ivr-new.example.com/media/a",
            "wss://voice.example.com/media/a",
        ),
        (
            "WSS://ivr-new.example.com/media",
            "wss://voice.example.com/media",
        ),
        (
            "http://u:p%40@ivr-new.example.com/ivr",
            "https://u:p%40@voice.example.com/ivr",
        ),
        (
            "http://[2001:DB8::7]:3002/ivr",
            "https://voice.example.com/ivr",
        ),
        (
            " \n https://ivr-new.example.com/ivr\t",
            " \n https://voice.example.com/ivr\t",
        ),
        (
            "https://ivr-new.example.com/a/../ivr/x",
            "https://voice.example.com/a/../ivr/x",
        ),
        (
            "https://ivr-new.example.com/ivr?u=https://ivr-new.example.com/ivr&&=%2f#rc=2&rp=all",
            "https://voice.example.com/ivr?u=https://ivr-new.example.com/ivr&&=%2f#rc=2&rp=all",
        ),
        (
            "https://ivr-new.example.com/ivr/{{Tenant}}?c={{CallSid}}",
            "https://voice.example.com/ivr/{{Tenant}}?c={{CallSid}}",
        ),
    ] {
        check(url, None, Some(expected));
        check(expected, None, None);
    }
}

#[test]
fn what_leads_elsewhere_or_to_no_route_stays() {
    for url in [
        "https://cdn.example.com/ivr",
        "https://ivr-new.example.com.evil.example/ivr",
        "https://x.ivr-new.example.com/ivr",
        "https://ivr-new.example.com:444/ivr",
        "https://ivr-new.example.com:x/ivr",
        "https://ivr-new.example.com:+443/ivr",
        "https://ivr-new.example.com:99999/ivr",
        "https://ivr-new.example.com../ivr",
        "https://ivr-new.example.com@cdn.example.com/ivr",
        "https://old.example.com/ivr",
        "http://10.1.2.3/ivr",
        "http://[2001:db8::7]3002/ivr",
        "https://ivr-new.example.com",
        "https://ivr-new.example.com/",
        "https://ivr-new.example.com/ivrx",
        "https://ivr-new.example.com/ivr/../x",
        "https://ivr-new.example.com?/ivr",
        "https://ivr-new.example.com#/ivr",
        "https://{{Host}}/ivr",
        "https://ivr-new.example.com{{Port}}/ivr",
        "ftp://ivr-new.example.com/ivr",
        "https:ivr-new.example.com/ivr",
        "https:///ivr-new.example.com/ivr",
        "ivr-new.example.com/ivr",
        "/ivr?u=//ivr-new.example.com/ivr",
        "",
    ] {
        check(url, None, None);
    }
}

#[test]
fn a_route_of_everything_answers_every_path() {
    let all = Addresses::new(
        "http://voice.example.com:8080/",
        &["http://10.1.2.3:3001".to_owned()],
        &["/".to_owned()],
    );
    for (url, expected) in [
        ("http://10.1.2.3:3001", "http://voice.example.com:8080"),
        ("ws://10.1.2.3:3001/x", "ws://voice.example.com:8080/x"),
        ("wss://10.1.2.3:3001?x", "ws://voice.example.com:8080?x"),
        ("https://10.1.2.3:3001#x", "http://voice.example.com:8080#x"),
    ] {
        assert_eq!(all.lead_home(url, None).as_deref(), Some(expected), "{url}");
    }
}

#[test]
fn userinfo_that_providers_were_given_is_given_to_those_without() {
    let secret = Addresses::new(
        "https://u:p@voice.example.com",
        &["http://10.1.2.3:3001".to_owned()],
        &["/ivr".to_owned()],
    );
    for (url, expected) in [
        (
            "http://10.1.2.3:3001/ivr",
            "https://u:p@voice.example.com/ivr",
        ),
        (
            "http://x@10.1.2.3:3001/ivr",
            "https://x@voice.example.com/ivr",
        ),
    ] {
        assert_eq!(secret.lead_home(url, None).as_deref(), Some(expected));
    }
}

#[test]
fn without_a_public_url_only_relative_ones_take_a_token() {
    for public in ["", "voice.example.com", "{{Host}}", "https://"] {
        let lost = Addresses::new(
            public,
            &["http://10.1.2.3:3001".to_owned()],
            &["/ivr".to_owned()],
        );
        let led = |url| lost.lead_home(url, Some("T"));
        assert_eq!(led("http://10.1.2.3:3001/ivr"), None, "{public}");
        assert_eq!(led("/ivr"), Some("/ivr?_sb=T".to_owned()), "{public}");
    }
}

#[test]
fn every_url_that_leads_to_us_takes_the_token_before_its_fragment() {
    for (url, expected) in [
        (
            "http://10.1.2.3:3001/ivr",
            "https://voice.example.com/ivr?_sb=T",
        ),
        (
            "https://voice.example.com/ivr?a=1#rc=2",
            "https://voice.example.com/ivr?a=1&_sb=T#rc=2",
        ),
        ("//voice.example.com/ivr", "//voice.example.com/ivr?_sb=T"),
        (
            "wss://VOICE.example.com/media/x",
            "wss://VOICE.example.com/media/x?_sb=T",
        ),
        ("/ivr/next", "/ivr/next?_sb=T"),
        ("next;v=2?q=a%20b+c", "next;v=2?q=a%20b+c&_sb=T"),
        ("../x#y?z", "../x?_sb=T#y?z"),
        ("?", "?&_sb=T"),
        ("?step=2", "?step=2&_sb=T"),
        (" next\n", " next?_sb=T\n"),
        ("/ivr?c={{CallSid}}#f", "/ivr?c={{CallSid}}&_sb=T#f"),
        ("/ivr/{{Tenant}}", "/ivr/{{Tenant}}?_sb=T"),
        ("/ivr?_sb=OLD", "/ivr?_sb=T"),
        ("/ivr?a&_sb=OLD&b#f", "/ivr?a&_sb=T&b#f"),
        ("/ivr?_sb=T&_sb=OLD&a&_sb=T", "/ivr?_sb=T&a"),
    ] {
        check(url, Some("T"), Some(expected));
        check(expected, Some("T"), None);
    }
}

#[test]
fn what_does_not_lead_to_us_takes_no_token() {
    for url in [
        "",
        "  ",
        "#same",
        "tel:+19995550100",
        "sip:a@b.example.com",
        "mailto:a@b.example.com",
        "data:audio/wav;base64,AAAA",
        "{{NextUrl}}",
        "{{#if Digits}}/ivr/a{{else}}/ivr/b{{/if}}",
        "/ivr{{#if Digits}}?d={{Digits}}{{/if}}",
        "https://cdn.example.com/a.mp3",
        "//cdn.example.com/a.mp3",
        "https://ivr-new.example.com/elsewhere",
        "https://voice.example.com/elsewhere",
        "/elsewhere",
    ] {
        check(url, Some("T"), None);
    }
}

#[test]
fn a_word_that_may_be_no_url_takes_no_token() {
    let addresses = addresses();
    for word in ["next", "/ivr/next", "?x"] {
        assert_eq!(
            addresses.edits(word, Some("T"), Taking::WithHost),
            [],
            "{word}"
        );
    }
    let edits = addresses.edits("//10.1.2.3:3001/ivr", Some("T"), Taking::WithHost);
    assert_eq!(edits.len(), 2, "{edits:?}");
}

proptest! {
    #[test]
    fn any_text_can_be_asked_about(url in "\\PC{0,40}", token in prop::option::of("[A-Z]{3}")) {
        let _ = addresses().lead_home(&url, token.as_deref());
    }

    /// What is led home without being mentioned would never be looked at.
    #[test]
    fn whatever_is_led_home_was_mentioned(
        parts in prop::collection::vec(prop::sample::select(vec![
            "http:", "wss:", "//", "/", "ivr", "ivr-new.example.com", "IVR-NEW.EXAMPLE.COM", ".",
            ":", "443", "10.1.2.3:3001", "[2001:db8::7]:3002", "@", "u", "{{", "}}", "?", "#", " ", "&",
        ]), 0..12),
    ) {
        let url = parts.concat();
        let addresses = addresses();
        if addresses.lead_home(&url, None).is_some() {
            prop_assert!(addresses.are_mentioned(url.as_bytes()), "{}", url);
        }
    }

    #[test]
    fn led_home_once_is_led_home_for_good_and_the_token_comes_out_again(
        parts in prop::collection::vec(prop::sample::select(vec![
            "http://10.1.2.3:3001", "/ivr", "?", "&", "a=1", "_sb", "=", "#f", "{{x}}", "//", "..", "é", " ",
        ]), 0..8),
    ) {
        let url = parts.concat();
        let addresses = addresses();
        if let Some(led) = addresses.lead_home(&url, None) {
            prop_assert_eq!(addresses.lead_home(&led, None), None);
        }
        if let Some(led) = addresses.lead_home(&url, Some("T")) {
            prop_assert_eq!(addresses.lead_home(&led, Some("T")), None);
            if !url.contains("_sb") {
                let led = led.trim_ascii();
                let (led, fragment) = led.split_once('#').unwrap_or((led, ""));
                let (stripped, token) = token::strip(led).unwrap_or_else(|| (led.to_owned(), "T"));
                prop_assert_eq!(token, "T");
                let without = addresses.lead_home(&url, None).unwrap_or_else(|| url.clone());
                let whole = if without.contains('#') { format!("{stripped}#{fragment}") } else { stripped };
                prop_assert_eq!(whole.trim_ascii(), without.trim_ascii());
            }
        }
    }
}
