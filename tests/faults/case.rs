//! The rows of the table: every fault, protocol, moment and state of legacy that go
//! together.

use crate::calls::{Webhook, Wire};
use crate::fault::{Fault, Legacy};

/// What the route says of rescue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Mode {
    Off,
    /// `rescue = "start"`.
    Start,
    /// `rescue = "every"`, and an `entry`.
    Entry,
    /// `rescue = "every"` without one.
    Every,
    /// `rescue = "start"`, `last_resort = "off"`.
    Plain,
}

impl Mode {
    pub(crate) const ALL: [Self; 5] = [
        Self::Off,
        Self::Start,
        Self::Entry,
        Self::Every,
        Self::Plain,
    ];

    /// The second segment of its routes.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Start => "start",
            Self::Entry => "entry",
            Self::Every => "every",
            Self::Plain => "plain",
        }
    }

    pub(crate) const fn is_every(self) -> bool {
        matches!(self, Self::Entry | Self::Every)
    }
}

/// When in the call the fault comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Moment {
    /// Its first webhook.
    First,
    /// Results of a step.
    Gather,
    DialBridged,
    DialBusy,
    /// The first fetch of a leg that it dialled.
    Whisper,
    Wait,
    /// Nobody waits.
    Status,
    Report,
    /// It was rescued before.
    AfterRescue,
    /// It was sent to legacy's entry before.
    AfterMove,
}

impl Moment {
    /// The webhook that is sent at this moment.
    pub(crate) const fn webhook(self) -> Webhook {
        match self {
            Self::First => Webhook::First,
            Self::DialBridged => Webhook::DialBridged,
            Self::DialBusy => Webhook::DialBusy,
            Self::Whisper => Webhook::Whisper,
            Self::Wait => Webhook::Wait,
            Self::Status => Webhook::Status,
            Self::Report => Webhook::Report,
            Self::Gather | Self::AfterRescue | Self::AfterMove => Webhook::Gather,
        }
    }
}

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Case {
    pub(crate) wire: Wire,
    pub(crate) mode: Mode,
    pub(crate) moment: Moment,
    pub(crate) fault: Fault,
    pub(crate) legacy: Legacy,
}

impl Case {
    /// The path of its route.
    pub(crate) fn route(self) -> String {
        format!("/{}/{}", self.wire.path(), self.mode.path())
    }

    /// Is the answer's body read by anybody, or is its status all that matters?
    pub(crate) fn is_read(self) -> bool {
        self.wire != Wire::CallControl && !matches!(self.moment, Moment::Status | Moment::Report)
    }
}

/// What a route of TeXML or TwiML is asked.
const XML: [(Moment, &[Mode]); 9] = [
    (Moment::First, &[Mode::Start, Mode::Off, Mode::Plain]),
    (Moment::Gather, &[Mode::Start, Mode::Entry, Mode::Every]),
    (Moment::DialBridged, &[Mode::Entry]),
    (Moment::DialBusy, &[Mode::Entry]),
    (Moment::Whisper, &[Mode::Start, Mode::Entry]),
    (Moment::Wait, &[Mode::Entry]),
    (Moment::Status, &[Mode::Start, Mode::Entry]),
    (Moment::AfterRescue, &[Mode::Start]),
    (Moment::AfterMove, &[Mode::Entry]),
];

const VAPI: [(Moment, &[Mode]); 5] = [
    (Moment::First, &[Mode::Start, Mode::Off, Mode::Plain]),
    (Moment::Gather, &[Mode::Start, Mode::Every]),
    (Moment::Status, &[Mode::Start, Mode::Every]),
    (Moment::Report, &[Mode::Every]),
    (Moment::AfterRescue, &[Mode::Start]),
];

const CALL_CONTROL: [(Moment, &[Mode]); 2] = [
    (Moment::First, &[Mode::Start, Mode::Every]),
    (Moment::Gather, &[Mode::Start, Mode::Every]),
];

/// Every row.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for wire in Wire::ALL {
        let moments: &[(Moment, &[Mode])] = match wire {
            Wire::TexmlGet | Wire::TexmlPost | Wire::Twilio => &XML,
            Wire::Vapi => &VAPI,
            Wire::CallControl => &CALL_CONTROL,
        };
        for (moment, modes) in moments {
            for mode in *modes {
                let faults = Fault::ALL.into_iter();
                for fault in faults.filter(|it| fits(*it, wire) && matters(*it, *moment)) {
                    cases.extend(Legacy::ALL.map(|legacy| Case {
                        wire,
                        mode: *mode,
                        moment: *moment,
                        fault,
                        legacy,
                    }));
                }
            }
        }
    }
    cases
}

/// Is it a fault toward this provider at all?
const fn fits(fault: Fault, wire: Wire) -> bool {
    match fault {
        Fault::Status204 | Fault::Status302 => wire.is_telnyx(),
        Fault::EmptyObject | Fault::InvalidJson | Fault::WrongToolId => {
            matches!(wire, Wire::Vapi)
        }
        _ => true,
    }
}

/// What new does cannot matter where it is not asked: a few faults show that.
const fn matters(fault: Fault, moment: Moment) -> bool {
    let is_asked = !matches!(moment, Moment::AfterRescue | Moment::AfterMove);
    is_asked
        || matches!(
            fault,
            Fault::Sound | Fault::Refuses | Fault::Hangs | Fault::Status500
        )
}
