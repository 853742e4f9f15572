//! What providers are shown: a certificate for the name they ask by.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::pair::{Contents, Pair};
use super::{Certificate, Files, Part, Refused, provider};

/// What the public edge speaks, as it is now.
pub struct Inward {
    files: Vec<Files>,
    http2: bool,
    ready: ArcSwap<Ready>,
}

#[derive(Debug)]
struct Ready {
    config: Arc<ServerConfig>,
    certificates: Vec<Certificate>,
    print: u64,
}

impl Inward {
    /// Reads and checks every pair; the first is shown to whoever asks by no name that
    /// is known. With `http2` clients may choose it.
    ///
    /// # Errors
    ///
    /// What is wrong with each pair that cannot be served.
    pub fn open(files: Vec<Files>, http2: bool) -> Result<Self, Vec<Refused>> {
        let contents = read(&files)?;
        let ready = ArcSwap::from_pointee(build(&files, &contents, http2)?);
        Ok(Self {
            files,
            http2,
            ready,
        })
    }

    /// What a handshake that begins now obeys.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.ready.load().config.clone()
    }

    /// May clients choose HTTP/2?
    pub const fn http2(&self) -> bool {
        self.http2
    }

    /// The certificates that are shown, in the order of the file.
    pub fn certificates(&self) -> Vec<Certificate> {
        self.ready.load().certificates.clone()
    }

    /// Looks at the files again. True: they had changed, and handshakes from now on
    /// obey them.
    ///
    /// # Errors
    ///
    /// They have changed into something that cannot be served. What was there before
    /// still is.
    pub fn renew(&self) -> Result<bool, Vec<Refused>> {
        let contents = read(&self.files)?;
        if print(&contents) == self.ready.load().print {
            return Ok(false);
        }
        let ready = build(&self.files, &contents, self.http2)?;
        self.ready.store(Arc::new(ready));
        Ok(true)
    }
}

/// The same files with the same contents.
impl PartialEq for Inward {
    fn eq(&self, other: &Self) -> bool {
        let same_files = self.files == other.files && self.http2 == other.http2;
        same_files && self.ready.load().print == other.ready.load().print
    }
}

impl fmt::Debug for Inward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inward")
            .field("files", &self.files)
            .field("http2", &self.http2)
            .finish_non_exhaustive()
    }
}

/// Does something for every pair, and gathers what is wrong with any.
fn each<T>(
    files: &[Files],
    act: impl Fn(usize, &Files) -> Result<T, Refused>,
) -> Result<Vec<T>, Vec<Refused>> {
    let (mut done, mut refused) = (Vec::new(), Vec::new());
    for (index, files) in files.iter().enumerate() {
        match act(index, files) {
            Ok(one) => done.push(one),
            Err(why) => refused.push(Refused { index, ..why }),
        }
    }
    if refused.is_empty() {
        Ok(done)
    } else {
        Err(refused)
    }
}

fn read(files: &[Files]) -> Result<Vec<Contents>, Vec<Refused>> {
    each(files, |_, files| files.read())
}

fn print(contents: &[Contents]) -> u64 {
    contents.iter().fold(0, |print, contents| {
        super::pair::fold(print, &contents.print().to_le_bytes())
    })
}

fn build(files: &[Files], contents: &[Contents], http2: bool) -> Result<Ready, Vec<Refused>> {
    let pairs = each(files, |index, files| match contents.get(index) {
        Some(contents) => files.pair(contents),
        None => files.pair(&files.read()?),
    })?;
    let certificates = pairs.iter().map(|pair| pair.told.clone()).collect();
    let own = |error: rustls::Error| {
        let why = format!("cannot be served ({error})");
        vec![Refused::new(Part::Cert, why, "please report it")]
    };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(own)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Shown::new(&pairs)));
    config.alpn_protocols = if http2 {
        vec![b"h2".to_vec(), b"http/1.1".to_vec()]
    } else {
        vec![b"http/1.1".to_vec()]
    };
    // Sessions are remembered by the client, so that no table of ours fills with them
    // and no lock stands between the workers.
    config.ticketer = Ticketer::new().map_err(own)?;
    Ok(Ready {
        config: Arc::new(config),
        certificates,
        print: print(contents),
    })
}

