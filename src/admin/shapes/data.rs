//! Level 4 as the API tells it.

use serde::{Deserialize, Serialize};

/// The backups there are: `GET /api/v1/backups`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backups {
    /// As the operator's own command lists them.
    pub backups: Vec<Backup>,
}

/// One backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// What to name it by.
    pub id: String,
    /// What the command says of it.
    pub about: String,
}

/// A restore that runs, or the last one: `GET /api/v1/restore`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Restore {
    /// The backup's id.
    pub backup: String,
    /// Who ordered it.
    pub actor: String,
    /// It is not over.
    pub running: bool,
    /// Did it work? None while it runs.
    pub ok: Option<bool>,
    /// Why it failed; words that follow "the restore".
    pub failed: Option<String>,
    /// How long it has taken so far, or took.
    pub seconds: u64,
    /// What it said last; numbers are masked.
    pub last_line: String,
    /// The file in the state directory that has its output.
    pub log: Option<String>,
}
