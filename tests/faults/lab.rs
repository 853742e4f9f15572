//! A proxy under test: two backends, a file, a state directory and the process.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use switchback::clock;
use switchback::model::CallKey;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::backend::Backend;
use crate::http::{Message, PATIENCE, Request};

/// When legacy is asked as well, in milliseconds.
pub(crate) const RESCUE_AFTER: u64 = 500;
/// When a backend has failed.
pub(crate) const TIMEOUT: u64 = 2000;
/// New's slow answers: between the two, with room for a busy machine.
pub(crate) const SLOW_NEW: u64 = 1200;
/// Legacy's slow answers: they are there before new's, though asked for later.
pub(crate) const SLOW_LEGACY: u64 = 200;

/// What the file says beyond the two backends and where to listen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Text {
    pub(crate) legacy: &'static str,
    pub(crate) new: &'static str,
    pub(crate) routes: String,
    /// Whole sections.
    pub(crate) sections: &'static str,
}

pub(crate) struct Lab {
    dir: TempDir,
    pub(crate) legacy: Backend,
    pub(crate) new: Backend,
    process: Child,
    pub(crate) webhooks: SocketAddr,
    admin: SocketAddr,
}

/// One line of the access log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Line {
    pub(crate) route: String,
    pub(crate) kind: String,
    pub(crate) backend: String,
    pub(crate) outcome: String,
    pub(crate) call: String,
}

impl Lab {
    /// The proxy with everything on new.
    pub(crate) async fn started(text: &Text) -> Self {
        let dir = TempDir::with_prefix("switchback-").expect("a directory for a test");
        let (legacy, new) = (Backend::new("legacy"), Backend::new("new"));
        let file = format!(
            "[listen]\nwebhooks = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n\
             [state]\ndir = \"state\"\non_empty = \"file\"\n\
             [log]\naccess = \"access.jsonl\"\n\
             [backend.legacy]\nurl = \"http://{}\"\n{}\n\
             [backend.new]\nurl = \"http://{}\"\n{}\n{}\n\
             [split]\nby = \"tenant\"\nhash = \"java31\"\npercentage = 100\n{}\n\
             [[reversal]]\nname = \"critical\"\nmeasure = \"critical_errors\"\nabove = 0\n\
             over = \"1h\"\naction = \"reverse\"\n",
            legacy.address, text.legacy, new.address, text.new, text.routes, text.sections
        );
        fs::write(dir.path().join("switchback.toml"), file).expect("the file can be written");
        let log = File::create(dir.path().join("log")).expect("the log can be made");
        let process = command()
            .args(["run", "--config", "switchback.toml"])
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the binary runs");
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut lab = Self {
            dir,
            legacy,
            new,
            process,
            webhooks: nowhere,
            admin: nowhere,
        };
        lab.wait_until_up().await;
        lab
    }

    async fn wait_until_up(&mut self) {
        let deadline = clock::tick() + PATIENCE;
        while clock::tick() < deadline {
            if let Some((webhooks, admin)) = addresses(&self.log()) {
                (self.webhooks, self.admin) = (webhooks, admin);
                break;
            }
            let ended = self.process.try_wait().expect("it is our child");
            assert_eq!(ended, None, "the proxy ended:\n{}", self.log());
            sleep(Duration::from_millis(10)).await;
        }
        self.until("the file's percentage is in force", async || {
            self.status().await["percentage"] == 100
        })
        .await;
    }

    /// Everything the process wrote to stderr.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Sends a webhook and takes the answer.
    pub(crate) async fn ask(&self, request: &Request) -> Message {
        let answer = request.ask(self.webhooks).await;
        answer.unwrap_or_else(|error| panic!("{}: {error}\n{}", request.target, self.log()))
    }

    async fn get(&self, target: &str) -> Message {
        let answer = Request::get(target).ask(self.admin).await;
        answer.unwrap_or_else(|error| panic!("{target}: {error}\n{}", self.log()))
    }

    /// Gives an order to the admin interface; it must be obeyed.
    pub(crate) async fn order(&self, target: &str, body: &Value) {
        let answer = Request::json(target, body).ask(self.admin).await;
        let answer = answer.unwrap_or_else(|error| panic!("{target}: {error}\n{}", self.log()));
        assert_eq!(answer.status(), 200, "{target} {body}: {}", answer.text());
    }

    pub(crate) async fn status(&self) -> Value {
        self.get("/api/v1/status").await.json()
    }

    /// Everything that a scraper is shown.
    pub(crate) async fn metrics(&self) -> String {
        self.get("/metrics").await.text()
    }

    /// A metric's value by its whole series, labels in the order they are written.
    pub(crate) async fn metric(&self, series: &str) -> Option<f64> {
        let text = self.metrics().await;
        let rest = (text.lines()).find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        rest.parse().ok()
    }

    /// The access log's whole lines, as far as it is written.
    pub(crate) fn access(&self) -> Vec<Line> {
        let text = fs::read_to_string(self.dir.path().join("access.jsonl")).unwrap_or_default();
        let whole = text.split_inclusive('\n').filter(|it| it.ends_with('\n'));
        whole
            .map(|line| {
                let line: Value = serde_json::from_str(line).expect("a line is JSON");
                let word = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
                Line {
                    route: word("route"),
                    kind: word("kind"),
                    backend: word("backend"),
                    outcome: word("outcome"),
                    call: word("call"),
                }
            })
            .collect()
    }

    /// What the access log calls a call.
    pub(crate) fn key(&self, call: &str) -> String {
        let seed = fs::read_to_string(self.dir.path().join("state/seed"));
        let seed = seed.expect("the state directory has a seed");
        let seed = u64::from_str_radix(seed.trim(), 16).expect("a seed is hexadecimal");
        format!("{:016x}", CallKey::new(call, seed).0)
    }

    /// Waits for a fact, as long as patience lasts.
    pub(crate) async fn until(&self, what: &str, mut fact: impl AsyncFnMut() -> bool) {
        let deadline = clock::tick() + PATIENCE;
        while !fact().await {
            assert!(
                clock::tick() < deadline,
                "not within {PATIENCE:?}: {what}\n{}",
                self.log()
            );
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Runs one test's story on a thread of its own.
pub(crate) fn story(told: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be built")
        .block_on(told);
}

fn command() -> Command {
    let named = std::env::var_os("SWITCHBACK_BIN");
    let path: PathBuf =
        named.map_or_else(|| env!("CARGO_BIN_EXE_switchback").into(), PathBuf::from);
    let mut command = Command::new(Path::new(&path));
    for name in ["SWITCHBACK_ADMIN", "SWITCHBACK_TOKEN", "RUST_LOG", "USER"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Where the proxy listens, from its own words.
fn addresses(log: &str) -> Option<(SocketAddr, SocketAddr)> {
    let up = (log.lines()).find(|line| line.contains("Switchback is up."))?;
    let up: Value = serde_json::from_str(up).ok()?;
    let address = |name: &str| up[name].as_str()?.parse().ok();
    Some((address("webhooks")?, address("admin")?))
}
