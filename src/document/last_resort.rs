//! What a caller hears when nobody could answer.

/// A route's last resort.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastResort {}
