use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const AWAY: &str = "https://ivr-new.example.net/vapi?x=1&y=2";
const HOME: &str = "https://voice.example.org/vapi?x=1&y=2&\"t\"";

/// Leads home what names a backend.
fn lead(url: &str) -> Option<String> {
    (url == AWAY).then(|| HOME.to_owned())
}

/// Does this document, in which `@` stands for the URL, change in just that place?
fn check(document: &str, is_changed: bool) {
    let away = document.replace('@', AWAY);
    let home = serde_json::to_string(HOME).unwrap();
    let expected = is_changed.then(|| document.replace("\"@\"", &home));
    let rewritten = rewrite(away.as_bytes(), lead).map(|it| String::from_utf8(it).unwrap());
    assert_eq!(rewritten, expected, "{document}");
}

#[test]
fn every_place_that_may_name_a_server_is_led_home() {
    for document in [
        r#"{"assistant":{"server":{"url":"@"}}}"#,
        r#"{"assistant":{"serverUrl":"@"}}"#,
        r#"{"assistantId":"a","assistantOverrides":{"server":{"timeoutSeconds":9,"url":"@"},"variableValues":{"n":"Zoë"}}}"#,
        r#"{"assistant":{"model":{"tools":[{"type":"function"},{"server":{"url":"@"}}],"messages":[{"content":"a server"}]}}}"#,
        r#"{"assistant":{"voice":{"server":{"url":"@","secret":"s"}}}}"#,
        r#"{"assistant":{"transcriber":{"server":{"url":"@"}}}}"#,
        r#"{"assistant":{"startSpeakingPlan":{"smartEndpointingPlan":{"server":{"url":"@"}}}}}"#,
        r#"{"assistant":{"model":{"knowledgeBase":{"server":{"url":"@"}}}}}"#,
        r#"{"squad":{"members":[{"assistant":{"server":{"url":"@"}}},{"assistantOverrides":{"model":{"tools":[{"server":{"url":"@"}}]}}}]}}"#,
        r#"{"destination":{"type":"assistant","assistant":{"server":{"url":"@"}}}}"#,
        "\u{feff}\n {\t\"server\" :\n{ \"url\" : \"@\" } , \"server\":{\"url\":\"@\"}}\n",
        r#"{"server":{"about":{"server":{"url":"@"}}}}"#,
    ] {
        check(document, true);
    }
}

#[test]
fn what_only_looks_like_a_server_stays() {
    for document in [
        r#"{"assistant":{"firstMessage":"server @","url":"@"}}"#,
        r#"{"assistantOverrides":{"variableValues":{"server":{"url":"@"},"serverUrl":"@"}}}"#,
        r#"{"assistant":{"metadata":{"server":{"url":"@"}}}}"#,
        r#"{"tools":[{"function":{"parameters":{"server":{"url":"@"}}}}]}"#,
        r#"{"serverUrls":"@","myserver":{"url":"@"},"server":"@"}"#,
        r#"{"server":{"headers":{"url":"@"}}}"#,
        r#"{"server":[{"url":"@"}]}"#,
        r#"{"server":["@"]}"#,
        r#"{"server":{"url":["@"]},"serverUrl":{"url":"@"}}"#,
        r#"["server","@"]"#,
        r#""server @""#,
    ] {
        check(document, false);
    }
}

