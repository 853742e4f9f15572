//! Secrets: named in the file, kept elsewhere, shown nowhere.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::problem::Problem;
use super::walk::Value;

/// Longest secret, in bytes; a longer file is not a secret but the wrong file.
const LONGEST: u64 = 4096;
/// A token shorter than this can be guessed.
const SHORT: usize = 16;

/// A secret's value. It prints as `MASKED`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The value itself: to compare with or to send, never to show.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MASKED")
    }
}

/// Reads `{ env = "NAME" }` or `{ file = "path" }`. Problems point at the key,
/// because a report shows the line it points at.
pub(super) fn read(value: &Value<'_>, base: &Path) -> Option<Secret> {
    if !value.is_table() {
        let name = &value.name;
        return refuse(
            value,
            format!("`{name}` is a secret, and secrets do not stand in the file"),
            "write { env = \"NAME\" } or { file = \"path\" }",
        );
    }
    checked(kept(value, base)?, value)
}

/// Reads one secret, or two of them in a list: while one replaces the other both
/// are good. None if anything is wrong with one of them.
pub(super) fn one_or_two(value: &Value<'_>, base: &Path) -> Option<Vec<Secret>> {
    if !value.is_list() {
        return Some(vec![read(value, base)?]);
    }
    let mut entries = value.list("a list");
    if !matches!(entries.len(), 1 | 2) {
        let name = &value.name;
        return refuse(
            value,
            format!("`{name}` is one secret or a list of two"),
            "the second is there while one replaces the other",
        );
    }
    for entry in &mut entries {
        entry.key_span = value.key_span.clone();
    }
    // Each is read before one is missed, so that both are spoken of.
    let read: Vec<_> = entries.iter().map(|entry| read(entry, base)).collect();
    read.into_iter().collect()
}

/// The text that `{ env = "NAME" }` or `{ file = "path" }` leads to.
pub(super) fn kept(value: &Value<'_>, base: &Path) -> Option<String> {
    let name = &value.name;
    let table = value.table(&format!("`{name}`"))?;
    let (env, file) = (table.get("env"), table.get("file"));
    table.finish(&[], &[]);
    let found = match (env, file) {
        (Some(env), None) => from_env(env.string("\"SWITCHBACK_TOKEN\"")?),
        (None, Some(file)) => from_file(&base.join(file.string("\"token.txt\"")?)),
        _ => Err("needs either `env` or `file`".to_owned()),
    };
    match found {
        Ok(text) => Some(text),
        Err(why) => refuse(
            value,
            format!("`{name}` {why}"),
            "write { env = \"NAME\" } or { file = \"path\" }, and have it there before the start",
        ),
    }
}

fn refuse<T>(value: &Value<'_>, message: String, help: &str) -> Option<T> {
    let problem = Problem::error(Some(value.key_span.clone()), message);
    value.problems.add(problem.help(help));
    None
}

fn from_env(name: &str) -> Result<String, String> {
    // A name with these would panic in older libraries and exists nowhere.
    if name.contains(['=', '\0']) {
        return Err(format!("names no environment variable: {name}"));
    }
    std::env::var(name).map_err(|_| format!("names {name}, which is not set in the environment"))
}

fn from_file(path: &PathBuf) -> Result<String, String> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text))
        .map_err(|why| format!("names {}, which cannot be read: {why}", path.display()))?;
    Ok(text)
}

fn checked(text: String, value: &Value<'_>) -> Option<Secret> {
    let text = text.trim_end_matches(['\r', '\n']);
    let name = &value.name;
    let span = Some(value.key_span.clone());
    if text.is_empty() || text.len() as u64 > LONGEST {
        let message = format!("`{name}` is empty or longer than {LONGEST} bytes");
        value.problems.add(Problem::error(span, message));
        return None;
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        let message = format!("`{name}` holds characters that no header can carry");
        let help = if text.starts_with("Bearer ") {
            "leave out the `Bearer ` before it: that is written for you"
        } else {
            "use visible ASCII without spaces, also at its ends"
        };
        value.problems.add(Problem::error(span, message).help(help));
        return None;
    }
    if text.len() < SHORT {
        let message = format!("`{name}` is short enough to guess");
        let help = format!("use at least {SHORT} characters");
        value
            .problems
            .add(Problem::warning(span, message).help(help));
    }
    Some(Secret(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_as_masked() {
        let secret = Secret("hunter2hunter2hunter2".into());
        assert_eq!(format!("{secret:?}"), "MASKED");
        assert_eq!(secret.expose(), "hunter2hunter2hunter2");
    }

    #[test]
    fn a_file_larger_than_a_secret_is_read_no_further() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("big");
        std::fs::write(&path, "x".repeat(1 << 20)).unwrap();
        assert_eq!(from_file(&path).unwrap().len() as u64, LONGEST + 1);
    }
}
