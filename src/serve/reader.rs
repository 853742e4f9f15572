//! A thread that reads the configuration, so that the engine does not.
//!
//! A tenant directory of 300,000 lines takes the better part of a second to read
//! and check, and for so long nobody would judge.

use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};

use tokio::sync::{mpsc, oneshot};

use crate::config::{self, Loaded};
use crate::desk::{Reload, Reloaded};

/// Readings that wait for the one before; more are refused.
const WAITING: usize = 8;

/// Where the answer to a reload goes.
pub(super) type Reply = oneshot::Sender<Result<Reloaded, String>>;

/// What was read, for whom.
pub(super) struct Reading {
    /// Why it was read.
    pub(super) wish: Reload,
    /// Who waits for the answer; None after a signal.
    pub(super) reply: Option<Reply>,
    /// The configuration, or the report on it.
    pub(super) loaded: Result<Loaded, String>,
}

/// The way to the thread.
pub(super) struct Reader {
    wishes: SyncSender<(Reload, Option<Reply>)>,
}

impl Reader {
    /// Starts the thread; what it reads comes out of the receiver, in the order
    /// asked for.
    pub(super) fn start(path: PathBuf) -> std::io::Result<(Self, mpsc::Receiver<Reading>)> {
        let (wishes, asked) = sync_channel::<(Reload, Option<Reply>)>(WAITING);
        let (done, readings) = mpsc::channel(1);
        std::thread::Builder::new()
            .name("reader".to_owned())
            .spawn(move || {
                while let Ok((wish, reply)) = asked.recv() {
                    let loaded = config::load(&path).map_err(|report| report.lines().join("\n"));
                    let reading = Reading {
                        wish,
                        reply,
                        loaded,
                    };
                    if done.blocking_send(reading).is_err() {
                        return;
                    }
                }
            })?;
        Ok((Self { wishes }, readings))
    }

    /// Asks for a reading. False: too many wait, and whoever asked hears nothing
    /// but that.
    pub(super) fn read(&self, wish: Reload, reply: Option<Reply>) -> bool {
        let Err(refused) = self.wishes.try_send((wish, reply)) else {
            return true;
        };
        let (std::sync::mpsc::TrySendError::Full((_, reply))
        | std::sync::mpsc::TrySendError::Disconnected((_, reply))) = refused;
        if let Some(reply) = reply {
            let why = "too many reloads wait for the one before; nothing was changed, try again";
            // One who no longer waits need not know.
            drop(reply.send(Err(why.to_owned())));
        }
        false
    }
}
