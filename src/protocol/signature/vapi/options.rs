//! What Vapi can be told about its codes, in its own words.

use std::fmt;

use aws_lc_rs::hmac;

/// What the codes are made with. What it prints is masked.
#[derive(Clone, PartialEq, Eq)]
pub struct HmacOptions {
    /// The secret, as set in Vapi.
    pub secret: String,
    /// The secret is base64 of the key's bytes (`secretIsBase64`).
    pub secret_is_base64: bool,
    /// The hash function; SHA-256 if not told.
    pub algorithm: HmacAlgorithm,
    /// How the code is written; hexadecimal if not told.
    pub encoding: Encoding,
    /// Where the code comes; `x-signature` if not told.
    pub signature_header: String,
    /// Where the time comes; `x-timestamp` if not told.
    pub timestamp_header: String,
    /// Where the message's id comes, if the code is made of it; `svix-id` if not told.
    pub message_id_header: String,
    /// What stands before the code, such as `v1,`; without it a code is rejected. If
    /// not told, the algorithm's name and `=` may stand there or not, since Vapi's own
    /// examples show both.
    pub prefix: Option<String>,
    /// The time is signed too; it is, if not told.
    pub include_timestamp: bool,
    /// What is signed; `{timestamp}.{body}` if not told, or `{body}` without a time.
    pub payload_format: Option<String>,
}

impl HmacOptions {
    /// The defaults of Vapi, with this secret.
    pub fn new(secret: &str) -> Self {
        Self {
            secret: secret.to_owned(),
            secret_is_base64: false,
            algorithm: HmacAlgorithm::Sha256,
            encoding: Encoding::Hex,
            signature_header: "x-signature".to_owned(),
            timestamp_header: "x-timestamp".to_owned(),
            message_id_header: "svix-id".to_owned(),
            prefix: None,
            include_timestamp: true,
            payload_format: None,
        }
    }
}

impl fmt::Debug for HmacOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HmacOptions")
            .field("secret", &format_args!("MASKED"))
            .field("algorithm", &self.algorithm)
            .field("signature_header", &self.signature_header)
            .field("payload_format", &self.payload_format)
            .finish_non_exhaustive()
    }
}

/// The hash function of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HmacAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
    /// SHA-1, which still serves in an HMAC.
    Sha1,
}

impl HmacAlgorithm {
    /// All of them, the usual one first.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha512, Self::Sha1];

    /// The word for it in configuration; Vapi's.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
            Self::Sha1 => "sha1",
        }
    }

    /// The algorithm of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    pub(in crate::protocol::signature) fn of_library(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        }
    }

    /// What may stand before a code when no prefix is told.
    pub(super) const fn usual_prefix(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256=",
            Self::Sha512 => "sha512=",
            Self::Sha1 => "sha1=",
        }
    }
}

/// How a code is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Hexadecimal, letters of either case.
    Hex,
    /// Base64, strictly.
    Base64,
}

impl Encoding {
    /// Both, the usual one first.
    pub const ALL: [Self; 2] = [Self::Hex, Self::Base64];

    /// The word for it in configuration; Vapi's.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hex => "hex",
            Self::Base64 => "base64",
        }
    }

    /// The encoding of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }
}
