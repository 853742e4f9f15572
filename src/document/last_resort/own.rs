//! Is an operator's own last resort one that a provider will run?

use quick_xml::Reader;
use quick_xml::events::Event;
use serde::de::IgnoredAny;

use super::super::{Does, Flaw, Judgement, MAX_BYTES, texml, vapi_reply};
use super::XML;
use crate::model::Protocol;
use crate::protocol::Asks;

/// Why a document cannot be a last resort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsound {
    /// This protocol's webhooks are answered by a status alone.
    #[error("no webhook of telnyx-call-control is answered by a document")]
    NotAsked,
    /// More than 64 KiB.
    #[error("it is larger than 64 KiB")]
    TooLarge,
    /// It is sent as UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// The judge found a flaw in it.
    #[error("{}{}", at(*line), words(*flaw))]
    Flawed {
        /// The flaw.
        flaw: Flaw,
        /// The line it was found in, from 1, where that could be told.
        line: Option<usize>,
    },
}

/// What it does to the call, if it is sound.
pub(super) fn check(protocol: Protocol, body: &[u8]) -> Result<Does, Unsound> {
    if protocol == Protocol::TelnyxCallControl {
        return Err(Unsound::NotAsked);
    }
    if body.len() > MAX_BYTES {
        return Err(Unsound::TooLarge);
    }
    let text = std::str::from_utf8(body).map_err(|_| Unsound::NotUtf8)?;
    let judged = match protocol {
        Protocol::Vapi => assistant(body),
        _ => texml::judge(body, Some(XML)),
    };
    match judged.flaw {
        None => Ok(judged.does),
        Some(flaw) => {
            let line = match flaw {
                Flaw::NotWellFormed => xml_line(text),
                Flaw::NotJson => json_line(text),
                _ => None,
            };
            Err(Unsound::Flawed { flaw, line })
        }
    }
}

/// Of a backend an `error` is a failure; here it is what is wanted, as long as it can
/// be spoken.
fn assistant(body: &[u8]) -> Judgement {
    #[derive(serde::Deserialize)]
    struct Spoken {
        error: String,
    }
    let judged = vapi_reply::judge(Asks::Assistant, b"", body);
    if judged.flaw != Some(Flaw::SaysError) {
        return judged;
    }
    let spoken = serde_json::from_slice::<Spoken>(body).ok();
    let is_spoken = spoken.is_some_and(|spoken| !spoken.error.trim().is_empty());
    Judgement {
        flaw: (!is_spoken).then_some(Flaw::BadResult),
        ..judged
    }
}

/// The line a reader of XML stumbles in. Our judge names none, and is stricter, so
/// there may be no such line.
fn xml_line(text: &str) -> Option<usize> {
    let mut reader = Reader::from_str(text);
    loop {
        match reader.read_event() {
            Ok(Event::Eof) => return None,
            Ok(_) => {}
            Err(_) => break,
        }
    }
    let at = usize::try_from(reader.error_position()).ok()?;
    let before = text.as_bytes().get(..at)?;
    Some(before.iter().filter(|byte| **byte == b'\n').count() + 1)
}

fn json_line(text: &str) -> Option<usize> {
    let error = serde_json::from_str::<IgnoredAny>(text).err()?;
    Some(error.line()).filter(|line| *line > 0)
}

fn at(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!("in line {line} "))
}

const fn words(flaw: Flaw) -> &'static str {
    match flaw {
        Flaw::Empty => "it is empty",
        Flaw::NotWellFormed => "it is not well-formed XML",
        Flaw::WrongRoot => "its root element is not `Response`",
        Flaw::Html => "it is an HTML page",
        Flaw::TooLarge => "it is nested deeper, or loaded with more attributes, than providers run",
        Flaw::LeadingSpace => "it has white space before its XML declaration",
        Flaw::NotJson => "it is not JSON",
        Flaw::SaysError | Flaw::NoResult => {
            "it answers no assistant-request: no `error`, `destination`, assistant, squad or \
             workflow is in it"
        }
        Flaw::BadResult => {
            "its answer to an assistant-request is of the wrong kind: `error` is a text, \
             `destination` and `assistant` are objects"
        }
    }
}
