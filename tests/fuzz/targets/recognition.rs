//! Whatever a provider, or somebody in its name, sends: reading it ends and never panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use switchback::model::Protocol;
use switchback::protocol::{Head, recognize};
use switchback::split::tenants::{Source, resolve};

const SOURCES: [Source; 6] = [
    Source::To,
    Source::From,
    Source::Connection,
    Source::Account,
    Source::PhoneNumber,
    Source::Assistant,
];

fuzz_target!(|data: &[u8]| {
    let Some((&kind, rest)) = data.split_first() else {
        return;
    };
    let protocol = Protocol::ALL[usize::from(kind) % Protocol::ALL.len()];
    let at = rest.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (query, body) = rest.split_at(at);
    let head = Head {
        query: std::str::from_utf8(query).unwrap_or_default(),
        content_type: match kind >> 4 {
            0..=4 => Some("application/x-www-form-urlencoded"),
            5..=9 => Some("application/json; charset=utf-8"),
            10 => Some("text/plain"),
            _ => None,
        },
        encoded: kind == 255,
    };
    if let Some(event) = recognize(protocol, &head, body) {
        let mut sources = SOURCES.to_vec();
        sources.push(Source::Metadata("tenant".to_owned()));
        resolve(&sources, &event.keys, |_| None, |_| None, "/a/b", event.outbound);
        assert!(event.call.as_deref() != Some(""), "an empty id is none");
        assert!(event.parent.is_none() || event.parent != event.call);
    }
});