/// Chooses by the name a client asks for.
#[derive(Debug)]
struct Shown {
    default: Vec<Arc<CertifiedKey>>,
    /// For one name there may be several, of different kinds of keys.
    by_name: HashMap<String, Vec<Arc<CertifiedKey>>>,
}

impl Shown {
    fn new(pairs: &[Pair]) -> Self {
        let mut by_name: HashMap<String, Vec<_>> = HashMap::new();
        for pair in pairs {
            for name in &pair.told.names {
                let known = by_name.entry(name.clone()).or_default();
                known.push(pair.key.clone());
            }
        }
        Self {
            default: pairs.iter().take(1).map(|pair| pair.key.clone()).collect(),
            by_name,
        }
    }

    /// Those for a name: its own, else those for any name beside it, else the first.
    fn of(&self, name: Option<&str>) -> &[Arc<CertifiedKey>] {
        let found = name.and_then(|name| {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let beside = || {
                let (_, domain) = name.split_once('.')?;
                self.by_name.get(&format!("*.{domain}"))
            };
            self.by_name.get(&name).or_else(beside)
        });
        found.unwrap_or(&self.default)
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fit = self.of(hello.server_name());
        let schemes = hello.signature_schemes();
        fit.iter()
            .find(|pair| pair.key.choose_scheme(schemes).is_some())
            .or_else(|| fit.first())
            .cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn write(dir: &Path, name: &str, host: &str) -> Files {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let files = Files {
            cert: dir.join(format!("{name}.pem")),
            key: dir.join(format!("{name}.key")),
        };
        fs::write(&files.cert, cert.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    #[test]
    fn a_name_finds_its_certificate_then_a_wildcard_then_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let files = [
            write(dir.path(), "a", "a.example.com"),
            write(dir.path(), "b", "*.example.com"),
        ];
        let pairs: Vec<_> = files
            .iter()
            .map(|files| files.pair(&files.read().unwrap()).unwrap())
            .collect();
        let shown = Shown::new(&pairs);
        for (name, pair) in [
            (Some("a.example.com"), 0),
            (Some("A.Example.com"), 0),
            (Some("b.example.com"), 1),
            (Some("a.b.example.com"), 0),
            (Some("example.com"), 0),
            (Some("elsewhere.example"), 0),
            (None, 0),
        ] {
            let found = shown.of(name).first().unwrap();
            assert!(Arc::ptr_eq(found, &pairs[pair].key), "{name:?}");
        }
    }

    #[test]
    fn changed_files_are_taken_and_bad_ones_change_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let files = write(dir.path(), "a", "a.example.com");
        let inward = Inward::open(vec![files.clone()], false).unwrap();
        assert_eq!(inward.renew(), Ok(false), "nothing has changed");
        let before = inward.config();

        let other = write(dir.path(), "b", "b.example.com");
        fs::copy(&other.cert, &files.cert).unwrap();
        let refused = inward.renew().unwrap_err();
        assert_eq!(refused[0].part, Part::Key, "half of a new pair is no pair");
        assert!(Arc::ptr_eq(&before, &inward.config()));
        assert_eq!(inward.certificates()[0].names, ["a.example.com"]);

        fs::copy(&other.key, &files.key).unwrap();
        assert_eq!(inward.renew(), Ok(true));
        assert_eq!(inward.certificates()[0].names, ["b.example.com"]);
        fs::remove_file(&files.cert).unwrap();
        assert_eq!(inward.renew().unwrap_err()[0].part, Part::Cert);
        assert_eq!(inward.certificates()[0].names, ["b.example.com"]);
    }

    #[test]
    fn every_bad_pair_is_told_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let good = write(dir.path(), "a", "a.example.com");
        let none = Files {
            cert: dir.path().join("none"),
            ..good.clone()
        };
        let refused = Inward::open(vec![none.clone(), good, none], false).unwrap_err();
        let blamed: Vec<_> = refused.iter().map(|refused| refused.index).collect();
        assert_eq!(blamed, [0, 2]);
    }
}
