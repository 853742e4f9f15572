//! TLS in the file: certificates that are shown, and backends that are asked with it.
//!
//! The files themselves are read here, and what does not fit is said at the key
//! that names it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::problem::Problem;
use super::text::Origin;
use super::walk::{Section, Value};
use super::{Config, text};
use crate::clock;
use crate::model::Backend;
use crate::proxy::settings::Settings;
use crate::proxy::tls::{Certificate, Files, Inward, Outward, Part, Refused};

/// Certificates that may be shown; who needs more of them needs another tool.
const PAIRS_MAX: usize = 32;

/// What it looks like.
const PAIR: &str = "tls = { cert = \"cert.pem\", key = \"key.pem\" }";

/// A certificate and its key, and where the file names them.
struct Named<'a> {
    cert: Value<'a>,
    key: Value<'a>,
    files: Files,
}

/// Reads `[listen] tls`: one pair or a list of them. None where there is none, or
/// where something was wrong with it, which is said.
pub(super) fn inward(section: &Section<'_>, base: &Path) -> Option<Arc<Inward>> {
    let http2 = section.get("http2");
    let wants_http2 = http2.as_ref().and_then(Value::boolean).unwrap_or(false);
    let Some(value) = section.get("tls") else {
        if let (Some(http2), true) = (http2, wants_http2) {
            http2.refuse(
                "means nothing without `tls`: HTTP/2 is agreed upon in a TLS handshake",
                format!("add {PAIR}, or remove the line"),
            );
        }
        return None;
    };
    let entries = if value.is_table() {
        vec![value.clone()]
    } else {
        value.list(&format!("one pair or a list of them, for example {PAIR}"))
    };
    if value.is_empty_list() {
        value.refuse("is an empty list", format!("for example {PAIR}"));
    }
    if entries.len() > PAIRS_MAX {
        let message = format!("names {} certificates", entries.len());
        value.refuse(message, format!("there may be {PAIRS_MAX} of them"));
        return None;
    }
    let pairs: Vec<_> = entries.iter().map(|entry| pair(entry, base)).collect();
    let pairs: Vec<_> = pairs.into_iter().collect::<Option<_>>()?;
    if pairs.is_empty() {
        return None;
    }
    let files = pairs.iter().map(|pair| pair.files.clone()).collect();
    match Inward::open(files, wants_http2) {
        Ok(inward) => {
            for (pair, certificate) in pairs.iter().zip(inward.certificates()) {
                dates(&pair.cert, &certificate);
            }
            Some(Arc::new(inward))
        }
        Err(refused) => {
            for why in refused {
                if let Some(pair) = pairs.get(why.index) {
                    blame(pair.named(why.part), why);
                }
            }
            None
        }
    }
}

/// Reads `[backend.X] tls` beside its `url`. Err: something was wrong, and was said.
pub(super) fn outward(
    section: &Section<'_>,
    url: &Value<'_>,
    origin: &Origin,
    base: &Path,
) -> Result<Option<Arc<Outward>>, ()> {
    let value = section.get("tls");
    if origin.scheme != "https" {
        let Some(value) = value else {
            return Ok(None);
        };
        value.refuse(
            "means nothing with an http:// `url`",
            "write the `url` with https://, or remove the line",
        );
        return Err(());
    }
    let table = match &value {
        Some(value) => Some(value.table("`tls`").ok_or(())?),
        None => None,
    };
    let named = |key| {
        table
            .as_ref()
            .and_then(|table: &Section<'_>| table.get(key))
    };
    let (ca_file, server_name) = (named("ca_file"), named("server_name"));
    let shown = table.as_ref().map(|table| {
        // One of the two alone is a slip; `need` asks for the other.
        let wanted = table.get("cert").is_some() || table.get("key").is_some();
        wanted.then(|| pair_of(table, base))
    });
    if let Some(table) = &table {
        table.finish(&[], &[]);
    }
    let shown = match shown.flatten() {
        Some(pair) => Some(pair.ok_or(())?),
        None => None,
    };
    let ca_path = match &ca_file {
        Some(file) => Some(path(file, "\"ca.pem\"", base).ok_or(())?),
        None => None,
    };
    let name = match &server_name {
        Some(name) => name.string("\"ivr-new.example.com\"").ok_or(())?,
        None => &origin.host,
    };
    let files = shown.as_ref().map(|pair| pair.files.clone());
    match Outward::open(name, ca_path, files) {
        Ok(outward) => {
            if let (Some(pair), Some(certificate)) = (&shown, outward.certificate()) {
                dates(&pair.cert, &certificate);
            }
            Ok(Some(Arc::new(outward)))
        }
        Err(why) => {
            let at = match why.part {
                Part::CaFile => ca_file.as_ref(),
                Part::ServerName => server_name.as_ref(),
                part => shown.as_ref().map(|pair| pair.named(part)),
            };
            // What is not written is asked for by the URL.
            blame(at.unwrap_or(url), why);
            Err(())
        }
    }
}

impl<'a> Named<'a> {
    fn named(&self, part: Part) -> &Value<'a> {
        match part {
            Part::Key => &self.key,
            _ => &self.cert,
        }
    }
}

