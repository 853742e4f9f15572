//! An open stream: bytes both ways, as fast as the slower side takes them.
//!
//! What one side sends is read only when the other has taken what came before, so
//! a stream holds at most [`PIECE`] bytes in each direction, and none at all while
//! both sides keep up: bytes that can be written at once are never stored.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::clock;
use crate::proxy::websocket::frames::{self, Seam};
use crate::proxy::wire::Timer;

/// What is read in one go, and the most that waits in one direction. What is read
/// ahead of the backend's answer, at most [`super::peek::MAX`], comes on top once.
const PIECE: usize = 8 * 1024;

/// How long the other end may take to hang up after our last word. Then its
/// connection is closed, said or not.
pub(in crate::proxy) const LINGER: Duration = Duration::from_millis(500);

/// How long a stream whose one side has ended may stay still. No websocket has more to
/// say for long once the other end hung up, and one that is never closed would hold its
/// place, and a drain, until it counts as idle.
pub(super) const HALF_OPEN: Duration = Duration::from_secs(10);

/// How a stream ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Both sides had said all they had to say.
    Whole,
    /// The provider's connection broke.
    Provider(io::Error),
    /// The backend's connection broke.
    Backend(io::Error),
    /// Nothing came from either side for too long.
    Idle,
}

/// A stream between two connections.
#[derive(Debug)]
pub(super) struct Pump<P, B> {
    provider: P,
    backend: B,
    /// From the provider to the backend.
    up: Lane,
    /// From the backend to the provider.
    down: Lane,
}

impl<P, B> Pump<P, B>
where
    P: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    /// Between these two. `up` and `down` were read already, from the provider
    /// and from the backend.
    pub(super) fn new(provider: P, backend: B, up: Vec<u8>, down: Vec<u8>) -> Self {
        Self {
            provider,
            backend,
            up: Lane::new(up),
            down: Lane::new(down),
        }
    }

    /// Runs until the stream ends, or nothing has moved for `idle`, or for `half_open`
    /// after one side has ended.
    pub(super) async fn run(&mut self, idle: Duration, half_open: Duration) -> Ended {
        let mut timer = Timer::default();
        let mut moved_at = clock::tick();
        let mut moved = 0;
        let mut is_half = false;
        poll_fn(|cx| {
            let up = self.up.poll(cx, &mut self.provider, &mut self.backend);
            let down = self.down.poll(cx, &mut self.backend, &mut self.provider);
            // A side whose connection broke still has its last words passed on.
            if down.is_ready()
                && let Some(error) = self.up.broken(&mut self.down)
            {
                return Poll::Ready(Ended::Backend(error));
            }
            if up.is_ready()
                && let Some(error) = self.down.broken(&mut self.up)
            {
                return Poll::Ready(Ended::Provider(error));
            }
            if up.is_ready() && down.is_ready() {
                return Poll::Ready(Ended::Whole);
            }
            let sum = self.up.moved + self.down.moved;
            let ends_half = up.is_ready() || down.is_ready();
            let has_ended = ends_half != std::mem::replace(&mut is_half, ends_half);
            if sum != std::mem::replace(&mut moved, sum) || has_ended {
                moved_at = clock::tick();
            }
            let quiet = if is_half { half_open.min(idle) } else { idle };
            timer.poll(cx, moved_at + quiet).map(|()| Ended::Idle)
        })
        .await
    }

    /// We end it, not they: says so to both with a Close frame of this code, where
    /// one can be put, and hangs up. `mask` is for the backend, whose client we are.
    pub(super) async fn cut(mut self, code: u16, mask: [u8; 4]) {
        if self.down.takes_a_frame() {
            last_word(&mut self.provider, &frames::close(code, None)).await;
        }
        if self.up.takes_a_frame() {
            last_word(&mut self.backend, &frames::close(code, Some(mask))).await;
        }
        tokio::join!(hang_up(&mut self.provider), hang_up(&mut self.backend));
    }
}

/// Writes a last frame, if there is room for it now. Who has not taken what came
/// before would not hear it anyway.
pub(super) async fn last_word(to: &mut (impl AsyncWrite + Unpin), frame: &[u8]) {
    poll_fn(|cx| {
        // As it is the last there is nothing to do about a failure.
        drop(Pin::new(&mut *to).poll_write(cx, frame));
        Poll::Ready(())
    })
    .await;
}

