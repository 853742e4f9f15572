//! A proxy under test: two backends, a file, a state directory and the process,
//! which can be signalled, killed and started again.

use std::fs::{self, File as Log};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use switchback::clock;
use tempfile::TempDir;

use super::backend::Backend;
use super::http::{self, Message, PATIENCE};

/// A tenant in bucket 1 of 100: on new from 2 % on.
pub(crate) const NEAR: &str = "+13125550109";
/// A tenant in bucket 99: on new at 100 % only.
pub(crate) const FAR: &str = "+13125550107";
/// The caller's number in every webhook.
pub(crate) const CALLER: &str = "+14155550142";

/// What the configuration file says; tests change single lines of it.
#[derive(Clone)]
pub(crate) struct File {
    /// More of `[listen]`, `[log]`, `[limits]`, whole sections.
    pub(crate) listen: &'static str,
    pub(crate) sections: String,
    pub(crate) on_empty: &'static str,
    pub(crate) protocol: &'static str,
    /// More of the route.
    pub(crate) route: &'static str,
    /// `by` and `hash`.
    pub(crate) scheme: &'static str,
    pub(crate) percentage: u32,
    /// More of `[split]`.
    pub(crate) split: &'static str,
    pub(crate) rules: &'static str,
    /// More of `[backend.new]`.
    pub(crate) own: &'static str,
    /// Where new is, if not at the lab's own backend.
    pub(crate) new: Option<SocketAddr>,
}

impl Default for File {
    fn default() -> Self {
        Self {
            listen: "",
            sections: String::new(),
            on_empty: "file",
            protocol: "telnyx-texml",
            route: "",
            scheme: "by = \"tenant\"\nhash = \"java31\"",
            percentage: 50,
            split: "",
            rules: CRITICAL,
            own: "",
            new: None,
        }
    }
}

