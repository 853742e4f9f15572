//! `rescue`, `rescue_after`, `entry` and `last_resort` of a route: what is done for a
//! caller whose backend fails, and whether it can be done in the provider's time.

mod check;

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Config;
use super::problem::Problem;
use super::text::{self, Span};
use super::walk::{At, Section, Value};
use crate::calls::rescue::Mode;
use crate::document::MAX_BYTES;
use crate::document::last_resort::{LastResort, Number};
use crate::model::Protocol;
use crate::proxy::settings::{Rescue, Route};

pub(super) use check::run as check;

/// The keys of a route as far as they could be read. What could not be read is an
/// error already, so it is filled by what is the default.
#[derive(Debug)]
pub(super) struct Draft {
    /// `rescue`.
    pub(super) mode: At<Mode>,
    /// `rescue_after`, if it is there.
    pub(super) after: Option<At<Duration>>,
    /// `entry`, if it is there.
    pub(super) entry: Option<At<String>>,
    /// `last_resort`.
    last_resort: Heard,
    /// The text of the file that `last_resort` names: part of the configuration.
    pub(super) file: Option<Vec<u8>>,
}

/// What `last_resort` says.
#[derive(Debug)]
enum Heard {
    Shipped,
    Nothing,
    Forward(Number),
    Own(LastResort),
}

/// The words of `rescue`.
const MODES: [(&str, Mode); 3] = [
    ("off", Mode::Off),
    ("start", Mode::Start),
    ("every", Mode::Every),
];

impl Draft {
    /// Does a caller hear nothing of ours when nobody answers?
    pub(super) const fn says_nothing(&self) -> bool {
        matches!(self.last_resort, Heard::Nothing)
    }

    /// What the route obeys. A time that nobody wrote is never more than half of the
    /// `timeout`, so that a short one leaves legacy as much as new.
    pub(super) fn rescue(&self, protocol: Protocol, timeout: Duration) -> Rescue {
        let given = Rescue::of(protocol);
        Rescue {
            mode: self.mode.value,
            after: match &self.after {
                Some(after) => after.value,
                None => given.after.min(timeout / 2),
            },
            entry: self.entry.as_ref().map(|entry| entry.value.clone()),
            last_resort: match &self.last_resort {
                Heard::Shipped => given.last_resort,
                Heard::Nothing => None,
                Heard::Forward(number) => {
                    Some(Arc::new(LastResort::shipped(protocol, Some(number))))
                }
                Heard::Own(own) => Some(Arc::new(own.clone())),
            },
        }
    }
}

/// Reads the four keys. Files are looked for in `base`.
pub(super) fn read(route: &Section<'_>, protocol: Option<Protocol>, base: &Path) -> Draft {
    // No call waits longer than a minute for anything.
    const RANGE: std::ops::RangeInclusive<Duration> =
        Duration::from_millis(100)..=Duration::from_secs(60);
    let mode = match route.get("rescue") {
        Some(value) => value.at(value.choice(&MODES).unwrap_or_default()),
        None => At {
            value: Mode::default(),
            span: None,
        },
    };
    let after = route
        .get("rescue_after")
        .and_then(|value| Some(value.at(value.duration(RANGE)?)));
    let path = route
        .get("entry")
        .and_then(|value| Some(value.at(value.read("\"/ivr/welcome\"", entry)?)));
    let (last_resort, file) = match route.get("last_resort") {
        Some(value) => last_resort(&value, protocol, base),
        None => (Heard::Shipped, None),
    };
    Draft {
        mode,
        after,
        entry: path,
        last_resort,
        file,
    }
}

/// A path on this host, with a query if it has one; nothing of it is changed, as
/// applications may tell `/ivr` from `/ivr/`.
fn entry(text: &str) -> Result<String, String> {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    if text.contains("://") && !text.starts_with('/') {
        return Err("it is a path on this host: leave out everything before it".into());
    }
    text::path(path)?;
    if query.contains('#') || !query.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("a query is written in visible ASCII, other characters and # as %XX".into());
    }
    Ok(text.to_owned())
}

const FORMS: &str = "\"sorry.xml\", \"off\" or { forward = \"+\" and a number }";

fn last_resort(
    value: &Value<'_>,
    protocol: Option<Protocol>,
    base: &Path,
) -> (Heard, Option<Vec<u8>>) {
    if value.is_table() {
        let forward = forward(value, protocol);
        return (forward.map_or(Heard::Shipped, Heard::Forward), None);
    }
    match value.string(FORMS) {
        None => (Heard::Shipped, None),
        Some("off") => (Heard::Nothing, None),
        // Before it is looked for as a file, and named in a message.
        Some(name) if is_like_a_number(name) => {
            value.refuse(
                "looks like a telephone number, and would be the name of a file",
                "to have callers connected write last_resort = { forward = \"+\" and the number }",
            );
            (Heard::Shipped, None)
        }
        Some(name) => own(value, protocol, &base.join(name)),
    }
}

