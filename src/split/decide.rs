//! The questions a placement asks, in their order, written once: requests take
//! the answer, `switchback explain` takes the whole conversation.

use super::{Because, Bucket, By, Placement, Split, Subject, Tenant, Token};
use crate::model::Backend;

/// Why a call would go where it would go, for `switchback explain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Where, and because.
    pub placement: Placement,
    /// Where the id fell, if it came to hashing; told also when a list decided.
    pub bucket: Option<Bucket>,
    /// The questions asked, in order; the last one decided.
    pub steps: Vec<Step>,
}

/// One question and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was asked.
    pub asked: Asked,
    /// The answer.
    pub yes: bool,
}

/// What a placement asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Is a reversal or a total rollback in force?
    Latched,
    /// Is the split switched on?
    Enabled,
    /// Is there a tenant directory that does not list the key?
    Unlisted,
    /// Is the tenant in `disabled_tenants`?
    OnDisabledList,
    /// Is the tenant in `enabled_tenants`?
    OnEnabledList,
    /// Does the webhook tell what `by` wants to hash?
    HasId,
    /// Is the bucket below the percentage?
    BelowPercentage,
    /// Does an emergency stop let nobody through?
    Stopped,
}

impl Asked {
    /// The question in words, without a question mark.
    pub const fn question(self) -> &'static str {
        match self {
            Self::Latched => "a reversal or total rollback is in force",
            Self::Enabled => "the split is enabled",
            Self::Unlisted => "the tenant directory does not list the key",
            Self::OnDisabledList => "the tenant is in disabled_tenants",
            Self::OnEnabledList => "the tenant is in enabled_tenants",
            Self::HasId => "the webhook names what is hashed",
            Self::BelowPercentage => "the bucket is below the percentage",
            Self::Stopped => "an emergency stop lets nobody through",
        }
    }
}

impl Split {
    /// Where a new call goes. A function of the snapshot and the subject alone;
    /// allocates nothing.
    pub fn place(&self, subject: &Subject<'_>) -> Placement {
        self.decide(subject, |_| ())
    }

    /// The same decision with every question asked on the way, for a call that begins
    /// now: while an emergency stop lets nobody through, that is what decides.
    pub fn explain(&self, subject: &Subject<'_>) -> Explanation {
        let mut steps = Vec::new();
        let mut placement = self.decide(subject, |step| steps.push(step));
        if self.stopped {
            placement = Placement::legacy(Because::Stopped);
            steps.push(Step {
                asked: Asked::Stopped,
                yes: true,
            });
        }
        Explanation {
            placement,
            bucket: self.id(subject).map(|id| self.scheme.hash.bucket(id)),
            steps,
        }
    }

    /// Where a call that nobody remembers goes on, whose URL carries this token: where it
    /// was. While latched it stays on new only if it is known to have begun before
    /// the latch; else it is a new call.
    pub fn follow(&self, token: Token) -> Placement {
        let before = self.latched_since.is_some_and(|since| token.began < since);
        if self.latched && token.backend == Backend::New && !before {
            return Placement::legacy(Because::Latched);
        }
        Placement {
            backend: token.backend,
            because: Because::Token,
        }
    }

    fn decide(&self, subject: &Subject<'_>, mut note: impl FnMut(Step)) -> Placement {
        let mut ask = |asked, yes| {
            note(Step { asked, yes });
            yes
        };
        if ask(Asked::Latched, self.latched) {
            return Placement::legacy(Because::Latched);
        }
        if !ask(Asked::Enabled, self.enabled) {
            return Placement::legacy(Because::Off);
        }
        if ask(Asked::Unlisted, subject.tenant == Tenant::Unlisted) {
            return Placement::legacy(Because::Unlisted);
        }
        if let Tenant::Known(tenant) = subject.tenant {
            if ask(
                Asked::OnDisabledList,
                self.disabled_tenants.contains(tenant),
            ) {
                return Placement::legacy(Because::Disabled);
            }
            if ask(Asked::OnEnabledList, self.enabled_tenants.contains(tenant)) {
                return Placement {
                    backend: Backend::New,
                    because: Because::Enabled,
                };
            }
        }
        let id = self.id(subject);
        ask(Asked::HasId, id.is_some());
        let Some(id) = id else {
            return Placement::legacy(Because::Unplaced);
        };
        let below = self.scheme.hash.bucket(id).is_below(self.percentage);
        Placement {
            backend: if ask(Asked::BelowPercentage, below) {
                Backend::New
            } else {
                Backend::Legacy
            },
            because: Because::Hashed,
        }
    }

    /// What is hashed, if the webhook tells.
    fn id<'a>(&self, subject: &Subject<'a>) -> Option<&'a str> {
        match (self.scheme.by, subject.tenant) {
            (By::Tenant, Tenant::Known(tenant)) => Some(tenant),
            (By::Tenant, Tenant::Unlisted | Tenant::Missing) => None,
            (By::Call, _) => subject.call,
            (By::Caller, _) => subject.caller,
        }
    }
}

impl Placement {
    /// A placement on legacy.
    pub const fn legacy(because: Because) -> Self {
        Self {
            backend: Backend::Legacy,
            because,
        }
    }
}

impl Because {
    /// Every reason, for metrics that exist from the start, in the order of the enum. The
    /// order is part of the format of saved pins: new ones go last.
    pub const ALL: [Self; 17] = [
        Self::Pinned,
        Self::Inherited,
        Self::Claimed,
        Self::Latched,
        Self::Off,
        Self::Disabled,
        Self::Enabled,
        Self::Hashed,
        Self::Unlisted,
        Self::Unplaced,
        Self::Late,
        Self::Orphan,
        Self::Unrecognized,
        Self::Token,
        Self::Rescued,
        Self::Moved,
        Self::Stopped,
    ];

    /// The word for it in metrics, API and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pinned => "pinned",
            Self::Inherited => "inherited",
            Self::Claimed => "claimed",
            Self::Token => "token",
            Self::Latched => "latched",
            Self::Off => "off",
            Self::Disabled => "disabled",
            Self::Enabled => "enabled",
            Self::Hashed => "hashed",
            Self::Unlisted => "unlisted",
            Self::Unplaced => "unplaced",
            Self::Late => "late",
            Self::Orphan => "orphan",
            Self::Unrecognized => "unrecognized",
            Self::Rescued => "rescued",
            Self::Moved => "moved",
            Self::Stopped => "stopped",
        }
    }
}

#[cfg(test)]
mod tests;
