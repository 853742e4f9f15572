//! Whatever a backend answers: judging and rewriting it ends, never panics, and
//! changes nothing but addresses.
#![no_main]

use libfuzzer_sys::fuzz_target;
use switchback::document::address::Addresses;
use switchback::document::{judge, rewrite, vapi_reply};
use switchback::model::Protocol;
use switchback::protocol::Asks;

const ASKS: [Asks; 5] = [
    Asks::Assistant,
    Asks::Tools,
    Asks::Destination,
    Asks::Knowledge,
    Asks::Endpointing,
];

fuzz_target!(|data: &[u8]| {
    let Some((&kind, body)) = data.split_first() else {
        return;
    };
    let addresses = Addresses::new(
        "https://voice.example.com",
        &["http://127.0.0.1:3001".to_owned(), "https://new.example.com".to_owned()],
        &["/ivr".to_owned(), "/".to_owned()],
    );
    let token = (kind & 1 == 1).then_some("AbC-_123");
    if kind & 2 == 0 {
        judge(Protocol::Twilio, Some("text/xml"), body);
        judge(Protocol::TelnyxTexml, None, body);
        if let Some(once) = rewrite::rewrite(body, &addresses, token)
            && token.is_none()
        {
            assert_eq!(rewrite::rewrite(&once, &addresses, None), None, "done once");
        }
    } else {
        let at = body.iter().position(|byte| *byte == b'\n').unwrap_or(0);
        let (request, answer) = body.split_at(at);
        for asks in ASKS {
            vapi_reply::judge(asks, request, answer);
        }
        if let Some(once) = vapi_reply::rewrite(Asks::Assistant, answer, &addresses, token)
            && token.is_none()
        {
            assert_eq!(vapi_reply::rewrite(Asks::Assistant, &once, &addresses, None), None);
        }
    }
});
