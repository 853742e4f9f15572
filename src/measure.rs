//! What happened, as numbers: what requests report, and what is known about each
//! backend over a trailing span of time.
//!
//! Requests report [`Observation`]s; the engine pours them into [`scorecard::Scorecard`]s
//! and the rules read those. Everything in here is
//! pure: the moment is always an argument.

pub mod counts;
pub mod early;
pub mod histogram;
pub mod scorecard;
pub mod tenants;
pub mod window;

use crate::document::Flaw;
use crate::model::{Backend, CallKey, TenantKey, Tick};
use crate::split::Placement;

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
    /// A request was refused at the edge, or never belonged to a call.
    Refused {
        /// Status sent to the client.
        status: u16,
    },
}

/// How a webhook went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answered {
    /// When the last byte of the answer was there, or the failure was certain.
    pub at: Tick,
    /// Who was asked.
    pub backend: Backend,
    /// The route's number.
    pub route: u16,
    /// Whether a caller was waiting for it.
    pub kind: Kind,
    /// What became of it, and whose fault.
    pub outcome: Outcome,
    /// From ready-to-send to the last byte, in microseconds. None where nothing
    /// was measured: a refusal without an answer has no latency.
    pub latency_us: Option<u32>,
    /// Time spent in the proxy itself, in microseconds.
    pub overhead_us: u32,
    /// A flaw in the document, also when it was only a warning.
    pub flaw: Option<Flaw>,
    /// The call's voice in the error rate. None: it counts in no window
    /// (an event, an unknown call, or already heard this minute).
    pub voice: Option<Voice>,
    /// `speech_recognition_rate`: this webhook carried a speech result, good or
    /// empty.
    pub speech: Option<bool>,
    /// Routing generation under which the call was placed; 0 if unknown.
    pub generation: u64,
    /// The call, if the webhook names one; for the access log.
    pub call: Option<CallKey>,
}

/// Which webhooks somebody is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A caller waits for the document.
    Voice,
    /// A status callback or report; nobody waits.
    Event,
}

impl Kind {
    /// The word for it in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Voice => "voice",
            Self::Event => "event",
        }
    }
}

/// What became of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The backend answered and the answer was sound.
    Served,
    /// It failed; the cause says how, and thereby whose fault it was.
    Failed(Cause),
}

/// How a webhook failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// No connection to the backend.
    Connect,
    /// The backend closed or reset before the answer was complete.
    Reset,
    /// A pooled connection died under us with no byte of an answer.
    Stale,
    /// No complete answer within the route's `timeout`.
    Timeout,
    /// A status outside 2xx (a success for Telnyx is exactly 200).
    Status,
    /// The answer was no sound document.
    Document,
    /// The answer was not HTTP.
    Malformed,
    /// The provider hung up after a second or more of waiting.
    Abandoned,
    /// The provider hung up before a second was over.
    ClientGone,
    /// Our own doing: a full queue, no descriptor, a bug.
    Internal,
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The backend's: counts against it.
    Backend,
    /// The provider's or its network's.
    Provider,
    /// Ours.
    Internal,
}

impl Cause {
    /// Every cause, for metrics that exist from the start.
    pub const ALL: [Self; 10] = [
        Self::Connect,
        Self::Reset,
        Self::Stale,
        Self::Timeout,
        Self::Status,
        Self::Document,
        Self::Malformed,
        Self::Abandoned,
        Self::ClientGone,
        Self::Internal,
    ];

    /// The word for it in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::Stale => "stale",
            Self::Timeout => "timeout",
            Self::Status => "status",
            Self::Document => "document",
            Self::Malformed => "malformed",
            Self::Abandoned => "abandoned",
            Self::ClientGone => "client-gone",
            Self::Internal => "internal",
        }
    }

    /// Whose fault it is.
    pub const fn fault(self) -> Fault {
        match self {
            Self::ClientGone => Fault::Provider,
            Self::Internal => Fault::Internal,
            _ => Fault::Backend,
        }
    }
}

impl Outcome {
    /// The word for it in metrics: `served` or the cause's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Failed(cause) => cause.name(),
        }
    }
}

/// What one call says in the error rate: at most once good and once failed in
/// any minute, so that a looping caller or a provider's retries are one voice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voice {
    /// Whose call.
    pub tenant: TenantKey,
    /// True for a failed webhook, false for a good one.
    pub failed: bool,
    /// When the call last had a voice of either kind; None the first time.
    /// Lets the window keep an exact number of distinct calls in O(1).
    pub previous: Option<Tick>,
    /// When the call last had a failed voice.
    pub previous_failed: Option<Tick>,
}

/// A request found its backend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placed {
    /// When.
    pub at: Tick,
    /// Where and why.
    pub placement: Placement,
    /// The call, if the webhook names one.
    pub call: Option<CallKey>,
    /// This is the first time this call is seen, and it is now pinned.
    pub begins: bool,
    /// The first byte of a not yet started call went to new while the routing
    /// read just before it said "latched". Must never happen; counted so that
    /// its never happening can be shown.
    pub after_latch: bool,
    /// The first voice webhook of the call left for its backend.
    pub starts: bool,
}

/// A call is over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ended {
    /// When we learnt it.
    pub at: Tick,
    /// When its first webhook came: the cohort it belongs to.
    pub began: Tick,
    /// Its backend.
    pub backend: Backend,
    /// Whose call.
    pub tenant: TenantKey,
    /// How it ended.
    pub end: CallEnd,
    /// Seconds it lasted, if known.
    pub duration_s: Option<u32>,
    /// Routing generation under which it was placed.
    pub generation: u64,
    /// Counts in end measures: an inbound root leg, not a child.
    pub counts: bool,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallEnd {
    /// The caller got what the application wanted to give.
    Served,
    /// The caller hung up before being served.
    Abandoned,
    /// The caller hung up within `short`; left out of the abandonment rate.
    Short,
    /// The platform reported a failed call.
    Failed,
    /// Over, but the protocol cannot tell who hung up.
    Unknown,
    /// No end was ever seen; given up after four idle hours.
    Expired,
}

impl CallEnd {
    /// Every end, for metrics that exist from the start.
    pub const ALL: [Self; 6] = [
        Self::Served,
        Self::Abandoned,
        Self::Short,
        Self::Failed,
        Self::Unknown,
        Self::Expired,
    ];

    /// The word for it in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Abandoned => "abandoned",
            Self::Short => "short",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
        }
    }
}

/// What can be reported from outside about a backend: what a proxy cannot see.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ReportKind {
    /// Anything that harms data or its integrity.
    CriticalError,
    /// A customer complained.
    Complaint,
    /// An incident was opened.
    Incident,
    /// Share of memory in use, 0..=1.
    MemoryUsed(f64),
    /// Share of processor in use, 0..=1.
    CpuUsed(f64),
}

impl ReportKind {
    /// The event that happened, in words; None for a gauge's reading.
    pub const fn event(self) -> Option<&'static str> {
        match self {
            Self::CriticalError => Some("critical error"),
            Self::Complaint => Some("complaint"),
            Self::Incident => Some("incident"),
            Self::MemoryUsed(_) | Self::CpuUsed(_) => None,
        }
    }
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
    /// Calls begun since the process began.
    pub calls: u64,
}
