//! Why an order was not carried out.

/// Why an order was not carried out. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Refusal {
    /// What kind of no.
    pub kind: RefusalKind,
    /// Why, and what to do instead.
    pub why: String,
}

/// What kind of no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The order makes no sense (400).
    Invalid,
    /// It does not fit the present state (409).
    Conflict,
    /// It cannot be made durable now (503).
    NotDurable,
    /// The engine is overloaded (503).
    Busy,
}

pub(super) const fn conflict(why: String) -> Refusal {
    Refusal {
        kind: RefusalKind::Conflict,
        why,
    }
}

pub(super) const fn invalid(why: String) -> Refusal {
    Refusal {
        kind: RefusalKind::Invalid,
        why,
    }
}
