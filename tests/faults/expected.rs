//! What must come of each row: the rules, said once and plainly.

use crate::calls::Wire;
use crate::case::{Case, Mode, Moment};
use crate::fault::{Fault, Legacy};

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Side {
    Legacy,
    New,
}

use Side::New;

impl Side {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            New => "new",
        }
    }
}

/// What the provider gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Got {
    /// That backend's answer, and it is what was asked for.
    Answer(Side),
    /// That backend's answer with status 200, and no provider can run it.
    Broken(Side),
    /// A document that sends the caller to legacy's entry.
    Entry,
    /// The route's own document.
    LastResort,
    /// `<Response/>`: nothing is said to whoever waits or whispers.
    Silence,
    /// An error with this status.
    Error(u16),
}

/// One webhook, as a backend is held to account for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Counted {
    pub(crate) side: Side,
    /// `served` or the cause; `a|b` where it is chance which.
    pub(crate) outcome: &'static str,
}

/// What must come of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) got: Got,
    pub(crate) counted: Vec<Counted>,
    /// What `switchback_rescues_total` counts, if anything.
    pub(crate) rescue: Option<&'static str>,
    /// Where the call's next webhook lands.
    pub(crate) next: Side,
}

/// How one backend takes one webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Well,
    /// Sound, but not before `rescue_after`.
    Late,
    /// It fails, and that is known at once.
    Fails(&'static str),
    /// It has given no whole answer by `timeout`.
    Never,
}

/// What happens to a webhook that new has not answered well in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remedy {
    /// New's failure stands.
    None,
    /// Legacy is asked with the same bytes.
    Legacy,
    /// The caller is sent to legacy's entry.
    Entry,
}

/// The rules.
pub(crate) fn expected(case: Case) -> Expected {
    let legacy = legacy_takes(case);
    if matches!(case.moment, Moment::AfterRescue | Moment::AfterMove) {
        // The call is legacy's: new is not asked, and nobody else could answer.
        return Expected {
            next: Side::Legacy,
            ..alone(case, Side::Legacy, legacy)
        };
    }
    let new = new_takes(case);
    match remedy(case) {
        _ if new == Takes::Well => alone(case, New, new),
        Remedy::None => alone(case, New, new),
        Remedy::Entry => Expected {
            got: Got::Entry,
            counted: vec![counted(New, new)],
            rescue: Some("moved"),
            next: Side::Legacy,
        },
        Remedy::Legacy => both(case, new, legacy),
    }
}

/// Which webhooks of which calls are rescued, and how.
fn remedy(case: Case) -> Remedy {
    use Moment::{DialBridged, DialBusy, First, Gather, Report, Status, Wait, Whisper};
    let every = case.mode.is_every();
    match (case.wire, case.moment) {
        _ if case.mode == Mode::Off => Remedy::None,
        // What the application commands in answer to an event nobody can undo.
        (Wire::CallControl, _) if !every => Remedy::None,
        (Wire::CallControl, _) => Remedy::Legacy,
        (_, First) => Remedy::Legacy,
        // Nobody waits: the provider delivers it again.
        (_, Status | Report) => Remedy::None,
        _ if !every => Remedy::None,
        // A session that legacy does not know of begins anew at its entry, but not
        // where somebody else is on the line already.
        (_, Gather | DialBusy) if case.mode == Mode::Entry => Remedy::Entry,
        (_, Whisper | Wait | DialBridged) => Remedy::None,
        _ => Remedy::Legacy,
    }
}

/// Both are asked. Legacy's answer stands, whatever it is worth; a failure of its own
/// does not where new is late, but sound.
fn both(case: Case, new: Takes, legacy: Takes) -> Expected {
    let counted = vec![counted(New, new), counted(Side::Legacy, legacy)];
    let (got, rescue, next) = match (legacy, new) {
        (Takes::Well | Takes::Late, _) => (Got::Answer(Side::Legacy), "served", Side::Legacy),
        (Takes::Fails("document"), _) => (Got::Broken(Side::Legacy), "served", Side::Legacy),
        (Takes::Fails(_) | Takes::Never, Takes::Late) => (Got::Answer(New), "late", New),
        (Takes::Fails(_) | Takes::Never, _) => {
            let (got, rescue) = failure(case, Side::Legacy, legacy);
            (got, rescue.unwrap_or("failed"), New)
        }
    };
    Expected {
        got,
        counted,
        rescue: Some(rescue),
        next,
    }
}

