//! Level 4: data is brought back by the operator's own commands.
//!
//! We list what there is, run one restore at a time, keep what it said in a private file
//! of the state directory, and know nothing of databases.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;

use super::Data;
use super::kept::{Kept, clean};
use super::program::{Pipe, Program};
use crate::clock;
use crate::desk::Backup;
use crate::model::{Tick, Wall, mask_numbers};
use crate::rollout::RestoreOrder;

/// What stands for a backup's id in the restore command.
const PLACE: &str = "{backup}";

/// Backups listed; the command's further lines are not read, and the newest should come
/// first.
pub(super) const LISTED: usize = 1000;

/// Bytes of a line of the list; a longer one is cut off.
const LINE_MAX: usize = 1000;

/// The list must be there in this time, because an operator waits for it.
pub(super) const LIST_WITHIN: Duration = Duration::from_secs(8);

/// Bytes kept of what a restore says; what follows is not kept.
const LOG_MAX: usize = 1 << 20;

/// Bytes of an id.
const ID_MAX: usize = 256;

/// A restore that runs or has run. What it knows is forgotten when the process ends; the
/// journal says that there was one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restore {
    /// What was ordered.
    pub order: RestoreOrder,
    /// When it began, by the calendar.
    pub began: Wall,
    /// The same moment by the clock that durations are told by.
    pub since: Tick,
    /// How it ended, after so long; None while it runs. Err: why it failed.
    pub ended: Option<(Duration, Result<(), String>)>,
    /// What it said last, in one masked line.
    pub last_line: String,
    /// The file in the state directory that has its output; None: it could not be made.
    pub log: Option<String>,
}

impl Restore {
    /// One that begins now.
    pub(super) fn begins(order: RestoreOrder, now: Tick, wall: Wall) -> Self {
        Self {
            order,
            began: wall,
            since: now,
            ended: None,
            last_line: String::new(),
            log: None,
        }
    }

    /// How long it has taken so far, or took.
    pub fn took(&self, now: Tick) -> Duration {
        self.ended
            .as_ref()
            .map_or_else(|| now.since(self.since), |(took, _)| *took)
    }
}

/// The last restore, for whoever watches it.
pub(super) type Progress = Arc<Mutex<Option<Restore>>>;

/// Is it an id that may stand in a command? No option, and nothing that a shell would read,
/// because the operator's program may well be one; nor a way out of where backups lie.
///
/// # Errors
///
/// It is not, in words.
pub(super) fn check_id(id: &str) -> Result<(), String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/@+=,%".contains(&byte);
    let climbs = id.split('/').any(|part| part == "..");
    if id.is_empty()
        || id.len() > ID_MAX
        || id.starts_with('-')
        || climbs
        || !id.bytes().all(is_plain)
    {
        return Err(format!(
            "a backup's id has 1 to {ID_MAX} letters, digits and - . _ : / @ + = , %, does not \
             begin with a dash and has no `..` between slashes; `switchback rollback data` lists \
             those there are"
        ));
    }
    Ok(())
}

/// The backups there are, as the operator's command lists them.
///
/// # Errors
///
/// The command failed, in words for an operator.
pub(super) async fn list(data: &Data) -> Result<Vec<Backup>, String> {
    let program = Program {
        argv: &data.list,
        told: Vec::new(),
        within: LIST_WITHIN,
    };
    let (mut listed, mut err) = (Listed::default(), Kept::default());
    let ended = program
        .run(&mut |pipe, bytes| match pipe {
            Pipe::Out => listed.hear(bytes),
            Pipe::Err => err.hear(bytes),
        })
        .await;
    if let Err(why) = ended {
        let name = data.list.first().map_or("it", String::as_str);
        let said = err.last_line().map(|line| format!("; it said: {line}"));
        return Err(format!(
            "backups could not be listed: {name} {why}{}",
            said.unwrap_or_default()
        ));
    }
    Ok(listed.over())
}

/// Lines as they come.
#[derive(Debug, Default)]
struct Listed {
    backups: Vec<Backup>,
    line: Vec<u8>,
    /// Lines that do not begin with an id that can be restored.
    left_out: usize,
}

impl Listed {
    fn hear(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' {
                self.end_line();
            } else if self.line.len() < LINE_MAX {
                self.line.push(*byte);
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if self.backups.len() == LISTED {
            return;
        }
        let line = String::from_utf8_lossy(&line).replace(char::is_control, " ");
        let line = line.trim();
        let (id, about) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        if line.is_empty() {
            return;
        }
        match check_id(id) {
            Ok(()) => self.backups.push(Backup {
                id: id.to_owned(),
                about: about.trim().to_owned(),
            }),
            Err(_) => self.left_out += 1,
        }
    }

    fn over(mut self) -> Vec<Backup> {
        self.end_line();
        if self.left_out > 0 {
            tracing::warn!(
                lines = self.left_out,
                "Lines of the list of backups are left out: a line begins with an id of letters, \
                 digits and - . _ : / @ + = , %."
            );
        }
        self.backups
    }
}