/// Ends our side and gives the other [`LINGER`] to end its own: closed with bytes
/// unread, the system would take our last word back.
pub(super) async fn hang_up(connection: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let goodbye = async {
        if connection.shutdown().await.is_err() {
            return;
        }
        let mut unheard = [0; 1024];
        while let Ok(1..) = connection.read(&mut unheard).await {}
    };
    drop(tokio::time::timeout(LINGER, goodbye).await);
}

/// One direction.
#[derive(Debug, Default)]
struct Lane {
    /// Read but not yet written, from `at` on.
    held: Vec<u8>,
    at: usize,
    /// Nothing more comes.
    ended: bool,
    /// What was read and written, to see that something moves.
    moved: u64,
    seam: Seam,
    /// Reading from the one side failed.
    from_broke: Option<io::Error>,
    /// Writing to the other side failed; what still comes is for nobody.
    to_broke: Option<io::Error>,
    over: bool,
}

impl Lane {
    fn new(held: Vec<u8>) -> Self {
        Self {
            held,
            ..Self::default()
        }
    }

    /// Moves what can be moved. Ready: this direction is over.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<()> {
        while !self.over {
            if let Err(error) = ready!(self.poll_write(cx, to)) {
                self.to_broke = Some(error);
                self.over = true;
                break;
            }
            // What TLS still holds would wait there until somebody says more.
            if let Err(error) = ready!(Pin::new(&mut *to).poll_flush(cx)) {
                self.to_broke = Some(error);
                self.over = true;
                break;
            }
            if self.ended {
                // Half-closed: the other direction goes on.
                if let Err(error) = ready!(Pin::new(&mut *to).poll_shutdown(cx)) {
                    self.to_broke = Some(error);
                }
                self.over = true;
                break;
            }
            ready!(self.poll_read(cx, from, to));
        }
        Poll::Ready(())
    }

    /// Writes what is held.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        while let Some(rest) = self.held.get(self.at..).filter(|rest| !rest.is_empty()) {
            let written = ready!(Pin::new(&mut *to).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.seam.pass(rest.get(..written).unwrap_or_default());
            self.at += written;
            self.moved += written as u64;
        }
        self.at = 0;
        // The memory too: most streams never hold anything again.
        self.held = Vec::new();
        Poll::Ready(Ok(()))
    }

    /// Reads once, and writes what the other side takes at once.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<()> {
        let mut piece = [const { MaybeUninit::uninit() }; PIECE];
        let mut piece = ReadBuf::uninit(&mut piece);
        if let Err(error) = ready!(Pin::new(from).poll_read(cx, &mut piece)) {
            self.from_broke = Some(error);
            self.ended = true;
            return Poll::Ready(());
        }
        let bytes = piece.filled();
        self.ended = bytes.is_empty();
        self.moved += bytes.len() as u64;
        let written = match Pin::new(to).poll_write(cx, bytes) {
            _ if bytes.is_empty() => 0,
            Poll::Ready(Ok(written)) => written,
            // It will be said again when what is held is written.
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        };
        let (now, later) = bytes.split_at(written.min(bytes.len()));
        self.seam.pass(now);
        self.held = later.to_vec();
        Poll::Ready(())
    }

    /// What broke at the side this one leads to and `back` comes from.
    fn broken(&mut self, back: &mut Self) -> Option<io::Error> {
        self.to_broke.take().or_else(|| back.from_broke.take())
    }

    /// Would a frame of ours be read as one?
    fn takes_a_frame(&self) -> bool {
        self.held.len() == self.at && self.seam.is_open() && !self.ended && !self.over
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    type Pumped = Pump<DuplexStream, DuplexStream>;

    /// A stream with room for so many bytes in each pipe, and its two ends.
    fn stream(room: usize, up: &[u8], down: &[u8]) -> (Pumped, DuplexStream, DuplexStream) {
        let (provider, caller) = duplex(room);
        let (backend, robot) = duplex(room);
        let pump = Pump::new(provider, backend, up.to_vec(), down.to_vec());
        (pump, caller, robot)
    }

    #[tokio::test]
    async fn what_was_read_before_comes_first_and_all_of_it_arrives() {
        let (mut pump, mut caller, mut robot) = stream(7, b"begin ", b"hello ");
        let talk = async {
            caller.write_all(&[b'a'; 20_000]).await.unwrap();
            caller.shutdown().await.unwrap();
            let mut heard = Vec::new();
            caller.read_to_end(&mut heard).await.unwrap();
            heard
        };
        let answer = async move {
            let mut heard = vec![0; 20_006];
            robot.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard[..8], b"begin aa");
            assert_eq!(robot.read(&mut [0]).await.unwrap(), 0, "half-closed");
            robot.write_all(b"after your end").await.unwrap();
            drop(robot);
        };
        let (ended, heard, ()) = tokio::join!(pump.run(LONG, LONG), talk, answer);
        assert_eq!(heard, b"hello after your end");
        assert!(matches!(ended, Ended::Whole), "{ended:?}");
    }

    #[tokio::test]
    async fn a_side_that_does_not_read_stops_the_other_within_one_piece() {
        let (mut pump, mut caller, _robot) = stream(1024, b"", b"");
        let mut sent = 0;
        let talk = async {
            loop {
                sent += caller.write(&[1; 512]).await.unwrap();
            }
        };
        tokio::select! {
            biased;
            ended = pump.run(Duration::from_millis(50), LONG) => {
                assert!(matches!(ended, Ended::Idle), "{ended:?}");
            }
            () = talk => {}
        }
        // Two pipes, and what the pump holds itself.
        assert!(sent <= 2 * 1024 + PIECE, "{sent}");
        assert!(pump.up.held.len() <= PIECE);
    }

    /// A provider that never hung up once held a drain for as long as streams may be
    /// idle.
    #[tokio::test]
    async fn a_side_that_does_not_hang_up_after_the_other_is_not_waited_for_long() {
        for who in ["caller", "robot"] {
            let (mut pump, caller, robot) = stream(1024, b"", b"");
            let kept = if who == "caller" {
                drop(robot);
                caller
            } else {
                drop(caller);
                robot
            };
            let ended = pump.run(LONG, Duration::from_millis(20)).await;
            assert!(matches!(ended, Ended::Idle), "{who}: {ended:?}");
            drop(kept);
        }
    }

    #[tokio::test]
    async fn a_side_that_still_speaks_after_the_other_ended_is_heard() {
        let (mut pump, mut caller, mut robot) = stream(1024, b"", b"");
        caller.shutdown().await.unwrap();
        let talk = async move {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_millis(30)).await;
                robot.write_all(b"more").await.unwrap();
            }
        };
        let mut heard = Vec::new();
        let half_open = Duration::from_secs(5);
        let (ended, (), _) = tokio::join!(
            pump.run(LONG, half_open),
            talk,
            caller.read_to_end(&mut heard)
        );
        assert!(matches!(ended, Ended::Whole), "{ended:?}");
        assert_eq!(heard, b"more".repeat(10));
    }

    #[tokio::test]
    async fn we_cut_with_a_close_frame_but_never_within_another() {
        for (sent, told) in [
            (&[0x82, 1, 7][..], &[0x88, 2, 3, 233][..]),
            (&[0x82, 2, 7], &[]),
            (&[0x88, 0], &[]),
        ] {
            let (mut pump, mut caller, mut robot) = stream(1024, b"", b"");
            robot.write_all(sent).await.unwrap();
            let ended = pump.run(Duration::from_millis(20), LONG).await;
            assert!(matches!(ended, Ended::Idle), "{ended:?}");
            let (mut to_caller, mut to_robot) = (Vec::new(), Vec::new());
            let (_, caller_end, robot_end) = tokio::join!(
                pump.cut(1001, [1, 2, 3, 4]),
                caller.read_to_end(&mut to_caller),
                robot.read_to_end(&mut to_robot),
            );
            assert!(caller_end.is_ok() && robot_end.is_ok());
            assert_eq!(to_caller, [sent, told].concat());
            assert_eq!(to_robot, [0x88, 0x82, 1, 2, 3, 4, 3 ^ 1, 233 ^ 2]);
        }
    }
}
