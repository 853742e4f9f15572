//! Logs to stderr: text for people, JSON for machines.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Starts logging. `RUST_LOG` is obeyed; without it, `info`.
pub(super) fn start(settings: &Log) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
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
        .context("could not start logging")
}
