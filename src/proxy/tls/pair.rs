//! A certificate with its chain, and the private key that belongs to it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use x509_parser::extensions::GeneralName;
use xxhash_rust::xxh3::xxh3_64;

use super::{Part, Refused, provider};

/// Largest file of certificates or keys, in bytes; a larger one is the wrong file.
const LARGEST: u64 = 1 << 20;

/// Where a certificate and its key stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// PEM: the certificate, then those that vouch for it.
    pub cert: PathBuf,
    /// PEM: its private key, without a passphrase.
    pub key: PathBuf,
}

/// What is to be known of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Where it was read from.
    pub path: PathBuf,
    /// The host names it is for, in lower case; `*.` for any one label.
    pub names: Vec<String>,
    /// Good from then on, in seconds since 1970.
    pub not_before: i64,
    /// Good until then, in seconds since 1970.
    pub not_after: i64,
}

/// A pair that fits, ready to be used.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) told: Certificate,
}

/// The files of a pair as they are now.
pub(super) struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    /// Reads both.
    ///
    /// # Errors
    ///
    /// One is not there, or too large to be what it should be.
    pub(super) fn read(&self) -> Result<Contents, Refused> {
        Ok(Contents {
            cert: read(&self.cert, Part::Cert)?,
            key: read(&self.key, Part::Key)?,
        })
    }

    /// Makes a pair of what was read.
    ///
    /// # Errors
    ///
    /// There is no certificate or no key in it, or the two do not belong together.
    pub(super) fn pair(&self, contents: &Contents) -> Result<Pair, Refused> {
        let chain = certificates(&contents.cert, &self.cert, Part::Cert)?;
        let key = self.private_key(&contents.key)?;
        let leaf = chain.first().map(AsRef::as_ref).unwrap_or_default();
        let told = self.tell(leaf)?;
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                let why = format!(
                    "names {}, which is not the key of the first certificate in {}",
                    self.key.display(),
                    self.cert.display()
                );
                let help = "give the two files that were issued together; the server's own \
                            certificate stands first, those that vouch for it behind it";
                Refused::new(Part::Key, why, help)
            }
            Error::InvalidCertificate(_) => self.unreadable(),
            _ => {
                let why = format!(
                    "names {}, a key of a kind that cannot be used",
                    self.key.display()
                );
                let help = "use RSA of 2048 bits or more, ECDSA (P-256, P-384, P-521) or Ed25519";
                Refused::new(Part::Key, why, help)
            }
        })?;
        Ok(Pair {
            key: Arc::new(key),
            told,
        })
    }

    /// Says nothing of what stands in the file: the parser's own errors may quote it.
    fn private_key(&self, pem: &[u8]) -> Result<PrivateKeyDer<'static>, Refused> {
        PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
            let file = self.key.display();
            let locked = memchr::memmem::find(pem, b"ENCRYPTED").is_some();
            let (why, help) = if locked {
                (
                    format!("names {file}, whose key is locked with a passphrase"),
                    "store it unlocked, readable by this service alone: openssl pkey -in KEY -out \
                     UNLOCKED",
                )
            } else {
                (
                    format!("names {file}, which holds no private key"),
                    "it is a PEM file with a BEGIN PRIVATE KEY block",
                )
            };
            Refused::new(Part::Key, why, help)
        })
    }

    fn tell(&self, leaf: &[u8]) -> Result<Certificate, Refused> {
        let (_, parsed) =
            x509_parser::parse_x509_certificate(leaf).map_err(|_| self.unreadable())?;
        let validity = parsed.validity();
        let names = match parsed.subject_alternative_name() {
            Ok(Some(names)) => names.value.general_names.as_slice(),
            Ok(None) => &[],
            Err(_) => return Err(self.unreadable()),
        };
        let names = names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.trim_end_matches('.').to_ascii_lowercase()),
            _ => None,
        });
        Ok(Certificate {
            path: self.cert.clone(),
            names: names.collect(),
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
        })
    }

    fn unreadable(&self) -> Refused {
        let why = format!(
            "names {}, whose first certificate cannot be read",
            self.cert.display()
        );
        Refused::new(
            Part::Cert,
            why,
            "look at it with: openssl x509 -text -in CERT",
        )
    }
}