/// Restores what `progress` says, and says there how it goes. Gives what it came to,
/// because the next may be ordered as soon as this one is over; None: none was ordered.
pub(super) async fn restore(data: &Data, dir: &Path, progress: &Progress) -> Option<Restore> {
    let begun = progress.lock().clone()?;
    let backup = &begun.order.backup;
    let mut argv = data.restore.clone();
    for word in argv.iter_mut().skip(1) {
        *word = word.replace(PLACE, backup);
    }
    let program = Program {
        argv: &argv,
        told: vec![
            ("SWITCHBACK_BACKUP", backup.clone()),
            ("SWITCHBACK_REASON", mask_numbers(&begun.order.reason)),
        ],
        within: data.timeout,
    };
    let mut log = Log::open(dir, begun.began);
    set(progress, |restore| restore.log = log.name());
    let mut line = Vec::new();
    let ended = program
        .run(&mut |_, bytes| {
            log.write(bytes);
            if let Some(last) = last_line(&mut line, bytes) {
                set(progress, |restore| restore.last_line = last);
            }
        })
        .await;
    let last = clean(&String::from_utf8_lossy(&line));
    if !last.is_empty() {
        set(progress, |restore| restore.last_line = last);
    }
    log.close();
    let mut progress = progress.lock();
    let restore = progress.as_mut()?;
    restore.ended = Some((restore.took(clock::tick()), ended));
    Some(restore.clone())
}

fn set(progress: &Progress, change: impl FnOnce(&mut Restore)) {
    if let Some(restore) = progress.lock().as_mut() {
        change(restore);
    }
}

/// The last whole line of what was said up to now; `line` is the beginning of the next.
fn last_line(line: &mut Vec<u8>, bytes: &[u8]) -> Option<String> {
    let mut last = None;
    for byte in bytes {
        match byte {
            b'\n' | b'\r' => {
                let said = clean(&String::from_utf8_lossy(line));
                line.clear();
                last = Some(said).filter(|said| !said.is_empty()).or(last);
            }
            byte if line.len() < LINE_MAX => line.push(*byte),
            _ => {}
        }
    }
    last
}

/// The file with what a restore said. That it cannot be written stops no restore.
struct Log {
    file: Option<(String, File)>,
    room: usize,
}

impl Log {
    /// Never removed by us: an operator orders each, and looks at it.
    fn open(dir: &Path, began: Wall) -> Self {
        let at = Timestamp::from_millisecond(began.0).unwrap_or(Timestamp::UNIX_EPOCH);
        let name = format!("restore-{}.log", at.strftime("%Y%m%dT%H%M%S%.3fZ"));
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(dir.join(&name));
        let file = made.inspect_err(|error| {
            tracing::warn!(name, %error, "The file for a restore's output could not be made.");
        });
        Self {
            file: file.ok().map(|file| (name, file)),
            room: LOG_MAX,
        }
    }

    fn name(&self) -> Option<String> {
        self.file.as_ref().map(|(name, _)| name.clone())
    }

    fn write(&mut self, bytes: &[u8]) {
        let fits = self.room.min(bytes.len());
        self.room -= fits;
        let mut result = self.put(bytes.get(..fits).unwrap_or_default());
        if fits < bytes.len() {
            let note = format!("\n… what follows is not kept beyond {LOG_MAX} bytes …\n");
            result = result.and_then(|()| self.put(note.as_bytes()));
            self.close();
        }
        if let Err(error) = result {
            tracing::warn!(%error, "A restore's output cannot be kept any more.");
            self.file = None;
        }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.file {
            Some((_, file)) => file.write_all(bytes),
            None => Ok(()),
        }
    }

    fn close(&mut self) {
        if let Some((name, file)) = self.file.take()
            && let Err(error) = file.sync_all()
        {
            tracing::warn!(name, %error, "A restore's output may not be on disk.");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_one_backup_a_line_and_no_longer_than_it_may_be() {
        let mut listed = Listed::default();
        listed.hear(b"b-1  2026-11-19 02:00  4 GiB\n\n--force\nb-2\nb-3 \x1b[31mred");
        let backups = listed.over();
        let told: Vec<_> = backups
            .iter()
            .map(|b| (b.id.as_str(), b.about.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("b-1", "2026-11-19 02:00  4 GiB"),
                ("b-2", ""),
                ("b-3", "[31mred")
            ]
        );
        let mut many = Listed::default();
        for number in 0..LISTED + 1 {
            many.hear(format!("b-{number}\n").as_bytes());
        }
        assert_eq!(many.over().len(), LISTED);
    }

    #[test]
    fn an_id_is_no_option_and_has_no_blanks() {
        for (id, good) in [
            ("b-1", true),
            ("s3://x/2026-11-19T02:00:00Z", true),
            ("", false),
            ("-rf", false),
            ("a b", false),
            ("a\nb", false),
            (&"x".repeat(ID_MAX), true),
            (&"x".repeat(ID_MAX + 1), false),
        ] {
            assert_eq!(check_id(id).is_ok(), good, "{id:?}");
        }
    }

    #[test]
    fn what_was_said_last_is_the_last_whole_line() {
        let mut line = Vec::new();
        assert_eq!(
            last_line(&mut line, b"one\ntwo\nthr"),
            Some("two".to_owned())
        );
        assert_eq!(last_line(&mut line, b"ee"), None);
        assert_eq!(
            last_line(&mut line, b" 40 %\r\n"),
            Some("three 40 %".to_owned())
        );
    }
}
