//! The journal's file as the book sees it, so that a test can be the disk that is
//! full, broken or gone.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::{open_private, replace};

/// What a book needs of a disk.
pub(super) trait Medium: Send {
    /// Writes at this offset. After an error, part of it may be there.
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was written durable. After an error nobody knows what is, and a
    /// second sync of the same file may lie.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts the file off after so many bytes.
    fn cut(&mut self, len: u64) -> io::Result<()>;

    /// Goes on in a new file that holds the first `len` bytes of this one, durably.
    fn renew(&mut self, len: u64) -> io::Result<()>;
}

/// A real file.
#[derive(Debug)]
pub(super) struct Disk {
    path: PathBuf,
    file: File,
}

impl Disk {
    /// Opens the file, or makes an empty one whose name is durable.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let made = !path.exists();
        let file = open_private(path)?;
        if made {
            file.sync_all()?;
            sync_dir(path)?;
        }
        let path = path.to_owned();
        Ok(Self { path, file })
    }
}

impl Medium for Disk {
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn renew(&mut self, len: u64) -> io::Result<()> {
        let mut good = Vec::new();
        File::open(&self.path)?.take(len).read_to_end(&mut good)?;
        if good.len() as u64 != len {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the journal has become shorter than what was recorded in it",
            ));
        }
        self.file = replace(&self.path, &good)?;
        Ok(())
    }
}

/// Makes the names in a file's directory durable: new, renamed, removed.
pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
    let dir = path.parent().unwrap_or_else(|| Path::new("."));
    File::open(dir)?.sync_all()
}