impl Contents {
    /// Tells whether the files are the same as before.
    pub(super) fn print(&self) -> u64 {
        fold(xxh3_64(&self.cert), &self.key)
    }
}

/// One print of several things, in order.
pub(super) fn fold(print: u64, next: &[u8]) -> u64 {
    print.rotate_left(17) ^ xxh3_64(next)
}

/// Reads a file of a size that it may have.
pub(super) fn read(path: &Path, part: Part) -> Result<Vec<u8>, Refused> {
    let mut bytes = Vec::new();
    let file = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    let path = path.display();
    if let Err(error) = file {
        let why = format!("names {path}, which cannot be read ({error})");
        let help = "it is looked for beside the configuration, and read as this service's user";
        return Err(Refused::new(part, why, help));
    }
    if bytes.len() as u64 > LARGEST {
        let why = format!("names {path}, which is larger than 1 MiB");
        return Err(Refused::new(part, why, "name the PEM file itself"));
    }
    Ok(bytes)
}

/// Every certificate of a PEM file; at least one.
pub(super) fn certificates(
    pem: &[u8],
    path: &Path,
    part: Part,
) -> Result<Vec<CertificateDer<'static>>, Refused> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let path = path.display();
    let why = match found {
        Ok(found) if !found.is_empty() => return Ok(found),
        Ok(_) => format!("names {path}, which holds no certificate"),
        Err(_) => format!("names {path}, which is damaged: a block does not end as it should"),
    };
    let help = "it is a PEM file with BEGIN CERTIFICATE blocks";
    Err(Refused::new(part, why, help))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn made(names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let cert = CertificateParams::new(names).unwrap();
        let cert = cert.self_signed(&key).unwrap();
        (cert.pem(), key.serialize_pem())
    }

    #[test]
    fn a_pair_is_taken_with_its_names_and_refused_with_a_reason() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = made(&["Voice.example.com", "*.example.org"]);
        let (_, other) = made(&["voice.example.com"]);
        let locked = key.replace("PRIVATE", "ENCRYPTED PRIVATE");
        let cut = cert.replace("-----END CERTIFICATE-----", "");
        for (cert, key, blamed) in [
            (cert.as_str(), key.as_str(), None),
            (&cert, &other, Some((Part::Key, "not the key of the first"))),
            (
                &cert,
                &locked,
                Some((Part::Key, "locked with a passphrase")),
            ),
            (&cert, "", Some((Part::Key, "holds no private key"))),
            (&key, &key, Some((Part::Cert, "holds no certificate"))),
            (&cut, &key, Some((Part::Cert, "damaged"))),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                &key,
                Some((Part::Cert, "cannot be read")),
            ),
        ] {
            let files = Files {
                cert: dir.path().join("cert.pem"),
                key: dir.path().join("key.pem"),
            };
            fs::write(&files.cert, cert).unwrap();
            fs::write(&files.key, key).unwrap();
            let pair = files.read().and_then(|contents| files.pair(&contents));
            match (pair, blamed) {
                (Ok(pair), None) => {
                    assert_eq!(pair.told.names, ["voice.example.com", "*.example.org"]);
                    assert!(pair.told.not_before < pair.told.not_after);
                }
                (Err(refused), Some((part, why))) => {
                    assert_eq!(refused.part, part);
                    let said = refused.to_string();
                    assert!(said.contains(why), "{said}");
                    let secret = key.lines().nth(1).unwrap_or("no key");
                    assert!(!said.contains(secret), "the key is shown");
                }
                (pair, blamed) => panic!("{pair:?} {blamed:?}"),
            }
        }
    }

    #[test]
    fn a_file_that_is_not_there_or_too_large_is_blamed() {
        let dir = tempfile::tempdir().unwrap();
        let big = dir.path().join("big");
        fs::write(&big, vec![b'x'; (1 << 20) + 1]).unwrap();
        for (path, why) in [
            (dir.path().join("none"), "cannot be read"),
            (big, "larger than 1 MiB"),
        ] {
            let refused = read(&path, Part::CaFile).unwrap_err();
            assert!(refused.to_string().contains(why), "{refused}");
        }
    }
}
