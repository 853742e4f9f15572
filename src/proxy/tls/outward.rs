//! What a backend is asked by: whom it must be vouched for by, the name it must bear,
//! and the certificate that it is shown.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore};

use super::pair::{self, Contents, Pair};
use super::{Certificate, Files, Part, Refused, provider};

/// How TLS is spoken to one backend, as it is now.
pub struct Outward {
    name: ServerName<'static>,
    /// Tells names apart, as the print of the files does files.
    name_print: u64,
    ca_file: Option<PathBuf>,
    shown: Option<Files>,
    ready: ArcSwap<Ready>,
}

#[derive(Debug)]
struct Ready {
    config: Arc<ClientConfig>,
    certificate: Option<Certificate>,
    print: u64,
}

/// The files as they are now.
struct Read {
    ca: Option<Vec<u8>>,
    shown: Option<Contents>,
}

impl Outward {
    /// Reads and checks the files. `name` is what the backend's certificate must bear
    /// and what it is asked by; without `ca_file` the system's authorities vouch for it.
    ///
    /// # Errors
    ///
    /// The name can be in no certificate, or a file is not what it should be.
    pub fn open(
        name: &str,
        ca_file: Option<PathBuf>,
        shown: Option<Files>,
    ) -> Result<Self, Refused> {
        let server = ServerName::try_from(name.to_owned()).map_err(|_| {
            let why = format!("{name} is no name that a certificate can bear");
            Refused::new(Part::ServerName, why, "give a host name or an IP address")
        })?;
        let read = Read::now(ca_file.as_ref(), shown.as_ref())?;
        let ready = ArcSwap::from_pointee(read.build(ca_file.as_ref(), shown.as_ref())?);
        Ok(Self {
            name: server,
            name_print: pair::fold(0, name.as_bytes()),
            ca_file,
            shown,
            ready,
        })
    }

    /// What a handshake that begins now obeys, and its print.
    pub(in crate::proxy) fn config(&self) -> (Arc<ClientConfig>, u64) {
        let ready = self.ready.load();
        (ready.config.clone(), ready.print ^ self.name_print)
    }

    /// Differs after the files have changed, and for another name: connections opened
    /// before are another's.
    pub(in crate::proxy) fn print(&self) -> u64 {
        self.ready.load().print ^ self.name_print
    }

    /// The name that the backend's certificate must bear.
    pub(in crate::proxy) fn name(&self) -> ServerName<'static> {
        self.name.clone()
    }

    /// The certificate that the backend is shown, if it is shown one.
    pub fn certificate(&self) -> Option<Certificate> {
        self.ready.load().certificate.clone()
    }

    /// What it obeys, in a few words.
    pub fn told(&self) -> String {
        let by = match &self.ca_file {
            Some(file) => file.display().to_string(),
            None => "the system's authorities".to_owned(),
        };
        let name = self.name.to_str();
        match &self.shown {
            Some(files) => format!("{name} by {by}, shown {}", files.cert.display()),
            None => format!("{name} by {by}"),
        }
    }

    /// Looks at the files again. True: they had changed, and connections opened from
    /// now on obey them. The system's authorities are read at a reload only.
    ///
    /// # Errors
    ///
    /// They have changed into something that cannot be used; what was there still is.
    pub fn renew(&self) -> Result<bool, Refused> {
        let (ca_file, shown) = (self.ca_file.as_ref(), self.shown.as_ref());
        let read = Read::now(ca_file, shown)?;
        if read.print() == self.ready.load().print {
            return Ok(false);
        }
        let ready = read.build(ca_file, shown)?;
        self.ready.store(Arc::new(ready));
        Ok(true)
    }
}

impl Read {
    fn now(ca_file: Option<&PathBuf>, shown: Option<&Files>) -> Result<Self, Refused> {
        let ca = ca_file.map(|path| pair::read(path, Part::CaFile));
        Ok(Self {
            ca: ca.transpose()?,
            shown: shown.map(Files::read).transpose()?,
        })
    }

