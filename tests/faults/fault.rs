//! What a backend can do to a webhook.

use crate::lab::{SLOW_LEGACY, SLOW_NEW};

/// What new does to the webhook in question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// Nothing: the neighbour that must not be rescued.
    Sound,
    /// No connection: nobody listens.
    Refuses,
    /// It takes connections and closes them.
    AcceptsAndCloses,
    /// It resets the connection after it read the request.
    Resets,
    ClosesInHead,
    ClosesInBody,
    /// It never answers.
    Hangs,
    /// Sound, but after `rescue_after`; before `timeout`.
    SlowFirstByte,
    /// The head at once, the body after `rescue_after`; before `timeout`.
    SlowBody,
    /// A byte of its body now and then, for ever.
    Trickles,
    /// An error page.
    Status500,
    Status503,
    Status404,
    /// Telnyx takes no other success than 200.
    Status204,
    /// Telnyx follows no redirect.
    Status302,
    /// An error page that says that all is well.
    Html,
    /// Half a document.
    Truncated,
    Empty,
    /// Over 64 KiB.
    TooLong,
    /// A sound document under a wrong name: the providers look into it, and so do we.
    WrongType,
    /// Not HTTP at all.
    Banner,
    EndlessHead,
    /// A `Content-Length` longer than what comes, then the end.
    LengthTooLong,
    /// A `Content-Length` that cuts the document short.
    LengthTooShort,
    ChunkedGarbage,
    /// Vapi: a 200 with nothing in it.
    EmptyObject,
    /// Vapi: a 200 that is no JSON.
    InvalidJson,
    /// Vapi: the result of a tool call that nobody made.
    WrongToolId,
}

use Fault::*;

impl Fault {
    pub(crate) const ALL: [Self; 28] = [
        Sound,
        Refuses,
        AcceptsAndCloses,
        Resets,
        ClosesInHead,
        ClosesInBody,
        Hangs,
        SlowFirstByte,
        SlowBody,
        Trickles,
        Status500,
        Status503,
        Status404,
        Status204,
        Status302,
        Html,
        Truncated,
        Empty,
        TooLong,
        WrongType,
        Banner,
        EndlessHead,
        LengthTooLong,
        LengthTooShort,
        ChunkedGarbage,
        EmptyObject,
        InvalidJson,
        WrongToolId,
    ];

    /// What a webhook's query asks of new.
    pub(crate) const fn manner(self) -> Manner {
        match self {
            // The whole backend does that, not one answer of it.
            Sound | Refuses | AcceptsAndCloses => Manner::Sound,
            Resets => Manner::Resets,
            ClosesInHead => Manner::ClosesInHead,
            ClosesInBody => Manner::ClosesInBody,
            Hangs => Manner::Hangs,
            SlowFirstByte => Manner::SlowFirstByte(SLOW_NEW),
            SlowBody => Manner::SlowBody(SLOW_NEW),
            Trickles => Manner::Trickles,
            Status500 => Manner::Page(500),
            Status503 => Manner::Page(503),
            Status404 => Manner::Page(404),
            Status204 => Manner::Page(204),
            Status302 => Manner::Page(302),
            Html => Manner::Page(200),
            Truncated => Manner::Truncated,
            Empty => Manner::Empty,
            TooLong => Manner::TooLong,
            WrongType => Manner::WrongType,
            Banner => Manner::Banner,
            EndlessHead => Manner::EndlessHead,
            LengthTooLong => Manner::LengthTooLong,
            LengthTooShort => Manner::LengthTooShort,
            ChunkedGarbage => Manner::ChunkedGarbage,
            EmptyObject => Manner::EmptyObject,
            InvalidJson => Manner::InvalidJson,
            WrongToolId => Manner::WrongToolId,
        }
    }

    /// Whether it is the whole backend that fails, not one answer.
    pub(crate) const fn is_whole(self) -> bool {
        matches!(self, Refuses | AcceptsAndCloses)
    }
}

/// How legacy is when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Legacy {
    Well,
    /// Slow, and still inside the deadline.
    Slow,
    Fails,
    Refuses,
    Hangs,
    /// A 200 with a document that no provider runs.
    Broken,
}

impl Legacy {
    pub(crate) const ALL: [Self; 6] = [
        Self::Well,
        Self::Slow,
        Self::Fails,
        Self::Refuses,
        Self::Hangs,
        Self::Broken,
    ];

    /// What a webhook's query asks of legacy.
    pub(crate) const fn manner(self) -> Manner {
        match self {
            Self::Well | Self::Refuses => Manner::Sound,
            Self::Slow => Manner::SlowFirstByte(SLOW_LEGACY),
            Self::Fails => Manner::Page(500),
            Self::Hangs => Manner::Hangs,
            // A flaw that no fault of new shows: what legacy often shows is held
            // against nobody.
            Self::Broken => Manner::Strange,
        }
    }
}

/// What one webhook asks of one backend, in its query: `?new=hangs&legacy=page-500`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Sound,
    Resets,
    ClosesInHead,
    ClosesInBody,
    Hangs,
    /// Sound, after so many milliseconds.
    SlowFirstByte(u64),
    SlowBody(u64),
    Trickles,
    /// An HTML page with this status.
    Page(u16),
    Truncated,
    Empty,
    TooLong,
    WrongType,
    Banner,
    EndlessHead,
    LengthTooLong,
    LengthTooShort,
    ChunkedGarbage,
    EmptyObject,
    InvalidJson,
    WrongToolId,
    /// A 200 with what is well formed and no answer to what was asked.
    Strange,
}

const WORDS: [(&str, Manner); 19] = [
    ("sound", Manner::Sound),
    ("resets", Manner::Resets),
    ("closes-in-head", Manner::ClosesInHead),
    ("closes-in-body", Manner::ClosesInBody),
    ("hangs", Manner::Hangs),
    ("trickles", Manner::Trickles),
    ("truncated", Manner::Truncated),
    ("empty", Manner::Empty),
    ("too-long", Manner::TooLong),
    ("wrong-type", Manner::WrongType),
    ("banner", Manner::Banner),
    ("endless-head", Manner::EndlessHead),
    ("length-too-long", Manner::LengthTooLong),
    ("length-too-short", Manner::LengthTooShort),
    ("chunked-garbage", Manner::ChunkedGarbage),
    ("empty-object", Manner::EmptyObject),
    ("invalid-json", Manner::InvalidJson),
    ("wrong-tool-id", Manner::WrongToolId),
    ("strange", Manner::Strange),
];

impl Manner {
    pub(crate) fn word(self) -> String {
        match self {
            Self::SlowFirstByte(millis) => format!("slow-{millis}"),
            Self::SlowBody(millis) => format!("slow-body-{millis}"),
            Self::Page(status) => format!("page-{status}"),
            plain => (WORDS.iter())
                .find(|(_, manner)| *manner == plain)
                .map(|(word, _)| (*word).to_owned())
                .expect("every other manner has a word"),
        }
    }

    /// From a query; without a word it is sound.
    pub(crate) fn read(word: &str) -> Self {
        let number = |prefix| word.strip_prefix(prefix)?.parse::<u64>().ok();
        if let Some(millis) = number("slow-body-") {
            return Self::SlowBody(millis);
        }
        if let Some(millis) = number("slow-") {
            return Self::SlowFirstByte(millis);
        }
        if let Some(status) = number("page-") {
            return Self::Page(u16::try_from(status).expect("a status is short"));
        }
        let known = WORDS.iter().find(|(known, _)| *known == word);
        known.map_or(Self::Sound, |(_, manner)| *manner)
    }
}
