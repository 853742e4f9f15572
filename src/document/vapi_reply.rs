//! What a backend answered to Vapi: judged and, where it would leave us, rewritten.
//!
//! Vapi looks into the body, not at the status: a tool that failed is a 200 with an
//! `error` in it, and an assistant that is none ends the call.
//!
//! **What is tolerated**: members nobody asked for, results in another order than
//! the calls, line breaks in a result, no result for a tool that Vapi does not wait
//! for. **What is not**: a result that is no string, which Vapi passes over.
//!
//! **Bounds**: an answer nested deeper than [`MAX_DEPTH`](vapi::MAX_DEPTH) is none;
//! one longer than [`MAX_BYTES`] is not handed over.

mod rewriting;
mod tools;

use serde_json::value::RawValue;

use self::tools::Calls;
use super::address::Addresses;
use super::{Does, Flaw, Judgement};
use crate::protocol::{Asks, vapi};

/// The longest answer that is read, in bytes. Vapi names no limit; a tool's result of
/// hundreds of kilobytes has been seen.
pub const MAX_BYTES: usize = 1 << 20;

/// The members of an answer that anybody may ask for, as sent.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Answer<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    destination: Option<&'a RawValue>,
    #[serde(borrow)]
    assistant: Option<&'a RawValue>,
    #[serde(borrow)]
    assistant_id: Option<&'a RawValue>,
    #[serde(borrow)]
    squad: Option<&'a RawValue>,
    #[serde(borrow)]
    squad_id: Option<&'a RawValue>,
    #[serde(borrow)]
    workflow: Option<&'a RawValue>,
    #[serde(borrow)]
    workflow_id: Option<&'a RawValue>,
    #[serde(borrow)]
    results: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    documents: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    timeout_seconds: Option<&'a RawValue>,
    /// The schema of Vapi's interface puts the answer in here, its guides and nearly
    /// all backends do not: either is read.
    #[serde(borrow)]
    message_response: Option<&'a RawValue>,
}

/// Judges an answer to `request`, a message that asks for `asks`. Audio, and what
/// nobody reads, is always sound.
pub fn judge(asks: Asks, request: &[u8], answer: &[u8]) -> Judgement {
    if matches!(asks, Asks::Nothing | Asks::Audio | Asks::Document) {
        return Judgement::default();
    }
    let answer = without_mark(answer).trim_ascii();
    let calls = if asks == Asks::Tools {
        Calls::of(request)
    } else {
        Calls::default()
    };
    if !calls.is_awaited() {
        return Judgement::default();
    }
    if answer.is_empty() {
        return flawed(Flaw::Empty);
    }
    if vapi::is_too_deep(answer) {
        return flawed(Flaw::TooLarge);
    }
    if !answer.starts_with(b"{") {
        let is_json = serde_json::from_slice::<&RawValue>(answer).is_ok();
        return flawed(if is_json {
            Flaw::NoResult
        } else {
            Flaw::NotJson
        });
    }
    let Ok(outer) = serde_json::from_slice::<Answer<'_>>(answer) else {
        return flawed(Flaw::NotJson);
    };
    let inner = (outer.message_response)
        .filter(|response| is_object(Some(response)))
        .and_then(|response| serde_json::from_str(response.get()).ok());
    let answer = inner.unwrap_or(outer);
    match asks {
        Asks::Assistant => assistant(&answer),
        Asks::Destination => destination(&answer),
        _ if says_error(&answer) => flawed(Flaw::SaysError),
        Asks::Tools => verdict(tools::flaw(&calls, &answer)),
        Asks::Knowledge => verdict(knowledge(&answer)),
        Asks::Endpointing => verdict(endpointing(&answer)),
        Asks::Nothing | Asks::Audio | Asks::Document => Judgement::default(),
    }
}

/// The answer with its `server.url`s led home, every other byte unchanged. None:
/// nothing is to be changed.
pub fn rewrite(
    asks: Asks,
    answer: &[u8],
    addresses: &Addresses,
    token: Option<&str>,
) -> Option<Vec<u8>> {
    match asks {
        Asks::Assistant | Asks::Destination => {
            rewriting::rewrite(answer, |url| addresses.lead_home(url, token))
        }
        // Nothing else that Vapi is answered can carry an assistant.
        _ => None,
    }
}

