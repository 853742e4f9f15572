//! The signals a running process obeys.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caught {
    /// HUP: read the configuration again.
    Hangup,
    /// USR1: open the log files anew.
    Reopen,
    /// TERM or INT: drain; a second one stops.
    Terminate,
}

/// The signals obeyed; none in the demo, which lives in somebody's terminal.
pub(super) struct Signals(Option<[Signal; 4]>);

impl Signals {
    /// Begins to listen, if they are to be obeyed.
    pub(super) fn new(obey: bool) -> anyhow::Result<Self> {
        if !obey {
            return Ok(Self(None));
        }
        let open = |kind| signal(kind).context("could not listen for signals");
        Ok(Self(Some([
            open(SignalKind::hangup())?,
            open(SignalKind::user_defined1())?,
            open(SignalKind::terminate())?,
            open(SignalKind::interrupt())?,
        ])))
    }

    /// The next one; never, if none is obeyed.
    pub(super) async fn next(&mut self) -> Caught {
        let Some([hangup, reopen, terminate, interrupt]) = &mut self.0 else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = hangup.recv() => Caught::Hangup,
            _ = reopen.recv() => Caught::Reopen,
            _ = terminate.recv() => Caught::Terminate,
            _ = interrupt.recv() => Caught::Terminate,
        }
    }
}
