//! Who may be rescued, and how.

/// Which webhooks of a route may be answered by legacy when new fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// None.
    Off,
    /// Those a call begins with: a first fetch, an assistant-request.
    #[default]
    Start,
    /// All of them.
    Every,
}
