//! A proxy under test: two backends, a file, a state directory and the process,
//! which can be signalled, killed and started again.

mod asked;
mod command;
mod file;

use std::fs::{self, File as Log};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use switchback::clock;
use tempfile::TempDir;

pub(crate) use self::asked::{FORM, form, value};
pub(crate) use self::command::{Said, command};
pub(crate) use self::file::{CRITICAL, File};
use super::backend::Backend;
use super::http::PATIENCE;

/// A tenant in bucket 1 of 100: on new from 2 % on.
pub(crate) const NEAR: &str = "+13125550109";
/// A tenant in bucket 99: on new at 100 % only.
pub(crate) const FAR: &str = "+13125550107";
/// The caller's number in every webhook.
pub(crate) const CALLER: &str = "+14155550142";

pub(crate) struct Lab {
    pub(crate) dir: TempDir,
    pub(crate) legacy: Backend,
    pub(crate) new: Backend,
    pub(crate) file: File,
    /// Said to the process besides.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// Said to `run` besides.
    pub(crate) arguments: Vec<&'static str>,
    /// Handed to the process as descriptors 3 and up; three at most.
    pub(crate) sockets: Vec<OwnedFd>,
    running: Option<Running>,
    calls: AtomicU64,
}

struct Running {
    process: Child,
    webhooks: SocketAddr,
    admin: SocketAddr,
}

impl Lab {
    /// Everything but the process.
    pub(crate) fn prepared(change: impl FnOnce(&mut File)) -> Self {
        let mut lab = Self {
            dir: TempDir::with_prefix("switchback-").expect("a directory for a test"),
            legacy: Backend::new("legacy"),
            new: Backend::new("new"),
            file: File::default(),
            environment: Vec::new(),
            arguments: Vec::new(),
            sockets: Vec::new(),
            running: None,
            calls: AtomicU64::new(0),
        };
        lab.rewrite(change);
        lab
    }

    /// Everything, and the file's percentage in force: toward new the record comes
    /// first, so the first milliseconds of a new state directory are legacy's.
    pub(crate) fn started(change: impl FnOnce(&mut File)) -> Self {
        let mut lab = Self::prepared(change);
        lab.start_at_file();
        lab
    }

    /// Starts the process and waits until the file's percentage is in force.
    pub(crate) fn start_at_file(&mut self) {
        self.start();
        self.until("the file's percentage is in force", || {
            self.status()["percentage"] == self.file.percentage
        });
    }

    /// Writes a file beside the configuration, a secret for example.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).expect("a file can be written");
    }

    /// Changes the file, and nothing else.
    pub(crate) fn rewrite(&mut self, change: impl FnOnce(&mut File)) {
        change(&mut self.file);
        let text = (self.file).text(&self.state(), self.legacy.address, self.new.address);
        fs::write(self.config(), text).expect("the file can be written");
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("switchback.toml")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Everything the processes of this lab wrote to stderr.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Starts the process and waits until it says where it listens.
    pub(crate) fn start(&mut self) {
        let before = self.log().len();
        let process = self.spawn();
        let mut process = Some(process);
        let mut found = None;
        until_or("the proxy is up", &mut || {
            let log = self.log();
            found = log.get(before..).and_then(addresses);
            let ended = process
                .as_mut()
                .and_then(|it| it.try_wait().expect("it is our child"));
            assert_eq!(ended, None, "the proxy ended:\n{log}");
            found.is_some()
        })
        .unwrap_or_else(|what| panic!("{what}:\n{}", self.log()));
        let (webhooks, admin) = found.expect("it is up");
        self.running = process.map(|process| Running {
            process,
            webhooks,
            admin,
        });
    }

    /// Starts a process on this lab's file without waiting for anything.
    pub(crate) fn spawn(&self) -> Child {
        let log = Log::options()
            .append(true)
            .create(true)
            .open(self.dir.path().join("log"))
            .expect("the log can be opened");
        let mut command = if self.sockets.is_empty() {
            let mut command = command();
            command.stdout(Stdio::null()).stderr(log);
            command
        } else {
            self.handing_over()
        };
        command
            .args(["run", "--config"])
            .arg(self.config())
            .args(&self.arguments)
            .current_dir(self.dir.path())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .spawn()
            .expect("the binary runs")
    }

    /// The binary with sockets as descriptors 3 and up, as a supervisor starts it. They go
    /// to a shell in the place of its streams, which it moves to where they belong.
    fn handing_over(&self) -> Command {
        const MOVED: &str = "exec 3<&0 4<&1 5<&2 </dev/null >/dev/null 2>>log; \
                             LISTEN_PID=$$; export LISTEN_PID; exec \"$0\" \"$@\"";
        let own = command();
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(MOVED).arg(own.get_program());
        for (name, _) in own.get_envs() {
            shell.env_remove(name);
        }
        let mut sockets = self.sockets.iter().map(|socket| {
            let socket = socket.try_clone().expect("a descriptor is free");
            Stdio::from(socket)
        });
        let mut next = || sockets.next().unwrap_or_else(Stdio::null);
        shell.stdin(next()).stdout(next()).stderr(next());
        shell
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("the proxy was started")
    }

    pub(crate) fn webhooks(&self) -> SocketAddr {
        self.running().webhooks
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        self.running().admin
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running().process.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.pid().to_string())
            .status();
        assert!(sent.expect("kill is there").success(), "signal {name}");
    }

    /// Has the file read again by signal, and waits until it was.
    pub(crate) fn hangup(&self) {
        let reloads = || {
            let log = self.log();
            log.matches("Configuration reloaded.").count()
                + log.matches("The configuration was not reloaded").count()
        };
        let before = reloads();
        self.signal("HUP");
        self.until("the file was read again", || reloads() > before);
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.process.kill().expect("it is our child");
            running.process.wait().expect("it is our child");
        }
    }

    /// Waits for the end that a signal brought about.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut running = self.running.take().expect("the proxy was started");
        let mut ended = None;
        self.until("the process has ended", || {
            ended = running.process.try_wait().expect("it is our child");
            ended.is_some()
        });
        ended.expect("it has ended")
    }

    /// TERM, and its end.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.ended()
    }

    /// Waits for a fact, as long as patience lasts.
    pub(crate) fn until(&self, what: &str, mut fact: impl FnMut() -> bool) {
        until_or(what, &mut fact).unwrap_or_else(|what| panic!("{what}:\n{}", self.log()));
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Where the proxy listens, from its own words.
fn addresses(log: &str) -> Option<(SocketAddr, SocketAddr)> {
    let up = log
        .lines()
        .find(|line| line.contains("Switchback is up."))?;
    let up: Value = serde_json::from_str(up).ok()?;
    let address = |name: &str| up[name].as_str()?.parse().ok();
    Some((address("webhooks")?, address("admin")?))
}

fn until_or(what: &str, fact: &mut dyn FnMut() -> bool) -> Result<(), String> {
    let deadline = clock::tick() + PATIENCE;
    while !fact() {
        if clock::tick() > deadline {
            return Err(format!("not within {PATIENCE:?}: {what}"));
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