#[test]
fn an_escaped_url_is_read_as_what_it_says() {
    let document = format!(
        r#"{{"server":{{"url":"{}"}},"e":"\u00e9\/"}}"#,
        AWAY.replace('/', "\\/")
    );
    let rewritten = rewrite(document.as_bytes(), lead).unwrap();
    let home = serde_json::to_string(HOME).unwrap();
    let expected = format!(r#"{{"server":{{"url":{home}}},"e":"\u00e9\/"}}"#);
    assert_eq!(rewritten, expected.as_bytes());
}

#[test]
fn a_half_character_elsewhere_does_not_matter() {
    let document = r#"{"note":"\ud83d","serverUrl":"\ud83d","server":{"url":"@"}}"#;
    check(document, true);
}

#[test]
fn what_is_no_json_stays() {
    for document in [
        r#"{"server":{"url":"@"}"#,
        r#"{"server":{"url":"@"}}}"#,
        "server: { url: \"@\" }",
    ] {
        check(document, false);
    }
    let latin = b"{\"server\":{\"url\":\"\xe9\"}}";
    assert_eq!(rewrite(latin, |_| Some("x".to_owned())), None);
}

#[test]
fn it_looks_as_deep_as_it_says_and_no_deeper() {
    let nested = |levels: usize| {
        let (open, close) = ("{\"a\":".repeat(levels), "}".repeat(levels));
        format!(r#"{open}{{"server":{{"url":"@"}}}}{close}"#)
    };
    check(&nested(MAX_LEVELS - 1), true);
    check(&nested(MAX_LEVELS), false);
}

#[test]
fn as_many_urls_are_led_home_as_it_says() {
    let tools = vec![json!({"server": {"url": AWAY}}); MAX_URLS + 1];
    let document = json!({ "tools": tools }).to_string();
    let rewritten = String::from_utf8(rewrite(document.as_bytes(), lead).unwrap()).unwrap();
    assert_eq!(rewritten.matches(AWAY).count(), 1);
}

/// Documents with servers here and there.
fn documents() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        Just(json!(AWAY)),
    ];
    let name = prop_oneof![
        Just("server".to_owned()),
        Just("serverUrl".to_owned()),
        Just("url".to_owned()),
        Just("metadata".to_owned()),
        "\\PC{0,6}",
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(name.clone(), inner, 0..6)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// The same document by way of a tree: slow, and plainly right.
fn led_home(document: &Value) -> Value {
    let server = |member: &Value| match member.get("url") {
        Some(url) => {
            let mut member = member.clone();
            member["url"] = changed(url);
            member
        }
        None => led_home(member),
    };
    match document {
        Value::Array(items) => items.iter().map(led_home).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| {
                let member = match name.as_str() {
                    "server" => server(member),
                    "serverUrl" => changed(member),
                    "metadata" | "variableValues" | "parameters" | "headers" => member.clone(),
                    _ => led_home(member),
                };
                (name.clone(), member)
            })
            .collect(),
        other => other.clone(),
    }
}

fn changed(url: &Value) -> Value {
    url.as_str()
        .and_then(lead)
        .map_or_else(|| url.clone(), Value::from)
}

proptest! {
    #[test]
    fn no_bytes_panic(noise in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..200) {
        let mut answer = noise;
        let at = at.min(answer.len());
        answer.splice(at..at, *b"{\"server\":{\"url\":\"\\u0041\"}}");
        rewrite(&answer, |_| Some("x".to_owned()));
    }

    #[test]
    fn a_document_with_nothing_to_change_stays(document in documents()) {
        prop_assert_eq!(rewrite(document.to_string().as_bytes(), |_| None), None);
    }

    #[test]
    fn nothing_but_the_urls_changes(document in documents(), is_pretty in any::<bool>()) {
        let text = if is_pretty {
            serde_json::to_string_pretty(&document).unwrap()
        } else {
            document.to_string()
        };
        let expected = led_home(&document);
        match rewrite(text.as_bytes(), lead) {
            None => prop_assert_eq!(&expected, &document),
            Some(rewritten) => {
                prop_assert_ne!(&expected, &document);
                prop_assert_eq!(serde_json::from_slice::<Value>(&rewritten).unwrap(), expected);
                let back = String::from_utf8(rewritten).unwrap();
                let home = serde_json::to_string(HOME).unwrap();
                prop_assert_eq!(back.replace(&home, &format!("\"{AWAY}\"")), text);
            }
        }
    }
}
