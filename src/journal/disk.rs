//! The journal's file as the book sees it, so that a test can be the disk that is
//! full, broken or gone.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::{open_private, replace, segments, written};

/// What a book needs of a disk.
pub(super) trait Medium: Send {
    /// Writes at this offset. After an error, part of it may be there.
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was written durable. After an error nobody knows what is, and a
    /// second sync of the same file may lie.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts the file off after so many bytes.
    fn cut(&mut self, len: u64) -> io::Result<()>;

    /// Keeps the file under another name and goes on in a new one that begins with these
    /// bytes. An error: nothing has changed.
    fn turn(&mut self, first: &[u8], closed: &str) -> io::Result<Turned>;

    /// A way to read the first bytes of this very file, whatever becomes of it meanwhile.
    fn reader(&self) -> io::Result<Reader>;

    /// Goes on in a new file that holds the first `len` bytes of this one, durably.
    fn renew(&mut self, len: u64) -> io::Result<()>;
}

/// Reads so many bytes from the beginning of a file; may take its time.
pub(super) type Reader = Box<dyn FnOnce(u64) -> io::Result<Vec<u8>> + Send>;

/// The new file is the journal.
#[derive(Debug)]
pub(super) enum Turned {
    /// And will be, whatever happens.
    Durably,
    /// But its name may be forgotten: as after a failed sync, nothing is known until it
    /// is renewed.
    Perhaps(io::Error),
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

    /// A crash between any two of these leaves the journal whole under its own name: at
    /// first the old one, from the rename on the new one.
    fn turn(&mut self, first: &[u8], closed: &str) -> io::Result<Turned> {
        let closed = self.path.with_file_name(closed);
        let next = self.path.with_extension("tmp");
        let file = written(&next, first)?;
        let linked = link(&self.path, &closed).and_then(|()| sync_dir(&self.path));
        let renamed = linked.and_then(|()| fs::rename(&next, &self.path));
        if let Err(error) = renamed
            // Some file systems report a rename that they have made.
            && same(&self.file, &self.path).unwrap_or(true)
        {
            // Whatever stays is removed by the next start, or taken by the next turn.
            if same(&self.file, &closed).unwrap_or(false) {
                fs::remove_file(&closed).ok();
            }
            fs::remove_file(&next).ok();
            return Err(error);
        }
        self.file = file;
        Ok(match sync_dir(&self.path) {
            Ok(()) => Turned::Durably,
            Err(error) => Turned::Perhaps(error),
        })
    }

    fn reader(&self) -> io::Result<Reader> {
        let file = self.file.try_clone()?;
        Ok(Box::new(move |len| {
            let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
            file.read_exact_at(&mut bytes, 0)?;
            Ok(bytes)
        }))
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

/// Gives the running journal a second name. One that an earlier, failed turn has left
/// is made anew.
fn link(running: &Path, closed: &Path) -> io::Result<()> {
    match fs::hard_link(running, closed) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if !segments::is_of(closed, running, &fs::read(running)?)? {
                return Err(error);
            }
            fs::remove_file(closed)?;
            fs::hard_link(running, closed)
        }
        result => result,
    }
}

/// Is it the file of that name?
fn same(file: &File, path: &Path) -> io::Result<bool> {
    let (one, other) = (file.metadata()?, fs::metadata(path)?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

/// Makes the names in a file's directory durable: new, renamed, removed.
pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
    let dir = path.parent().unwrap_or_else(|| Path::new("."));
    File::open(dir)?.sync_all()
}
