//! Log lines on their way to stderr, written by a thread of their own.
//!
//! Whoever writes to a pipe waits for its reader. A log collector that stands still,
//! or a terminal somebody has stopped, would hold up the engine at its next line and
//! every worker at its own; no caller may wait for a log.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait for stderr; more are dropped and counted. A line is some 200
/// bytes, so that is 2 MB.
const WAITING: usize = 8192;
/// At the end of the process the last lines have this long to be written.
const FAREWELL: Duration = Duration::from_secs(1);
/// Between two tries to be heard by a thread that has too much to write.
const BREATH: Duration = Duration::from_millis(10);

/// The way to the thread.
#[derive(Debug)]
pub(super) struct Lines {
    queue: SyncSender<Said>,
    dropped: Arc<AtomicU64>,
}

/// Waits, when it is dropped, until all lines are written, but not for ever.
#[derive(Debug)]
#[must_use = "the last lines are written when it is dropped"]
pub(super) struct Flush(SyncSender<Said>);

#[derive(Debug)]
enum Said {
    Line(Vec<u8>),
    /// All lines so far are to be written, and this to be told.
    Flush(SyncSender<()>),
}

impl Lines {
    /// Starts the thread.
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<(Self, Flush)> {
        let (queue, waiting) = sync_channel(WAITING);
        let dropped = Arc::new(AtomicU64::new(0));
        std::thread::Builder::new().name("log".to_owned()).spawn({
            let dropped = Arc::clone(&dropped);
            move || write_all(out, &waiting, &dropped)
        })?;
        let flush = Flush(queue.clone());
        Ok((Self { queue, dropped }, flush))
    }
}

fn write_all(mut out: impl Write, waiting: &Receiver<Said>, dropped: &AtomicU64) {
    while let Ok(said) = waiting.recv() {
        match said {
            // If stderr is closed there is nobody to tell.
            Said::Line(line) => drop(out.write_all(&line)),
            Said::Flush(done) => {
                drop(out.flush());
                // Who asked may have given up waiting.
                done.send(()).unwrap_or_default();
            }
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(
                lost,
                "Lines of this log are missing, because stderr did not take them in time."
            );
        }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Write for &Lines {
    /// Takes a whole line, as the formatter hands it over; never waits.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(Said::Line(line.to_vec())) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        let (done, is_done) = sync_channel(1);
        let mut flush = Said::Flush(done);
        for _ in 0..FAREWELL.as_millis() / BREATH.as_millis() {
            match self.0.try_send(flush) {
                Ok(()) => {
                    // Who does not read it by then does not read it.
                    return is_done.recv_timeout(FAREWELL).unwrap_or_default();
                }
                Err(TrySendError::Full(again)) => flush = again,
                Err(TrySendError::Disconnected(_)) => return,
            }
            std::thread::sleep(BREATH);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, MutexGuard};

    use super::*;

    /// What was written; whoever holds it stops the writing.
    #[derive(Clone, Default)]
    struct Out(Arc<Mutex<Vec<u8>>>);

    impl Out {
        fn held(&self) -> MutexGuard<'_, Vec<u8>> {
            self.0.lock().unwrap()
        }
    }

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.held().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_come_out_whole_in_order_and_before_the_end() {
        let out = Out::default();
        let (lines, flush) = Lines::start(out.clone()).unwrap();
        for number in 0..1000 {
            writeln!(lines.make_writer(), "{number}").unwrap_or_default();
        }
        drop(flush);
        let written = String::from_utf8(out.held().clone()).unwrap();
        let expected: String = (0..1000).map(|number| format!("{number}\n")).collect();
        assert_eq!(written, expected);
    }

    #[test]
    fn nobody_waits_for_who_does_not_read_and_what_is_lost_is_counted() {
        let out = Out::default();
        let (lines, flush) = Lines::start(out.clone()).unwrap();
        let held = out.held();
        let more = 1000;
        for _ in 0..WAITING + more {
            lines.make_writer().write_all(b"line\n").unwrap();
        }
        let dropped = lines.dropped.load(Ordering::Relaxed);
        // The thread has one of them in its hand already, or not yet.
        assert!(
            (more as u64 - 1..=more as u64).contains(&dropped),
            "{dropped}"
        );
        drop(held);
        drop(flush);
        let written = out.held().len() as u64 / 5;
        assert_eq!(written + dropped, (WAITING + more) as u64);
    }
}
