//! `[log]`: how lines look, and which files are written besides.

use std::path::{Path, PathBuf};

use super::diff::{compare, word};
use super::walk::{Section, Value};
use super::{Access, Decisions, Log, LogFormat};
use crate::recording::rotating::Rotation;

/// What is different, each of which needs a restart.
pub(super) fn differences(old: &Log, new: &Log, into: &mut Vec<String>) {
    let file = |path: &Option<&Path>| match path {
        None => "off".to_owned(),
        Some(path) => path.display().to_string(),
    };
    let sample = |log: &Log| log.decisions.as_ref().map(|it| it.sample * 100.0);
    compare(into, "log.format", &old.format, &new.format, word);
    compare(into, "log.access", &old.access(), &new.access(), file);
    compare(
        into,
        "log.outcomes",
        &old.outcomes.as_deref(),
        &new.outcomes.as_deref(),
        file,
    );
    compare(
        into,
        "log.decisions",
        &old.decisions(),
        &new.decisions(),
        file,
    );
    compare(
        into,
        "log.decisions.sample",
        &sample(old),
        &sample(new),
        |sample| sample.map_or_else(|| "off".to_owned(), |percent| format!("{percent} %")),
    );
    compare(into, "log.rotate", &old.rotate, &new.rotate, |rotate| {
        format!("{} files of {} bytes", rotate.files, rotate.size)
    });
}

/// A file smaller than this would be put aside ten times a second.
const SIZE: std::ops::RangeInclusive<usize> = (64 << 10)..=(1 << 40);
/// As many files as a directory bears.
const FILES: std::ops::RangeInclusive<i64> = 1..=1000;

/// Reads the section.
pub(super) fn read(section: &Section<'_>) -> Log {
    let format = section
        .get("format")
        .and_then(|value| {
            value.choice(&[
                ("auto", LogFormat::Auto),
                ("text", LogFormat::Text),
                ("json", LogFormat::Json),
            ])
        })
        .unwrap_or_default();
    let access = section.get("access").and_then(|value| file(&value));
    let outcomes = section.get("outcomes");
    let decisions = section.get("decisions");
    let log = Log {
        format,
        access: access.map_or(Access::Off, Access::File),
        outcomes: outcomes.as_ref().and_then(file),
        decisions: decisions.as_ref().and_then(self::decisions),
        rotate: rotate(section),
    };
    for (value, same) in [
        (&outcomes, [log.access(), log.decisions()]),
        (&decisions, [log.access(), None]),
    ] {
        let own = match value {
            Some(value) if value.name == "outcomes" => log.outcomes.as_deref(),
            _ => log.decisions(),
        };
        if let (Some(value), true) = (value, own.is_some() && same.contains(&own)) {
            value.refuse("is the file of another log", "give each a file of its own");
        }
    }
    section.finish(&[], &[]);
    log
}

/// `off`, or a file.
fn file(value: &Value<'_>) -> Option<PathBuf> {
    match value.string("\"off\"")? {
        "off" => None,
        path => Some(PathBuf::from(path)),
    }
}

fn decisions(value: &Value<'_>) -> Option<Decisions> {
    if !value.is_table() {
        let path = file(value)?;
        return Some(Decisions { path, sample: 1.0 });
    }
    let table = value.table("`decisions`")?;
    let path = table.need("file", "\"decisions.jsonl\"");
    let sample = match table.get("sample") {
        Some(sample) => sample.share(),
        None => Some(1.0),
    };
    table.finish(&[], &[]);
    Some(Decisions {
        path: file(&path?)?,
        sample: sample?,
    })
}

fn rotate(section: &Section<'_>) -> Rotation {
    let given = Rotation::default();
    let Some(table) = (section.get("rotate")).and_then(|value| value.table("`rotate`")) else {
        return given;
    };
    let size = table.get("size").and_then(|value| value.size(SIZE));
    let files = table.get("files").and_then(|value| value.integer(FILES));
    table.finish(&[], &[]);
    Rotation {
        size: size.map_or(given.size, |size| size as u64),
        files: (files.and_then(|files| u32::try_from(files).ok())).unwrap_or(given.files),
    }
}
