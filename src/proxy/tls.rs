//! TLS at both edges: what providers are shown, and what backends are asked by.
//!
//! Files become settings here, and nowhere else: read, matched and built whole before
//! anything is swapped, so that a bad file is a sentence for an operator and never a
//! handshake that fails. What was built is swapped in one step, and connections that
//! are open keep what they began with. No private key is ever printed.

mod greet;
mod inward;
mod outward;
mod pair;

pub(super) use greet::greet;
pub use inward::Inward;
pub use outward::Outward;
pub use pair::{Certificate, Files};

use std::fmt;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// The library that encrypts. The process's own, if one was installed.
pub fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default()
        .cloned()
        .unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()))
}

/// Which setting is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The file of certificates.
    Cert,
    /// The file of the private key.
    Key,
    /// The file of the authorities.
    CaFile,
    /// The name that a certificate has to bear.
    ServerName,
}

impl Part {
    /// Its key in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cert => "cert",
            Self::Key => "key",
            Self::CaFile => "ca_file",
            Self::ServerName => "server_name",
        }
    }
}

/// Files that cannot be served or asked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Which of several pairs, from 0.
    pub index: usize,
    /// Which of its files.
    pub part: Part,
    /// What is wrong, to be read behind the name of the setting.
    pub why: String,
    /// What to do about it.
    pub help: String,
}

impl Refused {
    fn new(part: Part, why: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            index: 0,
            part,
            why: why.into(),
            help: help.into(),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}: {}", self.part.name(), self.why, self.help)
    }
}

impl std::error::Error for Refused {}