/// The answer to a message with tool calls when none of them could be made: a result
/// that says `why`, one line of text, for each of the first 256 of them. None where
/// `request` makes no call.
pub(super) fn failed_tools(request: &[u8], why: &str) -> Option<Vec<u8>> {
    tools::failed(request, why)
}

/// A destination goes before an error, and an error before any assistant.
fn assistant(answer: &Answer<'_>) -> Judgement {
    if is_object(answer.destination) {
        return handing_over(answer.destination);
    }
    if says_error(answer) {
        // Vapi speaks it to the caller and hangs up.
        return Judgement {
            flaw: Some(Flaw::SaysError),
            does: Does {
                serves: false,
                ends: true,
            },
        };
    }
    let whole = [answer.assistant, answer.squad, answer.workflow];
    let named = [answer.assistant_id, answer.squad_id, answer.workflow_id];
    let is_one = whole.into_iter().any(is_object) || named.into_iter().any(is_filled_text);
    let is_said = whole
        .iter()
        .chain(&named)
        .chain([&answer.destination])
        .any(|member| member.is_some_and(|it| it.get() != "\"\""));
    verdict(match (is_one, is_said) {
        (true, _) => None,
        (false, true) => Some(Flaw::BadResult),
        (false, false) => Some(Flaw::NoResult),
    })
}

fn destination(answer: &Answer<'_>) -> Judgement {
    if says_error(answer) {
        return flawed(Flaw::SaysError);
    }
    match answer.destination {
        None => flawed(Flaw::NoResult),
        it if is_object(it) => handing_over(it),
        Some(_) => flawed(Flaw::BadResult),
    }
}

/// The caller is served by whoever the destination is, unless it is another
/// assistant, which serves nobody yet.
fn handing_over(destination: Option<&RawValue>) -> Judgement {
    #[derive(serde::Deserialize)]
    struct Destination<'a> {
        #[serde(borrow, rename = "type", default)]
        kind: Option<&'a RawValue>,
    }
    let kind = destination
        .and_then(|it| serde_json::from_str::<Destination<'_>>(it.get()).ok())
        .and_then(|it| it.kind);
    let is_assistant = matches!(
        kind.map(RawValue::get),
        Some("\"assistant\"" | "\"squad\"" | "\"dynamic\"")
    );
    Judgement {
        flaw: None,
        does: Does {
            serves: !is_assistant,
            ends: false,
        },
    }
}

/// No documents are an answer too: nothing was found.
fn knowledge(answer: &Answer<'_>) -> Option<Flaw> {
    match answer.documents {
        Some(documents) if documents.get().starts_with('[') => None,
        Some(_) => Some(Flaw::BadResult),
        None if is_object(answer.message) || is_filled_text(answer.message) => None,
        None => Some(Flaw::NoResult),
    }
}

fn endpointing(answer: &Answer<'_>) -> Option<Flaw> {
    let seconds = answer.timeout_seconds.map(|it| it.get().parse::<f64>());
    match seconds {
        Some(Ok(seconds)) if seconds >= 0.0 => None,
        Some(_) => Some(Flaw::BadResult),
        None => Some(Flaw::NoResult),
    }
}

fn flawed(flaw: Flaw) -> Judgement {
    verdict(Some(flaw))
}

fn verdict(flaw: Option<Flaw>) -> Judgement {
    Judgement {
        flaw,
        does: Does::default(),
    }
}

/// Is there an error that says something, in whatever words?
fn says_error(answer: &Answer<'_>) -> bool {
    answer
        .error
        .is_some_and(|error| !matches!(error.get(), "\"\"" | "false" | "{}" | "[]"))
}

fn is_object(member: Option<&RawValue>) -> bool {
    member.is_some_and(|it| it.get().starts_with('{'))
}

fn is_text(member: Option<&RawValue>) -> bool {
    member.is_some_and(|it| it.get().starts_with('"'))
}

fn is_filled_text(member: Option<&RawValue>) -> bool {
    is_text(member) && member.is_some_and(|it| it.get() != "\"\"")
}

/// Without a byte order mark, which JSON readers may pass over.
fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

#[cfg(test)]
mod tests;
