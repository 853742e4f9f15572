//! What happened, as numbers: what requests report, and what is known about each
//! backend over a trailing span of time.
//!
//! Requests report [`Observation`]s; the engine pours them into [`scorecard::Scorecard`]s
//! and the rules read those. Everything in here is
//! pure: the moment is always an argument.

pub mod counts;
pub mod each;
pub mod early;
pub mod histogram;
mod running;
pub mod scorecard;
pub mod shown;
mod stays;
pub mod tenants;
pub mod totals;
pub mod trail;
pub mod volume;
pub mod window;

use crate::document::Flaw;
use crate::health;
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
    /// empty. Events tell it as well as voice webhooks.
    pub speech: Option<bool>,
    /// The caller's choice from the first menu of the call: one of [`MENU_KEYS`].
    pub choice: Option<u8>,
    /// Time the backend says its data took (`Server-Timing: db;dur=…`), in
    /// microseconds.
    pub data_us: Option<u32>,
    /// False: it is not known to be genuine where it should be, so it is no evidence
    /// and counts in no window.
    pub counts: bool,
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
    /// Our own doing: no descriptor, no port, a bug.
    Internal,
    /// Not asked: its breaker is open.
    Breaker,
    /// Not asked: as many requests were on their way to it as may be.
    Full,
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
    pub const ALL: [Self; 12] = [
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
        Self::Breaker,
        Self::Full,
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
            Self::Breaker => "breaker",
            Self::Full => "full",
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

/// A webhook's signature was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// When.
    pub at: Tick,
    /// The route's number.
    pub route: u16,
    /// What was found.
    pub found: Found,
    /// It may count in a window, as far as its signature goes.
    pub counts: bool,
    /// It was answered 403 and went no further.
    pub refused: bool,
}

/// Whether a webhook is genuine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Found {
    /// Signed by the provider.
    Verified,
    /// Signed by the provider, and seen before with the very same signature.
    Replayed,
    /// Not signed at all.
    Absent,
    /// Signed, but not by the provider, or not this, or too long ago.
    Rejected,
}

impl Found {
    /// Every finding, for metrics that exist from the start.
    pub const ALL: [Self; 4] = [Self::Verified, Self::Replayed, Self::Absent, Self::Rejected];

    /// The word for it in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Replayed => "replayed",
            Self::Absent => "absent",
            Self::Rejected => "rejected",
        }
    }
}

/// A webhook was rescued, or could not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rescued {
    /// When it was certain; of an answer that was late, when it was late.
    pub at: Tick,
    /// The route's number.
    pub route: u16,
    /// The call, if the webhook names one.
    pub call: Option<CallKey>,
    /// Who should have answered.
    pub from: Backend,
    /// Why the other was asked.
    pub why: Why,
    /// What became of it.
    pub result: RescueResult,
    /// It is evidence: a genuine webhook.
    pub counts: bool,
}

/// Why a webhook was rescued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// Its backend failed.
    Failed,
    /// Its backend took longer than `rescue_after`.
    Late,
    /// Its backend was not asked: its breaker is open, it has enough to do, or an
    /// emergency stop lets nobody through.
    Kept,
    /// Everything went to legacy while it waited.
    Flip,
}

impl Why {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Failed, Self::Late, Self::Kept, Self::Flip];

    /// The word for it in explanations and recordings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Late => "late",
            Self::Kept => "kept",
            Self::Flip => "flip",
        }
    }
}

/// What became of a rescue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RescueResult {
    /// Legacy answered.
    Served,
    /// The caller was sent to legacy's `entry`.
    Moved,
    /// Legacy failed too, and the backend that was late answered after all.
    Late,
    /// Nobody answered: the caller got the last resort.
    LastResort,
    /// Nobody answered, and there was nothing else to say.
    Failed,
    /// Nobody was asked: an emergency stop lets nobody through, and the caller got the
    /// last resort at once.
    Stopped,
}

impl RescueResult {
    /// Every result, for metrics that exist from the start.
    pub const ALL: [Self; 6] = [
        Self::Served,
        Self::Moved,
        Self::Late,
        Self::LastResort,
        Self::Failed,
        Self::Stopped,
    ];

    /// The word for it in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Moved => "moved",
            Self::Late => "late",
            Self::LastResort => "last-resort",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
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
    /// It failed by the application's doing, however it ended: the platform says so,
    /// or a caller waited for an answer that did not come or was not sound.
    pub failed: bool,
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
    /// The caller was handed over to somebody else, as the application wanted.
    Transferred,
    /// The platform reported a failed call, and it was the application's doing.
    Failed,
    /// It failed by the doing of the platform or its carriers.
    ProviderFailed,
    /// Over, but the protocol cannot tell who hung up.
    Unknown,
    /// No end was ever seen; given up after four idle hours.
    Expired,
    /// It was taken from this backend because that failed; it ends elsewhere.
    Rescued,
}

impl CallEnd {
    /// Every end, for metrics that exist from the start.
    pub const ALL: [Self; 9] = [
        Self::Served,
        Self::Abandoned,
        Self::Short,
        Self::Transferred,
        Self::Failed,
        Self::ProviderFailed,
        Self::Unknown,
        Self::Expired,
        Self::Rescued,
    ];

    /// The word for it in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Abandoned => "abandoned",
            Self::Short => "short",
            Self::Transferred => "transferred",
            Self::Failed => "failed",
            Self::ProviderFailed => "failed-provider",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Rescued => "rescued",
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
