//! A file of lines that is put aside when it has grown, and never holds half a line.
//!
//! The file in use has the plain name; those put aside are `NAME.1`, the youngest, up to
//! the oldest, which is removed when another comes.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _};
use std::path::{Path, PathBuf};

/// When a file is put aside, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// A file that has reached so many bytes is put aside before the next lines. Lines of
    /// one tenth of a second stay together, so that it may be a little more.
    pub size: u64,
    /// Files in all, the one in use among them. The oldest is removed beyond that.
    pub files: u32,
}

impl Default for Rotation {
    /// Eight files of 64 MiB.
    fn default() -> Self {
        Self {
            size: 64 << 20,
            files: 8,
        }
    }
}

/// So much is looked at for the end of the last whole line.
const TAIL: u64 = 1 << 20;

/// The file.
#[derive(Debug)]
pub struct Rotating {
    path: PathBuf,
    file: File,
    rotation: Option<Rotation>,
    /// Bytes in it; nothing is counted where nothing is put aside.
    size: u64,
}

impl Rotating {
    /// Opens or makes it. None: somebody else puts it aside, and asks for [`Self::reopen`].
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn open(path: &Path, rotation: Option<Rotation>) -> io::Result<Self> {
        let file = open(path, rotation.is_some())?;
        Ok(Self {
            path: path.to_owned(),
            size: file.metadata()?.len(),
            file,
            rotation,
        })
    }

    /// Opens it anew, after somebody has put it aside.
    ///
    /// # Errors
    ///
    /// The system's; what was open stays so.
    pub fn reopen(&mut self) -> io::Result<()> {
        let file = open(&self.path, self.rotation.is_some())?;
        self.size = file.metadata()?.len();
        self.file = file;
        Ok(())
    }

    /// Puts it aside if it has grown enough. True: what comes next begins a file.
    ///
    /// # Errors
    ///
    /// The system's; what was open stays so.
    pub fn rotate(&mut self) -> io::Result<bool> {
        let Some(rotation) = self.rotation.filter(|it| self.size >= it.size) else {
            return Ok(self.size == 0);
        };
        // A device, or a pipe: nothing can be put aside, and nothing grows.
        if !self.file.metadata()?.is_file() {
            return Ok(false);
        }
        let oldest = rotation.files.max(1) - 1;
        for number in (0..oldest).rev() {
            move_on(&self.numbered(number), &self.numbered(number + 1))?;
        }
        if oldest == 0 {
            fs::remove_file(&self.path)?;
        }
        self.reopen()?;
        Ok(true)
    }

    /// Writes all of it or takes back what was written of it: a disk that fills up in the
    /// middle must not leave half a line for the next one to be glued to.
    ///
    /// # Errors
    ///
    /// The system's; nothing of it is in the file then, unless not even that could be done.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let before = self.file.metadata()?;
        if let Err(error) = self.file.write_all(lines) {
            if before.is_file() {
                // If not even that can be done, one line is broken.
                drop(self.file.set_len(before.len()));
            }
            return Err(error);
        }
        self.size = before.len() + lines.len() as u64;
        Ok(())
    }

    /// Its name with a number; 0 is the one in use.
    fn numbered(&self, number: u32) -> PathBuf {
        if number == 0 {
            return self.path.clone();
        }
        let mut name = OsString::from(self.path.as_os_str());
        name.push(format!(".{number}"));
        name.into()
    }
}

/// Renames; what is not there need not move.
fn move_on(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Opens a file for appending. One of our own loses the half line that a crash may have
/// left at its end.
fn open(path: &Path, own: bool) -> io::Result<File> {
    // A pipe that is opened for writing alone waits for a reader, and so would the start.
    let is_pipe = fs::metadata(path).is_ok_and(|meta| meta.file_type().is_fifo());
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .read(own || is_pipe)
        .open(path)?;
    let meta = file.metadata()?;
    if own && meta.is_file() && meta.len() > 0 {
        let from = meta.len().saturating_sub(TAIL);
        let mut tail = vec![0; usize::try_from(meta.len() - from).unwrap_or_default()];
        file.read_exact_at(&mut tail, from)?;
        let whole = tail.iter().rposition(|byte| *byte == b'\n');
        let whole = whole.map_or(0, |at| at as u64 + 1);
        if from + whole < meta.len() {
            file.set_len(from + whole)?;
        }
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn a_file_is_put_aside_when_it_has_grown_and_the_oldest_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("day.jsonl");
        let rotation = Rotation { size: 8, files: 3 };
        let mut file = Rotating::open(&path, Some(rotation)).unwrap();
        for number in 0..5 {
            let begins = file.rotate().unwrap();
            assert!(begins, "each line fills a file");
            file.append(format!("line {number}\n\n").as_bytes())
                .unwrap();
        }
        let there: Vec<String> = (0..4).map(|number| read(&file.numbered(number))).collect();
        assert_eq!(there, ["line 4\n\n", "line 3\n\n", "line 2\n\n", ""]);
    }

    #[test]
    fn a_file_below_its_size_is_left_alone_and_one_file_alone_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("day.jsonl");
        let rotation = Rotation { size: 8, files: 1 };
        let mut file = Rotating::open(&path, Some(rotation)).unwrap();
        file.append(b"seven.\n").unwrap();
        assert!(!file.rotate().unwrap());
        file.append(b"seven.\n").unwrap();
        assert!(file.rotate().unwrap());
        file.append(b"new\n").unwrap();
        assert_eq!(read(&path), "new\n");
        assert!(!dir.path().join("day.jsonl.1").exists());
    }

    #[test]
    fn half_a_line_of_our_own_is_cut_off_at_the_start_and_another_s_is_not() {
        let dir = tempfile::tempdir().unwrap();
        for (rotation, expected) in [
            (Some(Rotation::default()), "whole\nnext\n"),
            (None, "whole\nhalnext\n"),
        ] {
            let path = dir.path().join("day.jsonl");
            fs::write(&path, "whole\nhal").unwrap();
            let mut file = Rotating::open(&path, rotation).unwrap();
            file.append(b"next\n").unwrap();
            assert_eq!(read(&path), expected);
        }
    }

    #[test]
    fn a_file_that_was_moved_away_is_opened_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("day.jsonl");
        let mut file = Rotating::open(&path, Some(Rotation::default())).unwrap();
        file.append(b"one\n").unwrap();
        fs::rename(&path, dir.path().join("away")).unwrap();
        file.reopen().unwrap();
        file.append(b"two\n").unwrap();
        assert_eq!(read(&path), "two\n");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_pipe_that_nobody_reads_yet_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        for rotation in [None, Some(Rotation { size: 0, files: 2 })] {
            let mut file = Rotating::open(&path, rotation).unwrap();
            file.append(b"line\n").unwrap();
            file.rotate().unwrap();
        }
        assert!(fs::metadata(&path).unwrap().file_type().is_fifo());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_and_a_device_is_never_put_aside() {
        let rotation = Rotation { size: 0, files: 2 };
        let mut file = Rotating::open(Path::new("/dev/full"), Some(rotation)).unwrap();
        assert!(!file.rotate().unwrap());
        assert!(file.append(b"line\n").is_err());
    }
}
