//! Whose call it is: its ids, its numbers, its owner, and what its metadata say.

use super::*;

#[test]
fn a_call_its_number_and_its_owner_are_read() {
    let body = message("assistant-request", json!({}));
    let event = read(&body);
    assert_eq!(event.call.as_deref(), Some(ID));
    assert_eq!(event.alias.as_deref(), Some("v3:Zz_carrier"));
    assert_eq!(event.keys.to.as_deref(), Some("+12025550199"));
    assert_eq!(event.keys.from.as_deref(), Some("+12025550111"));
    assert_eq!(event.keys.account.as_deref(), Some("org-9"));
    assert_eq!(event.keys.phone_number.as_deref(), Some("pn-3"));
    assert_eq!(event.keys.assistant, None);
    assert!(!event.outbound && !event.ambiguous && event.parent.is_none() && event.id.is_none());
    assert!(
        matches!(event.call, Some(Cow::Borrowed(_))),
        "nothing is copied"
    );
}

#[test]
fn on_an_outbound_call_the_customer_is_called() {
    let body = message(
        "status-update",
        json!({"status": "ringing", "call": {"type": "outboundPhoneCall", "assistantId": "as-1"}}),
    );
    let event = read(&body);
    assert!(event.outbound);
    assert_eq!(event.keys.to.as_deref(), Some("+12025550111"));
    assert_eq!(event.keys.from.as_deref(), Some("+12025550199"));
    assert_eq!(event.keys.assistant.as_deref(), Some("as-1"));
    let body = message("hang", json!({"call": {"type": "webCall"}}));
    assert!(!read(&body).outbound);
}

#[test]
fn what_stands_elsewhere_is_found_there() {
    let body = message(
        "hang",
        json!({
            "call": {
                "orgId": null, "phoneNumberId": null, "customer": null, "phoneCallProviderId": null,
                "transport": {"callSid": "CA77"},
            },
            "phoneNumber": {"number": null, "sipUri": "sip:desk@sip.example.com"},
            "assistant": {"id": "as-2", "orgId": "org-x"},
        }),
    );
    let event = read(&body);
    assert_eq!(event.alias.as_deref(), Some("CA77"));
    assert_eq!(event.keys.to.as_deref(), Some("sip:desk@sip.example.com"));
    assert_eq!(event.keys.from.as_deref(), Some("+12025550111"));
    assert_eq!(event.keys.account.as_deref(), Some("org-9"));
    assert_eq!(event.keys.phone_number.as_deref(), Some("pn-3"));
    assert_eq!(event.keys.assistant.as_deref(), Some("as-2"));
}

#[test]
fn a_message_without_a_call_names_an_owner_and_no_call() {
    let body = r#"{"message":{"type":"chat.created","chat":{"id":"c1","orgId":"org-4","assistantId":"as-4"}}}"#;
    let event = read(body);
    assert_eq!((event.call, event.alias), (None, None));
    assert_eq!(event.keys.account.as_deref(), Some("org-4"));
    assert_eq!(event.keys.assistant.as_deref(), Some("as-4"));
    let body = message("conversation-update", json!({"call": null}));
    let event = read(&body);
    assert_eq!((event.call, event.kind), (None, EventKind::Progress));
    assert_eq!(event.keys.to.as_deref(), Some("+12025550199"));
}

#[test]
fn the_carriers_id_is_an_alias_of_a_call_only() {
    let body = message("hang", json!({"call": {"id": null}}));
    assert_eq!(read(&body).alias, None, "of no call");
    let body = message("hang", json!({"call": {"phoneCallProviderId": ID}}));
    assert_eq!(read(&body).alias, None, "of itself");
}

#[test]
fn metadata_is_kept_as_sent_the_most_particular_first() {
    let body = message(
        "hang",
        json!({
            "assistant": {"metadata": {"tenant": "by assistant", "only": 7}},
            "call": {"assistantOverrides": {
                "metadata": {"plan": "gold"}, "variableValues": {"tenant": "by variable"},
            }},
        }),
    );
    let keys = read(&body).keys;
    assert_eq!(metadata(&keys, "tenant").as_deref(), Some("by variable"));
    assert_eq!(metadata(&keys, "only").as_deref(), Some("7"));
    assert_eq!(metadata(&keys, "plan").as_deref(), Some("gold"));
    assert_eq!(metadata(&keys, "nothing"), None);
    let body = message(
        "hang",
        json!({"call": {"metadata": {"tenant": "by call"}, "assistant": {"metadata": {"more": "m"}}},
               "assistant": {"metadata": "none"}}),
    );
    let keys = read(&body).keys;
    assert_eq!(metadata(&keys, "tenant").as_deref(), Some("by call"));
}
