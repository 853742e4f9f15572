//! The binary as a command, and what it said.

use std::path::Path;
use std::process::{Command, Stdio};

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
