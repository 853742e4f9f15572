//! Pins on disk, so that a call that was in progress when the process died comes
//! back to its backend.
//!
//! Records are written as calls change and are not synced: after `kill -9` the kernel still
//! has them, after a power cut the providers have hung up. The file `pins` is a
//! header and records of one size:
//!
//! ```text
//! header, 16 bytes   "swpins", 0, version 1 · u64 XXH3 of the table's seed
//! record, 48 bytes   u8 kind (1 call, 2 alias)
//!                    u8 the lower eight of calls::Flags (of an alias: 1 if it is the
//!                       leg its call began with)
//!                    u8 backend (0 legacy, 1 new) + 2 if the call is over
//!                       + 4 times the upper six of calls::Flags
//!                    u8 because (its place in Because::ALL)
//!                    u32 generation · u64 key · u64 tenant (of an alias: the call's key)
//!                    i64 began · i64 last seen or ended, milliseconds since 1970 UTC
//!                    u64 XXH3 of the forty bytes before
//! ```
//!
//! All numbers are little-endian. The last record of a key counts. A record cut short
//! at the end is cut off; one whose checksum is wrong is skipped and counted.

mod load;
mod record;
mod writer;

pub use load::{LoadError, Loaded, load};
pub(super) use record::Kept;
pub use record::{Epoch, PinRecord};
pub use writer::PinWriter;

/// The file's name in the state directory.
pub const FILE: &str = "pins";