fn is_like_a_number(name: &str) -> bool {
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    digits >= 7 && !name.contains(char::is_alphabetic)
}

/// `{ forward = "+15551230001" }`. What is wrong with the number is said without it.
fn forward(value: &Value<'_>, protocol: Option<Protocol>) -> Option<Number> {
    let table = value.table("`last_resort`")?;
    let forward = table.need("forward", "\"+\" and a number");
    table.finish(&[], &[]);
    let forward = forward?;
    let Some(number) = Number::new(forward.string("\"+\" and a number")?) else {
        forward.refuse(
            "is no telephone number that every provider dials",
            "write it in E.164: a plus, the country code and the number, 8 to 15 digits and \
             nothing between them",
        );
        return None;
    };
    if protocol == Some(Protocol::TelnyxCallControl) {
        nobody_listens(value);
        return None;
    }
    Some(number)
}

fn own(value: &Value<'_>, protocol: Option<Protocol>, path: &Path) -> (Heard, Option<Vec<u8>>) {
    if protocol == Some(Protocol::TelnyxCallControl) {
        nobody_listens(value);
        return (Heard::Shipped, None);
    }
    let bytes = match contents(path) {
        Ok(bytes) => bytes,
        Err(why) => {
            value.refuse(
                format!("cannot be read: {}: {why}", path.display()),
                format!("{BESIDE}; without the line the shipped words are said"),
            );
            return (Heard::Shipped, None);
        }
    };
    // Without a protocol nobody knows what it should be.
    let Some(protocol) = protocol else {
        return (Heard::Shipped, Some(bytes));
    };
    let heard = match LastResort::own(protocol, bytes.clone()) {
        Ok(own) => {
            if own.asks_again() {
                goes_round(value);
            }
            Heard::Own(own)
        }
        Err(flaw) => {
            value.refuse(
                format!(
                    "names {}, which no caller would hear: {flaw}",
                    path.display()
                ),
                format!("it is {}", wanted(protocol)),
            );
            Heard::Shipped
        }
    };
    (heard, Some(bytes))
}

const BESIDE: &str = "paths of files to read are taken from where the configuration stands";

/// The file, up to one byte more than it may have: the judge refuses that one.
fn contents(path: &Path) -> Result<Vec<u8>, std::io::Error> {
    let mut bytes = Vec::new();
    let most = MAX_BYTES as u64 + 1;
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

const fn wanted(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Vapi => {
            "the JSON that answers an assistant-request, for example { \"error\": \"We are \
             sorry.\" }, in UTF-8 and at most 64 KiB"
        }
        Protocol::TelnyxTexml | Protocol::TelnyxCallControl => {
            "a TeXML document with <Response> as its root, in UTF-8 and at most 64 KiB"
        }
        Protocol::Twilio => {
            "a TwiML document with <Response> as its root, in UTF-8 and at most 64 KiB"
        }
    }
}

fn goes_round(value: &Value<'_>) {
    let message = "this document may ask the application again, which is what has just failed";
    let problem = Problem::warning(Some(value.span()), message);
    value.problems.add(problem.help(
        "have it end with <Hangup/>, or <Dial> somebody, and leave out <Redirect>, <Gather>, \
         <Record> and a last <Pause>",
    ));
}

fn nobody_listens(value: &Value<'_>) {
    value.refuse(
        "means nothing on a telnyx-call-control route: its webhooks are answered by a status \
         alone",
        "remove the line; what a caller hears is up to the backend's own commands",
    );
}

impl Config {
    /// For each route, what is done for a caller whose backend fails.
    pub fn rescues(&self) -> Vec<String> {
        self.proxy.routes.iter().map(told).collect()
    }
}

fn told(route: &Route) -> String {
    let rescue = &route.rescue;
    let (path, protocol, after) = (&route.path, route.protocol.name(), Span(rescue.after));
    let is_asked = |which: &str| format!("legacy answers {which}, after {after} at the latest");
    let asked = match (rescue.mode, route.protocol) {
        (Mode::Off, _) => "nobody else is asked".to_owned(),
        (Mode::Start, Protocol::TelnyxCallControl) => {
            "nobody else is asked, and Telnyx delivers again".to_owned()
        }
        (Mode::Start, _) => is_asked("the webhook a call begins with"),
        (Mode::Every, Protocol::TelnyxCallControl) => is_asked("every event"),
        (Mode::Every, Protocol::Vapi) => is_asked("every message that asks for something"),
        (Mode::Every, _) => match &rescue.entry {
            None => is_asked("every webhook"),
            Some(entry) => format!(
                "{}; midway the caller is sent to {entry}",
                is_asked("the webhook a call begins with")
            ),
        },
    };
    let heard = match &rescue.last_resort {
        _ if route.protocol == Protocol::TelnyxCallControl => String::new(),
        Some(heard) => format!("; when nobody can answer: {heard}"),
        None => "; when nobody can answer: the failure is passed on".to_owned(),
    };
    format!("{path} ({protocol}): when new fails: {asked}{heard}")
}