fn pair<'a>(value: &Value<'a>, base: &Path) -> Option<Named<'a>> {
    let table = value.table("`tls`")?;
    let pair = pair_of(&table, base);
    table.finish(&[], &[]);
    pair
}

fn pair_of<'a>(table: &Section<'a>, base: &Path) -> Option<Named<'a>> {
    let (cert, key) = (
        table.need("cert", "\"cert.pem\""),
        table.need("key", "\"key.pem\""),
    );
    let (cert, key) = (cert?, key?);
    let files = (
        path(&cert, "\"cert.pem\"", base),
        path(&key, "\"key.pem\"", base),
    );
    Some(Named {
        files: Files {
            cert: files.0?,
            key: files.1?,
        },
        cert,
        key,
    })
}

fn path(value: &Value<'_>, example: &str, base: &Path) -> Option<PathBuf> {
    Some(base.join(value.string(example)?))
}

fn blame(at: &Value<'_>, why: Refused) {
    if at.name == why.part.name() {
        at.refuse(why.why, why.help);
    } else {
        let message = format!("`{}` {}", why.part.name(), why.why);
        let problem = Problem::error(Some(at.span()), message);
        at.problems.add(problem.help(why.help));
    }
}

/// A certificate out of its time is served all the same: refusing it would keep a
/// process from starting that its clients may still believe.
fn dates(at: &Value<'_>, certificate: &Certificate) {
    let now = clock::wall().0 / 1000;
    let file = certificate.path.display();
    let (message, help) = if now >= certificate.not_after {
        (
            format!(
                "`cert` {file} expired on {}",
                text::day(certificate.not_after)
            ),
            "clients that check it will not connect: put a new one in its place",
        )
    } else if now < certificate.not_before {
        (
            format!(
                "`cert` {file} is good from {} on only",
                text::day(certificate.not_before)
            ),
            "clients that check it will not connect before; is this machine's clock right?",
        )
    } else {
        return;
    };
    at.problems
        .add(Problem::warning(Some(at.span()), message).help(help));
}

/// What is shown where webhooks come in, in a few words.
pub(super) fn told(inward: Option<&Arc<Inward>>) -> String {
    let Some(inward) = inward else {
        return "none".to_owned();
    };
    let shown: Vec<String> = (inward.certificates().iter())
        .map(|certificate| certificate.path.display().to_string())
        .collect();
    let http2 = if inward.http2() { " with HTTP/2" } else { "" };
    format!("{}{http2}", shown.join(", "))
}

/// What changes in TLS, without a word of what stands in the files.
pub(super) fn changes(old: &Settings, new: &Settings, into: &mut Vec<String>) {
    let mut compare = |name: &str, before: String, after: String, same: bool| {
        if before != after {
            into.push(format!("`{name}`: {before} → {after}"));
        } else if !same {
            into.push(format!("`{name}`: the files hold something else now"));
        }
    };
    compare(
        "listen.tls",
        told(old.tls.as_ref()),
        told(new.tls.as_ref()),
        old.tls == new.tls,
    );
    for backend in Backend::ALL {
        let (before, after) = (&old.backends[backend].tls, &new.backends[backend].tls);
        let told = |tls: &Option<Arc<Outward>>| match tls {
            Some(tls) => tls.told(),
            None => "none".to_owned(),
        };
        compare(
            &format!("backend.{backend}.tls"),
            told(before),
            told(after),
            before == after,
        );
    }
}

impl Config {
    /// What TLS shows and asks for: what `switchback check` says of a file that is well.
    pub fn encryption(&self) -> Vec<String> {
        let shown = self.proxy.tls.iter().flat_map(|tls| tls.certificates());
        let shown = shown.map(|certificate| {
            let names = if certificate.names.is_empty() {
                "no host name".to_owned()
            } else {
                certificate.names.join(", ")
            };
            let (file, until) = (certificate.path.display(), text::day(certificate.not_after));
            format!("webhooks over TLS: {file} for {names}, good until {until}")
        });
        let asked = Backend::ALL.into_iter().filter_map(|backend| {
            let tls = self.proxy.backends[backend].tls.as_ref()?;
            Some(format!("backend {backend} over TLS: {}", tls.told()))
        });
        shown.chain(asked).collect()
    }
}

#[cfg(test)]
mod tests;
