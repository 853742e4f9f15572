//! Running an operator's program: no shell, a small environment, an end in time for it
//! and for all that it started.

use std::cell::RefCell;
use std::env;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures_util::future::join;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

/// What a program inherits of our environment; everything else may be a secret.
const INHERITED: [&str; 3] = ["PATH", "HOME", "LANG"];

/// How long a program whose time is over has to end by itself, after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);

/// Between two looks whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// How long is waited for its last words once it has ended. What it left running in the
/// background may hold its output open for ever.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A program about to run.
#[derive(Debug)]
pub(super) struct Program<'a> {
    /// Its path or name, then its arguments.
    pub(super) argv: &'a [String],
    /// What it finds in its environment besides what it inherits.
    pub(super) told: Vec<(&'static str, String)>,
    /// When it has failed.
    pub(super) within: Duration,
}

/// Where a program said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pipe {
    /// On stdout.
    Out,
    /// On stderr.
    Err,
}

/// Who hears what a program says, as it says it.
pub(super) type Hear<'a> = dyn FnMut(Pipe, &[u8]) + 'a;

impl Program<'_> {
    /// Runs it to its end; `hear` gets what it says as it says it. Dropped before, the
    /// program and whatever it started are killed.
    ///
    /// # Errors
    ///
    /// It could not be started, did not end in time or ended badly; words that follow
    /// its name.
    pub(super) async fn run(&self, hear: &mut Hear<'_>) -> Result<(), String> {
        let mut child = self.start()?;
        let mut group = Group::of(&child);
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let hear = RefCell::new(hear);
        let mut talk = pin!(join(
            listen(out, Pipe::Out, &hear),
            listen(err, Pipe::Err, &hear)
        ));
        let mut late = pin!(tokio::time::sleep(self.within));
        let mut is_quiet = false;
        let status = loop {
            tokio::select! {
                status = child.wait() => break Some(status),
                _ = &mut talk, if !is_quiet => is_quiet = true,
                () = &mut late => break None,
            }
        };
        let Some(status) = status else {
            group.end(&mut child).await;
            let limit = self.within.as_secs_f64();
            return Err(format!("did not end within {limit} s and was ended"));
        };
        group.is_over();
        if !is_quiet {
            // Whether there was more to hear is no matter.
            drop(tokio::time::timeout(LAST_WORDS, talk).await);
        }
        judge(status)
    }

    fn start(&self) -> Result<Child, String> {
        let (name, arguments) = self.argv.split_first().ok_or("names no program")?;
        let mut command = Command::new(name);
        command.args(arguments).env_clear();
        for name in INHERITED {
            command.envs(env::var_os(name).map(|value| (name, value)));
        }
        command
            .envs(self.told.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("could not be started: {error}"))
    }
}

async fn listen(from: Option<impl AsyncRead + Unpin>, pipe: Pipe, hear: &RefCell<&mut Hear<'_>>) {
    let Some(mut from) = from else { return };
    let mut piece = [0; 4096];
    while let Ok(got @ 1..) = from.read(&mut piece).await {
        (hear.borrow_mut())(pipe, piece.get(..got).unwrap_or_default());
    }
}

fn judge(status: std::io::Result<ExitStatus>) -> Result<(), String> {
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("ended with {status}")),
        Err(error) => Err(format!("could not be waited for: {error}")),
    }
}

/// The program and whatever it started, as far as that has not left its group.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    /// It has ended and was waited for: its number may be another's from now on.
    const fn is_over(&mut self) {
        self.0 = None;
    }

    /// Ends it, politely first. Its number stays its own until it was waited for, so no
    /// signal finds another.
    async fn end(&mut self, child: &mut Child) {
        self.signal(Signal::TERM);
        let mut waited = Duration::ZERO;
        while waited < GRACE && !self.has_ended() {
            tokio::time::sleep(LOOK).await;
            waited += LOOK;
        }
        // Also for what it started and left behind.
        self.signal(Signal::KILL);
        // Nobody survives that.
        drop(child.wait().await);
        self.is_over();
    }

    /// Has the program ended, and nobody waited for it yet?
    fn has_ended(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let ended = |pid| !matches!(waitid(WaitId::Pid(pid), look), Ok(None));
        self.0.is_none_or(ended)
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0
            && let Err(error) = kill_process_group(group, signal)
        {
            tracing::debug!(%error, "A program's group was gone already.");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
