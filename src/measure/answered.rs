//! How a webhook went: what a request tells of its answer, and the words for how one
//! fails and whose fault that is.

use crate::document::Flaw;
use crate::model::{Backend, CallKey, TenantKey, Tick};

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
    /// The caller's choice from the first menu of the call: one of
    /// [`MENU_KEYS`](super::MENU_KEYS).
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

impl Outcome {
    /// The word for it in metrics: `served` or the cause's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Failed(cause) => cause.name(),
        }
    }
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
