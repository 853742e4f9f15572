//! What lies outside and moves with the rollout: commands and addresses that are told of
//! its moments, and the commands that bring data back.

mod data;
mod kept;
mod program;
mod runner;
mod tell;

use std::fmt;
use std::time::Duration;

use crate::rollout::Moment;

pub use data::Restore;
pub use runner::{Answer, Hooks};

/// Everything outside that is told, asked or run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// At most [`HOOKS_MAX`], in file order.
    pub hooks: Vec<Hook>,
    /// How data is brought back, if it can be.
    pub data: Option<Data>,
}

/// Most hooks of a configuration.
pub const HOOKS_MAX: usize = 64;

/// Something outside that is told or asked at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// When.
    pub on: Moment,
    /// Only at this stage; None: at every one.
    pub stage: Option<String>,
    /// How.
    pub call: Call,
    /// When it has failed.
    pub timeout: Duration,
}

/// How something outside is told. It prints without what may be a secret: a program's
/// arguments, the path and query of an address.
#[derive(Clone, PartialEq, Eq)]
pub enum Call {
    /// By running a program: its path or name, then its arguments. No shell reads it.
    Command(Vec<String>),
    /// By a POST of JSON.
    Post {
        /// To this address, `http` or `https`.
        url: String,
    },
}

/// How data that new has harmed is brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// Prints the backups there are, one a line: its id, a space, whatever.
    pub list: Vec<String>,
    /// Restores one of them; `{backup}` stands for its id.
    pub restore: Vec<String>,
    /// When the restore has failed.
    pub timeout: Duration,
}

impl Settings {
    /// The moments at which something outside is told or asked: what the engine must
    /// know of all this.
    pub fn moments(&self) -> Vec<Moment> {
        let is_used = |moment: &Moment| self.hooks.iter().any(|hook| hook.on == *moment);
        Moment::ALL.into_iter().filter(is_used).collect()
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(words) => f.write_str(words.first().map_or("nothing", String::as_str)),
            Self::Post { url } => match crate::post::Address::new(url) {
                Ok(address) => address.fmt(f),
                Err(_) => f.write_str("an address that is none"),
            },
        }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({self})")
    }
}

#[cfg(test)]
mod tests;
