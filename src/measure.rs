//! What happened, as numbers: what requests report, and what is known about each
//! backend over a trailing span of time.
//!
//! Requests report [`Observation`]s; the engine pours them into [`scorecard::Scorecard`]s
//! and the rules read those. Everything in here is
//! pure: the moment is always an argument.

mod answered;
mod called;
mod checked;
pub mod counts;
pub mod each;
pub mod early;
pub mod histogram;
mod rescued;
mod running;
pub mod scorecard;
pub mod shown;
mod stays;
pub mod tenants;
pub mod totals;
pub mod trail;
pub mod volume;
pub mod window;

pub use answered::{Answered, Cause, Fault, Kind, Outcome, Voice};
pub use called::{CallEnd, Ended, Placed};
pub use checked::{Checked, Found};
pub use rescued::{RescueResult, Rescued, Why};

use crate::health;
use crate::model::{Backend, Tick};

/// One thing a request or a call's end tells the engine. Small and `Copy`: a
/// request writes at most three of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Observation {
    /// A webhook was answered, or failed to be.
    Answered(Answered),
    /// A request was placed.
    Placed(Placed),
    /// A call is over.
    Ended(Ended),
    /// A webhook's signature was looked at.
    Checked(Checked),
    /// A connection to a backend was opened: one round trip, as the network takes it.
    Connected {
        /// To whom.
        backend: Backend,
        /// How long it took, in microseconds.
        took_us: u32,
    },
    /// A websocket was opened, or not, or ended.
    Stream {
        /// To whom.
        backend: Backend,
        /// What became of it.
        what: Streamed,
    },
    /// Another than the backend a webhook was placed on answered it, or was to.
    Rescued(Rescued),
    /// A backend was asked how it is.
    Health(Health),
    /// A client's TLS handshake came to nothing.
    Unsecured(Unsecured),
    /// A request was refused at the edge, or never belonged to a call.
    Refused {
        /// Status sent to the client.
        status: u16,
    },
}

impl Observation {
    /// May anything be concluded from it? Not from a webhook that is not known to be
    /// genuine where it should be: whoever forges one must move no number. This is the
    /// one place that says so; windows and metrics ask here.
    pub const fn is_evidence(&self) -> bool {
        match self {
            Self::Answered(what) => what.counts,
            Self::Rescued(what) => what.counts,
            _ => true,
        }
    }
}

/// What a client's TLS handshake came to instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsecured {
    /// It took too long.
    Late,
    /// The client hung up.
    Closed,
    /// The two have nothing in common, or it was no TLS.
    Refused,
}

impl Unsecured {
    /// All of them, in the order of the enum.
    pub const ALL: [Self; 3] = [Self::Late, Self::Closed, Self::Refused];

    /// As metrics name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Closed => "closed",
            Self::Refused => "refused",
        }
    }
}

/// A backend's answer to an active check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// When it was there, or was given up.
    pub at: Tick,
    /// Who was asked.
    pub backend: Backend,
    /// What it said.
    pub answer: health::Answer,
    /// How long it took, in microseconds.
    pub took_us: u32,
}

/// What became of a websocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Streamed {
    /// The backend took it.
    Opened,
    /// The backend did not take it, or nobody could be asked.
    Refused,
    /// It is over; it was open before.
    Closed,
}

/// What can be reported from outside about a backend: what a proxy cannot see.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ReportKind {
    /// Anything that harms data or its integrity.
    CriticalError,
    /// A customer complained.
    Complaint,
    /// An incident of the first priority was opened.
    Incident,
    /// An incident of a lower priority, 2 to 5: people are told of it, no row counts it.
    LesserIncident(u8),
    /// Share of memory in use, 0..=1.
    MemoryUsed(f64),
    /// Share of processor in use, 0..=1.
    CpuUsed(f64),
    /// So many business transactions were made.
    Transactions(u32),
}

impl ReportKind {
    /// The event that happened, in words; None for a gauge's reading.
    pub const fn event(self) -> Option<&'static str> {
        match self {
            Self::CriticalError => Some("critical error"),
            Self::Complaint => Some("complaint"),
            Self::Incident => Some("incident"),
            Self::LesserIncident(_) => Some("lesser incident"),
            Self::MemoryUsed(_) | Self::CpuUsed(_) | Self::Transactions(_) => None,
        }
    }
}

/// The keys a caller can press, as they stand in [`Choices`]. What is none of them
/// is no choice.
pub const MENU_KEYS: [u8; 12] = *b"0123456789*#";

/// How often each of [`MENU_KEYS`] was a caller's first choice.
pub type Choices = [u64; MENU_KEYS.len()];

/// Where a key stands in [`MENU_KEYS`].
pub fn menu_place(key: u8) -> Option<usize> {
    MENU_KEYS.iter().position(|known| *known == key)
}

/// A backend's numbers as operators see them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Numbers {
    /// Voice webhooks answered or failed since the process began.
    pub webhooks: u64,
    /// Those of them that failed by the backend's fault.
    pub errors: u64,
    /// Share of call voices that failed, last five minutes.
    pub error_rate: Option<f64>,
    /// Milliseconds, last five minutes.
    pub response_time_mean_ms: Option<f64>,
    /// Milliseconds, last five minutes.
    pub response_time_p95_ms: Option<f64>,
    /// Share of mature calls abandoned, over fifteen minutes of calls.
    pub abandonment_rate: Option<f64>,
    /// Share of mature ended calls that failed, over fifteen minutes of calls.
    pub failed_call_rate: Option<f64>,
    /// Seconds that mature calls lasted in the mean, over fifteen minutes of calls.
    pub call_duration_mean_s: Option<f64>,
    /// Share of speech results that were not empty, last fifteen minutes.
    pub speech_recognition_rate: Option<f64>,
    /// Calls begun since the process began.
    pub calls: u64,
    /// What no row reads.
    pub shown: shown::Numbers,
}
