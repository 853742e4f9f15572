//! Where a new call goes: flags, lists, hash, bucket, backend, and because.
//!
//! A pure function of the snapshot and what the webhook said. The same tenant
//! under the same snapshot always lands on the same side, and raising the
//! percentage never takes a tenant back from new.

mod decide;
mod hash;
pub mod tenants;
pub mod token;

pub use decide::{Asked, Explanation, Step};
pub use hash::Bucket;
pub use token::Token;

use std::collections::HashSet;

use crate::model::{Backend, Percentage, Wall};

/// Everything that decides where a new call goes. Immutable; a change makes a
/// new one with a higher generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Rises by one with every change of placement; never falls.
    pub generation: u64,
    /// A reversal or a total rollback is in force: every new call to legacy,
    /// whatever the lists and the percentage say.
    pub latched: bool,
    /// When the latch in force was set, by the calendar. None where nobody knows: it
    /// was found set at a start, or in a journal that was damaged.
    pub latched_since: Option<Wall>,
    /// Calls that are on new while a new one of theirs would go to legacy are sent to
    /// legacy's entry at their next webhook; false leaves them where they are.
    pub moves_live: bool,
    /// An emergency stop that lets nothing through: whoever calls anew hears the last
    /// resort. Only while latched.
    pub stopped: bool,
    /// Off means legacy, before anything else is asked.
    pub enabled: bool,
    /// The share of buckets that go to new.
    pub percentage: Percentage,
    /// Tenants that go to new whatever their bucket.
    pub enabled_tenants: HashSet<Box<str>>,
    /// Tenants that go to legacy whatever else is said.
    pub disabled_tenants: HashSet<Box<str>>,
    /// What is hashed and how. Changing it moves callers.
    pub scheme: Scheme,
}

/// What becomes of calls that are on new when their next call would go to legacy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Live {
    /// They finish where they are.
    #[default]
    Drain,
    /// Their next voice webhook sends them to legacy's entry, once a call.
    Move,
}

impl Live {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Drain, Self::Move];

    /// The word for it in orders, rows and status.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Move => "move",
        }
    }

    /// What is called so.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|live| live.name() == name)
    }

    /// What a split that does, or does not, move live calls is called.
    pub const fn moving(moves: bool) -> Self {
        if moves { Self::Move } else { Self::Drain }
    }
}

/// What is hashed and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheme {
    /// Whose id is hashed.
    pub by: By,
    /// The hash function.
    pub hash: Hash,
}

impl Scheme {
    /// In words that two files share only if they draw alike: `tenant java31`, `call xxh3
    /// 3f2a9c11`. Of a salt its short hash, so that state tells it to nobody.
    pub fn told(&self) -> String {
        match &self.hash {
            Hash::Java31 => format!("{} java31", self.by.name()),
            Hash::Xxh3 { salt } => {
                let short = xxhash_rust::xxh3::xxh3_64(salt.as_bytes()) >> 32;
                format!("{} xxh3 {short:08x}", self.by.name())
            }
        }
    }
}

impl By {
    /// The word for it in configuration and state.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Call => "call",
            Self::Caller => "caller",
        }
    }
}

/// Whose id is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// All calls of a tenant go the same way.
    Tenant,
    /// Each call is drawn by itself.
    Call,
    /// All calls of one caller's number go the same way.
    Caller,
}

/// The hash function behind a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hash {
    /// The applications' own: 31·h + unit over UTF-16 units in wrapping signed
    /// 32-bit arithmetic, absolute value, modulo 100. Whole percentages only.
    Java31,
    /// XXH3 with a salt, modulo 10000: steps of 0.01 %.
    Xxh3 {
        /// A new salt draws new tenants.
        salt: String,
    },
}

/// Whose call it is, as far as the webhook and the tenant directory tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tenant<'a> {
    /// The directory, or the key itself where there is none, names this tenant.
    Known(&'a str),
    /// There is a directory and it does not list the key.
    Unlisted,
    /// The webhook carries none of the route's tenant keys.
    Missing,
}

/// What a placement is decided on.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Whose call.
    pub tenant: Tenant<'a>,
    /// The provider's call id, if the webhook names a call.
    pub call: Option<&'a str>,
    /// The caller's number in E.164, if the webhook tells.
    pub caller: Option<&'a str>,
}

/// A backend and the reason for it, kept for every placement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Where the request goes.
    pub backend: Backend,
    /// Why.
    pub because: Because,
}

/// Why a request went where it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Because {
    /// The call has its backend already.
    Pinned,
    /// A child leg follows its parent.
    Inherited,
    /// The backend started the call itself.
    Claimed,
    /// A reversal or total rollback is in force.
    Latched,
    /// The split is switched off.
    Off,
    /// The tenant is in `disabled_tenants`.
    Disabled,
    /// The tenant is in `enabled_tenants`.
    Enabled,
    /// The bucket decided.
    Hashed,
    /// The tenant directory does not list the key.
    Unlisted,
    /// The webhook names no tenant (or caller) to hash.
    Unplaced,
    /// A final or recording event of a call we do not know: no call is begun.
    Late,
    /// An unknown call whose first webhook carries results of earlier steps.
    Orphan,
    /// Not a webhook of a call at all, or of no route's protocol.
    Unrecognized,
    /// A signed token in the URL names the backend.
    Token,
    /// Legacy began it, because new failed it or was not asked.
    Rescued,
    /// It began on new and was sent to legacy's entry.
    Moved,
    /// An emergency stop lets nobody through: nobody was asked, and the caller heard the
    /// last resort.
    Stopped,
}