/// Only this backend is asked.
fn alone(case: Case, side: Side, takes: Takes) -> Expected {
    let (got, rescue) = match takes {
        Takes::Well | Takes::Late => (Got::Answer(side), None),
        // A verdict never replaces legacy's own answer.
        Takes::Fails("document") if side == Side::Legacy => (Got::Broken(side), None),
        Takes::Fails(_) | Takes::Never => failure(case, side, takes),
    };
    Expected {
        got,
        counted: vec![counted(side, takes)],
        rescue,
        next: side,
    }
}

/// What is said where nobody could answer.
fn failure(case: Case, side: Side, takes: Takes) -> (Got, Option<&'static str>) {
    let is_event = matches!(case.moment, Moment::Status | Moment::Report);
    let passed = || match status(case, side, takes) {
        200 => Got::Broken(side),
        status => Got::Error(status),
    };
    if is_event || case.wire == Wire::CallControl {
        // So that it is delivered again.
        return (passed(), None);
    }
    if case.mode == Mode::Plain {
        // The provider's own fallback URL acts.
        return (passed(), None);
    }
    // Nobody is to hear an apology beside a call, nor after a conversation.
    if matches!(
        case.moment,
        Moment::Whisper | Moment::Wait | Moment::DialBridged
    ) {
        return (Got::Silence, Some("last-resort"));
    }
    (Got::LastResort, Some("last-resort"))
}

/// The status of a failure that is passed on.
fn status(case: Case, side: Side, takes: Takes) -> u16 {
    match takes {
        Takes::Fails("status") if side == Side::Legacy => 500,
        Takes::Fails("status") => match case.fault {
            Fault::Status503 => 503,
            Fault::Status404 => 404,
            Fault::Status204 => 204,
            // Toward Telnyx no answer to an event is a redirect.
            Fault::Status302 if !case.is_read() => 502,
            Fault::Status302 => 302,
            _ => 500,
        },
        Takes::Fails("document") => 200,
        Takes::Never => 504,
        _ => 502,
    }
}

fn counted(side: Side, takes: Takes) -> Counted {
    let outcome = match takes {
        Takes::Well | Takes::Late => "served",
        // What legacy shows often is a habit after a while, and held against nobody.
        Takes::Fails("document") if side == Side::Legacy => "document|served",
        Takes::Fails(cause) => cause,
        Takes::Never => "timeout",
    };
    Counted { side, outcome }
}

fn legacy_takes(case: Case) -> Takes {
    match case.legacy {
        Legacy::Well | Legacy::Slow => Takes::Well,
        Legacy::Fails => Takes::Fails("status"),
        Legacy::Refuses => Takes::Fails("connect"),
        Legacy::Hangs => Takes::Never,
        Legacy::Broken if case.is_read() => Takes::Fails("document"),
        Legacy::Broken => Takes::Well,
    }
}

fn new_takes(case: Case) -> Takes {
    use Fault::{
        AcceptsAndCloses, Banner, ChunkedGarbage, ClosesInBody, ClosesInHead, Empty, EmptyObject,
        EndlessHead, Hangs, Html, InvalidJson, LengthTooLong, LengthTooShort, Refuses, Resets,
        SlowBody, SlowFirstByte, Sound, Status204, Status302, Status404, Status500, Status503,
        TooLong, Trickles, Truncated, WrongToolId, WrongType,
    };
    match case.fault {
        Sound | WrongType => Takes::Well,
        SlowFirstByte | SlowBody => Takes::Late,
        Hangs | Trickles => Takes::Never,
        Refuses => Takes::Fails("connect"),
        // Stale, if the connection had carried another webhook before.
        AcceptsAndCloses | Resets => Takes::Fails("reset|stale"),
        ClosesInHead | ClosesInBody | LengthTooLong => Takes::Fails("reset"),
        Banner | EndlessHead | ChunkedGarbage => Takes::Fails("malformed"),
        Status500 | Status503 | Status404 | Status302 => Takes::Fails("status"),
        Status204 if case.is_read() => Takes::Fails("status"),
        // What nobody reads cannot be broken.
        Status204 => Takes::Well,
        Html | Truncated | Empty | TooLong | LengthTooShort | EmptyObject | InvalidJson
        | WrongToolId => {
            if case.is_read() {
                Takes::Fails("document")
            } else {
                Takes::Well
            }
        }
    }
}