/// The one row that no webhook can trip.
pub(crate) const CRITICAL: &str = "[[reversal]]\nname = \"critical\"\n\
    measure = \"critical_errors\"\nabove = 0\nover = \"1h\"\naction = \"reverse\"\n";

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
        let text = self.text();
        fs::write(self.config(), text).expect("the file can be written");
    }

    fn text(&self) -> String {
        let File {
            listen,
            sections,
            on_empty,
            protocol,
            route,
            scheme,
            percentage,
            split,
            rules,
            own,
            new,
        } = &self.file;
        let (dir, legacy) = (self.state(), self.legacy.address);
        let new = new.unwrap_or(self.new.address);
        // Rows are tested to the call; a breaker would keep some away.
        let breaker = match own.contains("breaker") || own.contains("health") {
            true => "",
            false => "breaker = \"off\"",
        };
        // What is tested here is who answers and who is blamed. That nobody hears of it
        // is tested in `tests/faults`.
        let rescue = match route.contains("rescue") {
            true => "",
            false => "rescue = \"off\"\nlast_resort = \"off\"",
        };
        format!(
            "[listen]\nwebhooks = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n{listen}\n\
             [state]\ndir = {dir:?}\non_empty = \"{on_empty}\"\n\
             [backend.legacy]\nurl = \"http://{legacy}\"\n\
             [backend.new]\nurl = \"http://{new}\"\n{breaker}\n{own}\n\
             [[route]]\npath = \"/ivr\"\nprotocol = \"{protocol}\"\ntenant = [\"to\"]\n{route}\n{rescue}\n\
             [split]\n{scheme}\npercentage = {percentage}\n{split}\n{sections}\n{rules}\n"
        )
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

    /// A call id that no other call has.
    pub(crate) fn fresh(&self) -> String {
        format!("call-{}", self.calls.fetch_add(1, Ordering::Relaxed))
    }

    /// One webhook of a call of `tenant`, as the provider posts it.
    pub(crate) fn webhook(&self, tenant: &str, target: &str, call: &str, rest: &str) -> Message {
        let form = form(tenant, call, rest);
        let answer = http::ask(self.webhooks(), "POST", target, &[FORM], &form);
        answer.unwrap_or_else(|error| panic!("{target}: {error}\n{}", self.log()))
    }

    /// The first webhook of a new call.
    pub(crate) fn begin(&self, tenant: &str, target: &str) -> Message {
        self.webhook(tenant, target, &self.fresh(), "&CallStatus=ringing")
    }

    /// So many new calls, one after the other.
    pub(crate) fn begin_many(&self, count: usize, tenant: &str, target: &str) {
        for _ in 0..count {
            self.begin(tenant, target);
        }
    }

    /// The provider tells that a call is over, and who hung up.
    pub(crate) fn finish(&self, tenant: &str, call: &str, who: &str) -> Message {
        let rest = format!(
            "&CallStatus=completed&CallbackSource=call-progress-events&HangupSource={who}\
             &CallDuration=45"
        );
        self.webhook(tenant, "/ivr/status", call, &rest)
    }

    pub(crate) fn get(&self, target: &str) -> Message {
        let answer = http::ask(self.admin(), "GET", target, &[], "");
        answer.unwrap_or_else(|error| panic!("{target}: {error}\n{}", self.log()))
    }

    pub(crate) fn status(&self) -> Value {
        self.get("/api/v1/status").json()
    }

    /// One row of the tables, as status shows it; null while there is none.
    pub(crate) fn rule(&self, name: &str) -> Value {
        let status = self.status();
        let rules = status["rules"].as_array().expect("status has rules");
        let found = rules.iter().find(|rule| rule["name"] == name);
        found.cloned().unwrap_or_default()
    }

    /// Waits until a row has seen so many samples, and gives it as it was then.
    pub(crate) fn rule_at(&self, name: &str, samples: u64) -> Value {
        let mut rule = Value::Null;
        let mut seen = || {
            rule = self.rule(name);
            rule["samples"] == samples
        };
        let waited = until_or(&format!("{name} has seen {samples}"), &mut seen);
        waited.unwrap_or_else(|what| panic!("{what}: {rule}\n{}", self.log()));
        rule
    }

    /// Waits until everything is latched to legacy.
    pub(crate) fn until_latched(&self) {
        self.until("it is latched", || self.status()["latched"] == true);
        // Toward legacy the record comes second: the status is a moment ahead of it.
        self.until("the journal has it", || {
            let journal = self.journal();
            journal
                .last()
                .is_some_and(|line| line["after"]["latched"] == true)
        });
    }

    /// Waits until the engine has looked once more than it had when asked.
    pub(crate) fn next_look(&self) {
        let at = self.status()["at"].clone();
        self.until("the engine looks", || self.status()["at"] != at);
        let at = self.status()["at"].clone();
        self.until("the engine looks again", || self.status()["at"] != at);
    }

    /// A metric's value by its whole series, labels in the order they are written.
    pub(crate) fn metric(&self, series: &str) -> Option<f64> {
        let text = self.get("/metrics");
        value(text.text(), series)
    }

    /// The journal's whole lines.
    pub(crate) fn journal(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.state().join("journal.jsonl"));
        let text = text.unwrap_or_default();
        text.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|line| serde_json::from_str(line).expect("a line is JSON"))
            .collect()
    }

    /// Waits for the journal's line on a reversal.
    pub(crate) fn reversal(&self) -> Value {
        let mut line = None;
        self.until("the reversal is on disk", || {
            line = self
                .journal()
                .into_iter()
                .find(|line| line["action"] == "reverse");
            line.is_some()
        });
        line.expect("it is there")
    }

    pub(crate) fn post(&self, target: &str, body: &Value) -> Message {
        let body = body.to_string();
        let json = ("content-type", "application/json");
        let answer = http::ask(self.admin(), "POST", target, &[json], &body);
        answer.unwrap_or_else(|error| panic!("{target}: {error}\n{}", self.log()))
    }

    /// Reports an event from outside.
    pub(crate) fn report(&self, kind: &str, more: &Value) -> Message {
        let mut body = json!({ "kind": kind, "message": "a test" });
        for (key, value) in more.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        self.post("/api/v1/events", &body)
    }

    /// Runs a command against this proxy.
    pub(crate) fn cli(&self, args: &[&str]) -> Said {
        let admin = format!("http://{}", self.admin());
        Said::of(command().args(args).env("SWITCHBACK_ADMIN", admin))
    }

    /// Runs a command that must go well.
    pub(crate) fn order(&self, args: &[&str]) -> Said {
        let said = self.cli(args);
        assert_eq!(said.code, 0, "{args:?}: {}{}", said.out, said.err);
        said
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

pub(crate) const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// A webhook's form.
pub(crate) fn form(tenant: &str, call: &str, rest: &str) -> String {
    let escaped = |text: &str| text.replace('+', "%2B").replace(':', "%3A");
    let (call, from, to) = (escaped(call), escaped(CALLER), escaped(tenant));
    format!("CallSid={call}&From={from}&To={to}{rest}")
}

/// What a command said and how it ended.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().expect("the binary runs");
        let text = |bytes| String::from_utf8(bytes).expect("it writes text");
        Self {
            code: output.status.code().expect("no signal ended it"),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

/// The binary, with nothing of this process's environment that it would obey.
pub(crate) fn command() -> Command {
    let named = std::env::var_os("SWITCHBACK_BIN");
    let path = named.unwrap_or_else(|| env!("CARGO_BIN_EXE_switchback").into());
    let mut command = Command::new(Path::new(&path));
    for name in [
        "SWITCHBACK_ADMIN",
        "SWITCHBACK_TOKEN",
        "RUST_LOG",
        "USER",
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "LISTEN_FDS",
    ] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// A series' value in the text that `/metrics` shows.
pub(crate) fn value(text: &str, series: &str) -> Option<f64> {
    let mut lines = text.lines();
    let rest = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    Some(rest.parse().expect("a metric's value is a number"))
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
