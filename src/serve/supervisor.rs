//! What systemd is told, where it wants to hear it (`Type=notify-reload`): that we
//! are up, read the configuration again, drain, and still turn.
//!
//! A word of it is one datagram, sent without waiting: if the supervisor does not
//! listen, no call waits for it.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt as _;
#[cfg(target_os = "linux")]
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;

use crate::engine::Status;
use crate::model::Tick;

/// The supervisor, if there is one.
#[derive(Debug)]
pub(super) struct Supervisor {
    /// Where it listens.
    socket: Option<OsString>,
    /// It kills us if it hears nothing for this long.
    patience: Option<Duration>,
    /// When it was last told that we turn.
    told: Tick,
    /// The last status line it was told.
    status: RefCell<String>,
}

impl Supervisor {
    /// The one the environment names.
    pub(super) fn from_env() -> Self {
        let text = |name| std::env::var(name).ok();
        Self::new(
            std::env::var_os("NOTIFY_SOCKET"),
            patience(text("WATCHDOG_USEC"), text("WATCHDOG_PID")),
        )
    }

    /// Nobody.
    pub(super) fn none() -> Self {
        Self::new(None, None)
    }

    fn new(socket: Option<OsString>, patience: Option<Duration>) -> Self {
        Self {
            socket: socket.filter(|socket| !socket.is_empty()),
            patience,
            told: Tick::default(),
            status: RefCell::default(),
        }
    }

    /// Everything is open and in force.
    pub(super) fn ready(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// A reload begins. [`Supervisor::ready`] ends it, however it went.
    pub(super) fn reloading(&self) {
        // systemd wants the kernel's own monotonic clock with it.
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            self.tell(&[NotifyState::Reloading, now]);
        }
    }

    /// The drain begins.
    pub(super) fn stopping(&self) {
        let line = "Draining: running requests and open websockets finish.";
        self.tell(&[NotifyState::Stopping, NotifyState::Status(line)]);
        self.status.replace(line.to_owned());
    }

    /// What an operator sees in `systemctl status`, if it has changed.
    pub(super) fn status(&self, status: &Status) {
        if self.socket.is_none() {
            return;
        }
        let (phase, percentage) = (status.phase.name(), status.percentage);
        let latched = if status.latched { ", latched" } else { "" };
        let line = format!("{phase}, {percentage} on new{latched}");
        if *self.status.borrow() != line {
            self.tell(&[NotifyState::Status(&line)]);
            self.status.replace(line);
        }
    }

    /// Since when everything must have turned for it to be told so now; None: it
    /// does not watch, or need not be told yet. Twice in its time, as it recommends.
    pub(super) fn due(&self, now: Tick) -> Option<Tick> {
        let half = self.patience? / 2;
        (now.since(self.told) >= half).then(|| now - half)
    }

    /// We turn.
    pub(super) fn turning(&mut self, now: Tick) {
        self.told = now;
        self.tell(&[NotifyState::Watchdog]);
    }

    fn tell(&self, words: &[NotifyState<'_>]) {
        let Some(socket) = &self.socket else {
            return;
        };
        let lines: String = words.iter().map(|word| format!("{word}\n")).collect();
        if let Err(error) = send(socket, lines.as_bytes()) {
            tracing::debug!(%error, "The supervisor could not be told (NOTIFY_SOCKET).");
        }
    }
}

/// How long it waits for a sign of life, if it watches us: whom it watches may be left
/// out, and may be somebody else.
fn patience(micros: Option<String>, whom: Option<String>) -> Option<Duration> {
    let us = whom.is_none_or(|pid| pid.parse() == Ok(std::process::id()));
    let micros = micros?.parse().ok().filter(|micros| us && *micros > 0)?;
    Some(Duration::from_micros(micros))
}

fn send(socket: &OsString, lines: &[u8]) -> io::Result<()> {
    let own = UnixDatagram::unbound()?;
    own.set_nonblocking(true)?;
    own.send_to_addr(lines, &address(socket)?).map(drop)
}

/// A path, or on Linux a name without a file (`@name`).
fn address(socket: &OsString) -> io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    if let Some(name) = socket.as_bytes().strip_prefix(b"@") {
        return SocketAddr::from_abstract_name(name);
    }
    SocketAddr::from_pathname(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Tick {
        Tick::from_secs(secs)
    }

    /// A supervisor that listens, and what it hears next.
    fn listening() -> (tempfile::TempDir, Supervisor, impl Fn() -> Option<String>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let hears = move || {
            let mut buffer = [0; 512];
            let length = socket.recv(&mut buffer).ok()?;
            Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
        };
        let patience = Some(Duration::from_secs(30));
        (dir, Supervisor::new(Some(path.into()), patience), hears)
    }

    #[test]
    fn it_hears_each_turn_of_the_process_s_life() {
        let (_dir, mut supervisor, hears) = listening();
        supervisor.ready();
        assert_eq!(hears().unwrap(), "READY=1\n");
        supervisor.reloading();
        let reloading = hears().unwrap();
        let micros = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
        assert!(micros.unwrap().trim_end().parse::<u64>().unwrap() > 0);
        supervisor.turning(secs(5));
        assert_eq!(hears().unwrap(), "WATCHDOG=1\n");
        supervisor.stopping();
        assert!(hears().unwrap().starts_with("STOPPING=1\nSTATUS=Draining"));
        assert_eq!(hears(), None);
    }

    #[test]
    fn it_is_told_twice_in_its_time_and_not_more_often() {
        let (_dir, mut supervisor, _) = listening();
        assert_eq!(supervisor.due(secs(100)), Some(secs(85)), "never told");
        supervisor.turning(secs(100));
        assert_eq!(supervisor.due(secs(114)), None);
        assert_eq!(supervisor.due(secs(115)), Some(secs(100)));
    }

    #[test]
    fn it_watches_us_or_somebody_else() {
        let own = std::process::id().to_string();
        for (micros, whom, patience_s) in [
            (Some("30000000"), None, Some(30)),
            (Some("30000000"), Some(own.as_str()), Some(30)),
            (Some("30000000"), Some("1"), None),
            (Some("0"), None, None),
            (Some("soon"), None, None),
            (None, Some(own.as_str()), None),
        ] {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            let found = patience(owned(micros), owned(whom));
            assert_eq!(
                found,
                patience_s.map(Duration::from_secs),
                "{micros:?} {whom:?}"
            );
        }
    }

    #[test]
    fn nobody_need_not_be_told_anything() {
        let supervisor = Supervisor::none();
        supervisor.ready();
        assert_eq!(supervisor.due(secs(100)), None);
    }

    #[test]
    fn one_that_does_not_listen_keeps_nobody_waiting() {
        let (_dir, mut supervisor, hears) = listening();
        for _ in 0..10_000 {
            supervisor.turning(secs(5));
        }
        assert!(hears().is_some(), "as much as its queue holds");
        let gone = Supervisor::new(Some("/nowhere/notify".into()), None);
        gone.ready();
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_name_without_a_file_is_one_too() {
        let name = format!("switchback-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        Supervisor::new(Some(format!("@{name}").into()), None).ready();
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1\n");
    }
}
