//! What came of an order or a reload, as the API tells it.

use serde::{Deserialize, Serialize};

use crate::desk;
use crate::engine;

/// What came of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Done {
    /// What changed, in one sentence.
    pub said: String,
    /// Is it on disk?
    pub durable: bool,
    /// Generation of the routing in force after it.
    pub generation: u64,
}

impl From<engine::Done> for Done {
    fn from(done: engine::Done) -> Self {
        Self {
            said: done.said,
            durable: done.durable,
            generation: done.generation,
        }
    }
}

/// What a reload changed, or would change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reloaded {
    /// Nothing was changed: this is what would be.
    pub dry_run: bool,
    /// What changed.
    pub changed: Vec<String>,
    /// What the present state does not allow.
    pub refused: Vec<String>,
    /// A dry run of what is refused without `force`.
    pub needs_force: bool,
    /// How many draw another backend by another `by`, `hash` or `salt`, in words.
    pub redrawn: Option<String>,
    /// What changed in the file but needs a restart.
    pub needs_restart: Vec<String>,
    /// Tenants whose next call goes to another backend.
    pub tenants_moved: Option<u64>,
    /// Up to twenty of them, masked where a name is a number.
    pub tenants: Vec<String>,
    /// Live calls that would be placed elsewhere if they began now.
    pub live_calls_moved: Option<u64>,
    /// What changes under calls that run.
    pub touched: Vec<String>,
}

impl Reloaded {
    /// What the engine said, with whether it was only asked.
    pub fn new(reloaded: desk::Reloaded, dry_run: bool) -> Self {
        Self {
            dry_run,
            changed: reloaded.changed,
            refused: reloaded.refused,
            needs_force: reloaded.needs_force,
            redrawn: reloaded.redrawn,
            needs_restart: reloaded.needs_restart,
            tenants_moved: reloaded.tenants_moved,
            tenants: reloaded.tenants,
            live_calls_moved: reloaded.live_calls_moved,
            touched: reloaded.touched,
        }
    }
}
