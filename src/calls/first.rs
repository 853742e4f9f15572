//! The first webhook of a call that the table does not know: where it goes, and what is
//! remembered of it.

use super::{Call, Flags, tenant_key};
use crate::model::{Backend, Tick, Wall};
use crate::protocol::{CallEvent, EventKind};
use crate::split::{Because, Placement, Split, Subject, Token};

/// What the first webhook of a call comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct First {
    /// Where the request goes.
    pub placement: Placement,
    /// What to remember; None: no call begins with this webhook.
    pub call: Option<Call>,
}

/// What a request says of its call beside what the provider says in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// The backend that started the call itself, by the mark in the URL it gave.
    pub claimed: Option<Backend>,
    /// What the URL remembers of the call.
    pub token: Option<Token>,
    /// What the calendar says now: a token's date is read against it. Of no
    /// meaning without one.
    pub wall: Wall,
}

/// Places a call that the table does not know. `parent` is the call that made
/// this leg, if the table knows it.
///
/// A leg follows its call; else a call belongs to the backend that started it, also
/// while latched, since it exists nowhere else; else a token says where it was (see
/// [`Split::follow`]); else it is new, and the split decides.
///
/// A call that a token placed had begun before and is only new to us. It counts as
/// started, and from then on; what generation it was placed under nobody knows, so it
/// gets 0: its outcomes count until the first reversal and never after one.
pub fn first(
    event: &CallEvent<'_>,
    subject: &Subject<'_>,
    hints: Hints,
    split: &Split,
    parent: Option<&Call>,
    now: Tick,
) -> First {
    let placement = match parent {
        Some(parent) => Placement {
            backend: parent.backend,
            because: Because::Inherited,
        },
        None => unknown(event.kind, subject, hints, split),
    };
    let claimed = placement.because == Because::Claimed;
    let goes_on = placement.because == Because::Token;
    let mut flags = Flags::default()
        .with_if(Flags::LEG, event.parent.is_some())
        .with_if(Flags::ROOTED, event.leg.is_some())
        .with_if(Flags::OUTBOUND, event.outbound || claimed)
        .with_if(Flags::STARTED, goes_on);
    match event.kind {
        // Nothing can begin with its own end, nor with a recording of it.
        EventKind::Final(_) | EventKind::Report => {
            return First {
                placement,
                call: None,
            };
        }
        EventKind::Progress => flags = flags.with_if(Flags::PROVISIONAL, !goes_on),
        EventKind::Start | EventKind::Step => {}
    }
    let mut call = Call::placed(placement, flags, split.generation, now);
    match parent {
        Some(parent) => {
            call.tenant = parent.tenant;
            // It is evidence about what its call was placed by: a leg that an old call
            // makes after a reversal says nothing about what runs now.
            call.generation = parent.generation;
        }
        None => call.tenant = tenant_key(subject),
    }
    if let Some(token) = hints.token.filter(|_| goes_on) {
        call.goes_on(token, hints.wall, now);
    }
    call.step(event.facts, subject, now);
    First {
        placement,
        call: Some(call),
    }
}

/// Places what belongs to no call.
pub fn passing(subject: &Subject<'_>, hints: Hints, split: &Split) -> Placement {
    hinted(hints, split).unwrap_or_else(|| split.place(subject))
}

fn hinted(hints: Hints, split: &Split) -> Option<Placement> {
    let claimed = hints.claimed.map(|backend| Placement {
        backend,
        because: Because::Claimed,
    });
    claimed.or_else(|| hints.token.map(|token| split.follow(token)))
}

fn unknown(kind: EventKind, subject: &Subject<'_>, hints: Hints, split: &Split) -> Placement {
    let hinted = hinted(hints, split);
    let placement = hinted.unwrap_or_else(|| split.place(subject));
    let because = match kind {
        EventKind::Final(_) | EventKind::Report => Because::Late,
        // While latched the latch is what decided, and what an operator looks for.
        EventKind::Step if hinted.is_none() && !split.latched => Because::Orphan,
        _ => placement.because,
    };
    Placement {
        because,
        ..placement
    }
}