    fn print(&self) -> u64 {
        let print = pair::fold(0, self.ca.as_deref().unwrap_or_default());
        let shown = self.shown.as_ref().map_or(0, Contents::print);
        pair::fold(print, &shown.to_le_bytes())
    }

    fn build(&self, ca_file: Option<&PathBuf>, shown: Option<&Files>) -> Result<Ready, Refused> {
        let roots = match (&self.ca, ca_file) {
            (Some(pem), Some(path)) => named(pem, path)?,
            _ => native()?,
        };
        let pair = match (&self.shown, shown) {
            (Some(contents), Some(files)) => Some(files.pair(contents)?),
            _ => None,
        };
        let own = |error: rustls::Error| {
            let why = format!("cannot be used ({error})");
            Refused::new(Part::CaFile, why, "please report it")
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(own)?
            .with_root_certificates(roots);
        let mut config = match &pair {
            Some(pair) => builder.with_client_cert_resolver(presenting(pair)),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Ready {
            config: Arc::new(config),
            certificate: pair.map(|pair| pair.told),
            print: self.print(),
        })
    }
}

/// The same name and files, with the same contents.
impl PartialEq for Outward {
    fn eq(&self, other: &Self) -> bool {
        let same_files = self.ca_file == other.ca_file && self.shown == other.shown;
        same_files && self.name == other.name && self.print() == other.print()
    }
}

impl Eq for Outward {}

impl fmt::Debug for Outward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outward")
            .field("name", &self.name)
            .field("ca_file", &self.ca_file)
            .field("shown", &self.shown)
            .finish_non_exhaustive()
    }
}

fn presenting(pair: &Pair) -> Arc<dyn ResolvesClientCert> {
    Arc::new(SingleCertAndKey::from(pair.key.clone()))
}

/// The authorities of a file.
fn named(pem: &[u8], path: &Path) -> Result<RootCertStore, Refused> {
    let mut roots = RootCertStore::empty();
    for certificate in pair::certificates(pem, path, Part::CaFile)? {
        roots.add(certificate).map_err(|_| {
            let why = format!(
                "names {}, in which a certificate cannot be read",
                path.display()
            );
            let help = "it holds the certificates of the authorities, in PEM";
            Refused::new(Part::CaFile, why, help)
        })?;
    }
    Ok(roots)
}

/// Those that the system trusts. Some of them may be unreadable: that is the system's
/// own affair as long as there are others.
fn native() -> Result<RootCertStore, Refused> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = "is not given, and this system trusts no authority";
        let help = "install the system's certificates (ca-certificates), or name the backend's \
                    own authority";
        return Err(Refused::new(Part::CaFile, why, help));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn authority() -> String {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(Vec::new()).unwrap();
        cert.self_signed(&key).unwrap().pem()
    }

    #[test]
    fn a_changed_authority_is_taken_and_a_bad_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join("ca.pem");
        fs::write(&ca, authority()).unwrap();
        let outward = Outward::open("ivr.example.com", Some(ca.clone()), None).unwrap();
        let before = outward.print();
        let other = Outward::open("else.example.com", Some(ca.clone()), None).unwrap();
        assert_ne!(other.print(), before, "another name is another backend");
        assert_eq!(outward.renew(), Ok(false));
        fs::write(&ca, "nothing").unwrap();
        assert_eq!(outward.renew().unwrap_err().part, Part::CaFile);
        assert_eq!(outward.print(), before);
        fs::write(&ca, authority()).unwrap();
        assert_eq!(outward.renew(), Ok(true));
        assert_ne!(outward.print(), before, "what was open is another's");
    }

    #[test]
    fn a_name_that_no_certificate_can_bear_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join("ca.pem");
        fs::write(&ca, authority()).unwrap();
        for (name, good) in [
            ("ivr.example.com", true),
            ("10.1.2.3", true),
            ("::1", true),
            ("a b", false),
            ("", false),
        ] {
            let opened = Outward::open(name, Some(ca.clone()), None);
            assert_eq!(opened.is_ok(), good, "{name}");
        }
    }
}
