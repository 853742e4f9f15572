//! Reading a recording back.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::line;
use super::{Recorded, What};
use crate::model::{PerBackend, Tick, Wall};

/// The longest line that is read, in bytes; a longer one is none of ours.
pub const LINE_MAX: u64 = 64 << 10;

/// Before the first tick of a file the process is taken to have run for so long.
const RAN: Tick = Tick::from_secs(3600);

/// The lines of a recording, one after the other. A line that is broken is named, with
/// its file and number, and the ones after it follow. The last one may be torn by a crash:
/// it is left out.
#[derive(Debug)]
pub struct Recording {
    path: PathBuf,
    lines: Lines,
    number: u64,
    line: Vec<u8>,
    /// The last tick by both clocks.
    ticked: Option<(Tick, Wall)>,
    active: PerBackend<u64>,
}

#[derive(Debug)]
enum Lines {
    Left(BufReader<File>),
    /// It cannot be opened; not told yet.
    Unreadable(String),
    None,
}

/// Reads a recording.
pub fn read(path: &Path) -> Recording {
    let lines = match File::open(path) {
        Ok(file) => Lines::Left(BufReader::new(file)),
        Err(error) => Lines::Unreadable(format!("{} cannot be read: {error}", path.display())),
    };
    Recording {
        path: path.to_owned(),
        lines,
        number: 0,
        line: Vec::new(),
        ticked: None,
        active: PerBackend::default(),
    }
}

impl Iterator for Recording {
    type Item = Result<Recorded, String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.line() {
                Ok(false) => return None,
                Ok(true) => {}
                Err(why) => {
                    self.lines = Lines::None;
                    return Some(Err(why));
                }
            }
            // A line of a later version is passed over.
            match self.decode().transpose() {
                Some(Err(why)) => {
                    let (path, number) = (self.path.display(), self.number);
                    return Some(Err(format!("{path}:{number}: {why}")));
                }
                Some(recorded) => return Some(recorded),
                None => {}
            }
        }
    }
}

impl Recording {
    /// Takes the next line in. False: there is none, or only half of one.
    fn line(&mut self) -> Result<bool, String> {
        let reader = match &mut self.lines {
            Lines::Left(reader) => reader,
            Lines::Unreadable(why) => return Err(std::mem::take(why)),
            Lines::None => return Ok(false),
        };
        self.line.clear();
        let read = reader
            .by_ref()
            .take(LINE_MAX)
            .read_until(b'\n', &mut self.line);
        self.number += 1;
        let place = || format!("{}:{}", self.path.display(), self.number);
        match read {
            Err(error) => Err(format!("{} cannot be read: {error}", place())),
            Ok(_) if self.line.pop_if(|last| *last == b'\n').is_some() => Ok(true),
            Ok(read) if read as u64 == LINE_MAX => Err(format!(
                "{}: the line is longer than {LINE_MAX} bytes: this is no recording",
                place()
            )),
            Ok(_) => Ok(false),
        }
    }

    fn decode(&mut self) -> Result<Option<Recorded>, String> {
        let Some(read) = line::decode(&self.line)? else {
            return Ok(None);
        };
        let at = read.at;
        if let Some((tick, active)) = read.tick() {
            self.ticked = Some((tick, at));
            self.active = active.unwrap_or(self.active);
            let active = self.active;
            let what = What::Tick { tick, active };
            return Ok(Some(Recorded { at, what }));
        }
        let (tick, wall) = *self.ticked.get_or_insert((RAN, at));
        // Nothing is heard before it happened; a line that says so is taken as of its tick.
        let ago = u64::try_from(wall.0.saturating_sub(at.0)).unwrap_or(0);
        let what = read.what(tick - Duration::from_millis(ago))?;
        Ok(Some(Recorded { at, what }))
    }
}
