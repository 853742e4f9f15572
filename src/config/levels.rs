//! `[emergency]` and `[rollback.data]`: the last levels of going back.

use std::ops::Range;
use std::time::Duration;

use super::check::Add;
use super::file::Draft as File;
use super::hooks;
use super::problem::Problem;
use super::walk::{At, Section, Value, shown};
use crate::hooks::Data;
use crate::rollout::Emergency;

/// What stands for a backup's id in `restore`.
const BACKUP: &str = "{backup}";
/// How long a restore may take where the file does not say.
const TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// A restore that takes longer than a day has failed.
const TIMEOUT_MAX: Duration = Duration::from_secs(86_400);

/// Reads `[emergency]`.
pub(super) fn emergency(section: &Section<'_>) -> At<Emergency> {
    let to = section.get("to");
    let chosen = (to.as_ref()).and_then(|value| {
        value.choice(&[Emergency::Legacy, Emergency::LastResort].map(|to| (to.name(), to)))
    });
    section.finish(&[], &[]);
    At {
        value: chosen.unwrap_or_default(),
        span: to.map(|value| value.span()),
    }
}

/// Reads `[rollback]`, which holds `data` and nothing else.
pub(super) fn rollback(section: &Section<'_>) -> Option<Data> {
    let own = section.section("data", "[rollback.data]");
    section.finish(
        &[],
        &[
            ("list", "it belongs to [rollback.data]"),
            ("restore", "it belongs to [rollback.data]"),
        ],
    );
    if !own.is_there() {
        return None;
    }
    let list = own.need("list", "[\"/usr/local/bin/backups\"]");
    let list = list.and_then(|value| {
        let words = hooks::command(&value)?;
        without(&value, &words)?;
        Some(words)
    });
    let restore = own.need("restore", "[\"/usr/local/bin/restore\", \"{backup}\"]");
    let restore = restore.and_then(|value| {
        let words = hooks::command(&value)?;
        with(&value, &words)?;
        Some(words)
    });
    let timeout = match own.get("timeout") {
        Some(value) => value.duration(Duration::from_secs(1)..=TIMEOUT_MAX),
        None => Some(TIMEOUT),
    };
    own.finish(&[], &[]);
    Some(Data {
        list: list?,
        restore: restore?,
        timeout: timeout?,
    })
}

/// A restore that is not told which backup would restore whatever it likes.
fn with(value: &Value<'_>, words: &[String]) -> Option<()> {
    if words.iter().skip(1).any(|word| word.contains(BACKUP)) {
        return Some(());
    }
    value.refuse(
        "names no {backup} among its arguments",
        "write \"{backup}\" where the program takes the backup's id",
    );
    None
}

fn without(value: &Value<'_>, words: &[String]) -> Option<()> {
    if !words.iter().any(|word| word.contains(BACKUP)) {
        return Some(());
    }
    value.refuse(
        "names {backup}, and nobody has chosen one yet",
        "`list` prints the backups there are; \"{backup}\" belongs to `restore`",
    );
    None
}

/// Somebody must hear something when nobody is let through.
pub(super) fn check(draft: &File, add: &Add<'_>) {
    if draft.emergency.value != Emergency::LastResort {
        return;
    }
    let silent: Option<&super::routes::Draft> =
        (draft.routes.iter()).find(|route| route.rescue.says_nothing());
    let Some(route) = silent else { return };
    let path = route.path.as_ref().map_or("?", |path| path.value.as_str());
    let span: Option<Range<usize>> = draft.emergency.span.clone();
    let message = format!(
        "an emergency stop would leave callers of `{}` to their provider: its `last_resort` is off",
        shown(path)
    );
    add(Problem::error(span, message)
        .help("write to = \"legacy\", or give the route a `last_resort`"));
}
