//! Logs to stderr: text for people, JSON for machines.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal as _;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

use super::lines::{Flush, Lines};
use crate::config::{Log, LogFormat};

/// Starts logging. `RUST_LOG` is obeyed; without it, `info`. What is returned waits,
/// when it is dropped, for the last lines.
pub(super) fn start(settings: &Log) -> anyhow::Result<Flush> {
    let (lines, flush) =
        Lines::start(std::io::stderr()).context("could not start the log's thread")?;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(lines)
        .with_target(false);
    let terminal = std::io::stderr().is_terminal();
    let json = match settings.format {
        LogFormat::Auto => !terminal,
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let colour = terminal && std::env::var_os("NO_COLOR").is_none();
    let started = if json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(colour).try_init()
    };
    started
        .map_err(|error| anyhow::anyhow!(error))
        .context("could not start logging")?;
    log_panics();
    Ok(flush)
}

/// Has a panic told in the log, with its place, as everything else is. What it says is
/// told only where it is a text of the program's own: a formatted one may hold what a
/// caller said.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(tracing::field::display);
        let what = panic.payload().downcast_ref::<&'static str>();
        let thread = std::thread::current();
        let thread = thread.name();
        // Only where RUST_BACKTRACE asks for it.
        let trace = Backtrace::capture();
        let trace = (trace.status() == BacktraceStatus::Captured).then(|| trace.to_string());
        tracing::error!(at, what, thread, trace, "A bug made a thread panic.");
    }));
}
