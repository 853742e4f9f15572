//! Why a command failed, and the exit code that says so.

use std::io::{self, Write};

/// Why a command failed, in words for whoever typed it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It could not be done.
    #[error("{0}")]
    Failed(String),
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// No Switchback answers at the admin address.
    #[error("{0}")]
    Unreachable(String),
    /// It needs a token, or another one.
    #[error("{0}")]
    NotPermitted(String),
    /// The configuration is wrong. The text is a whole report with carets.
    #[error("{0}")]
    Configuration(String),
    /// Stdout is closed or full.
    #[error("could not write the output: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// The exit code, after `sysexits.h` where that has a word for it.
    pub fn code(&self) -> u8 {
        match self {
            // The reader of a pipe had enough: nobody failed.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Failed(_) | Self::Output(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 69,
            Self::NotPermitted(_) => 77,
            Self::Configuration(_) => 78,
        }
    }

    /// Says it on stderr.
    pub(super) fn print(&self) {
        match self {
            _ if self.code() == 0 => {}
            // It has its own headings.
            Self::Configuration(report) => note(report.trim_end()),
            _ => {
                let red = anstyle::AnsiColor::Red.on_default().bold();
                note(&format!("{red}error{red:#}: {self}"));
            }
        }
    }
}

/// One message on stderr. If stderr is closed there is nobody to tell.
pub(super) fn note(message: &str) {
    drop(writeln!(anstream::stderr(), "{message}"));
}
