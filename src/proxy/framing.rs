//! Where one request ends and the next begins, read as strictly as the RFC allows.
//!
//! hyper reads the same bytes after us and is lenient in places: it repairs a
//! request that carries both `Content-Length` and `Transfer-Encoding`, takes a
//! bare LF as a line end, and cuts a fragment off the target. None of that is
//! visible to a service above it, and each of it is where two readers can come
//! to disagree about what was said. So the bytes pass through here first, and
//! what is ambiguous does not pass.
//!
//! Pure: bytes in, the index of the first byte that must not pass out.

/// A line of a head, a chunk size or a trailer may be this long; a longer one is
/// refused. Heads are bounded again, as a whole, by hyper.
const LINE_MAX: usize = 40 * 1024;
/// A chunk's size line, extensions included; more is refused.
const SIZE_LINE_MAX: usize = 1024;
/// Trailers of one body, in bytes; more is refused. They are dropped anyway.
const TRAILERS_MAX: usize = 8 * 1024;

/// Reads the framing of a stream of requests.
#[derive(Debug, Default)]
pub(super) struct Framing {
    state: State,
    /// A line that did not end in the bytes seen so far. Empty, without an
    /// allocation, as long as heads arrive in one piece.
    partial: Vec<u8>,
    /// Requests whose last byte has been seen.
    ended: u64,
    /// Nothing came after the last byte of the last of them.
    clean: bool,
}

/// What the stream is in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Between two requests.
    Between,
    /// In a head.
    Head,
    /// In a body.
    Body,
}

/// Something that must not be relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// Index of the first byte that must not pass.
    pub(super) at: usize,
    /// True if it stands in a head, where hyper answers 400 by itself.
    pub(super) in_head: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Before a request line.
    #[default]
    Start,
    /// Header lines.
    Headers(Headers),
    /// So many bytes of a body of known length.
    Length(u64),
    /// A chunk's size line.
    Size,
    /// So many bytes of a chunk.
    Chunk(u64),
    /// The CR after a chunk.
    ChunkCr,
    /// The LF after a chunk.
    ChunkLf,
    /// Trailer lines, so many bytes of them so far.
    Trailers(usize),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Headers {
    length: Option<u64>,
    chunked: bool,
}

impl Framing {
    /// Reads on. Err names the first byte that must not pass; nothing after it
    /// may be fed.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            at += match self.state {
                State::Length(left) => {
                    let taken = clamp(left, rest.len());
                    self.state = State::Length(left - taken as u64);
                    if left == taken as u64 {
                        self.end();
                    }
                    taken
                }
                State::Chunk(left) => {
                    let taken = clamp(left, rest.len());
                    self.state = match left - taken as u64 {
                        0 => State::ChunkCr,
                        left => State::Chunk(left),
                    };
                    taken
                }
                State::ChunkCr if rest.first() == Some(&b'\r') => {
                    self.state = State::ChunkLf;
                    1
                }
                State::ChunkLf if rest.first() == Some(&b'\n') => {
                    self.state = State::Size;
                    1
                }
                State::ChunkCr | State::ChunkLf => return Err(Violation { at, in_head: false }),
                State::Start | State::Headers(_) | State::Size | State::Trailers(_) => {
                    self.feed_line(rest).map_err(|offset| Violation {
                        at: at + offset,
                        in_head: self.phase() != Phase::Body,
                    })?
                }
            };
        }
        Ok(())
    }

    /// What the stream is in the middle of.
    pub(super) fn phase(&self) -> Phase {
        match self.state {
            State::Start if self.partial.is_empty() => Phase::Between,
            State::Start | State::Headers(_) => Phase::Head,
            _ => Phase::Body,
        }
    }

    /// Requests whose last byte has been seen.
    pub(super) const fn ended(&self) -> u64 {
        self.ended
    }

    /// Was the last byte seen the last one of a request? Not after as much as an
    /// empty line behind it.
    pub(super) const fn is_clean(&self) -> bool {
        self.clean
    }

    fn end(&mut self) {
        self.state = State::Start;
        self.ended += 1;
        self.clean = true;
    }

    /// Takes one line, or the beginning of one; returns how many bytes that were.
    /// Err is the offset of the byte that must not pass: the line's end, so that
    /// the faulty line is never complete for the reader above.
    fn feed_line(&mut self, rest: &[u8]) -> Result<usize, usize> {
        self.clean = false;
        let Some(end) = memchr::memchr(b'\n', rest) else {
            if self.partial.len() + rest.len() > LINE_MAX {
                return Err(0);
            }
            self.partial.extend_from_slice(rest);
            return Ok(rest.len());
        };
        let whole = rest.get(..end).unwrap_or_default();
        let next = if self.partial.is_empty() {
            self.state.after(whole)
        } else {
            self.partial.extend_from_slice(whole);
            let line = std::mem::take(&mut self.partial);
            self.state.after(&line)
        };
        match next {
            Some(State::Start) if self.state != State::Start => self.end(),
            Some(state) => self.state = state,
            None => return Err(end),
        }
        Ok(end + 1)
    }
}

impl State {
    /// The state after a whole line (without its LF). None: it must not pass.
    fn after(self, line: &[u8]) -> Option<Self> {
        // A line ends in CR LF, and holds no other CR.
        let (&b'\r', line) = line.split_last()? else {
            return None;
        };
        if memchr::memchr(b'\r', line).is_some() {
            return None;
        }
        match self {
            // One empty line before a request is legal and ignored.
            Self::Start if line.is_empty() => Some(Self::Start),
            // A fragment has no place in a request; hyper would cut it off.
            Self::Start if memchr::memchr(b'#', line).is_some() => None,
            // Nor has it to be heard out if nobody can answer it.
            Self::Start if asks_for_everything(line) => None,
            Self::Start => Some(Self::Headers(Headers::default())),
            Self::Headers(headers) if line.is_empty() => headers.end(),
            Self::Headers(headers) => headers.after(line).map(Self::Headers),
            Self::Size => chunk_size(line).map(|size| match size {
                0 => Self::Trailers(0),
                size => Self::Chunk(size),
            }),
            Self::Trailers(_) if line.is_empty() => Some(Self::Start),
            Self::Trailers(before) => {
                let bytes = before + line.len();
                (bytes <= TRAILERS_MAX && is_trailer(line)).then_some(Self::Trailers(bytes))
            }
            Self::Length(_) | Self::Chunk(_) | Self::ChunkCr | Self::ChunkLf => None,
        }
    }
}

impl Headers {
    fn after(mut self, line: &[u8]) -> Option<Self> {
        match line.first()? {
            // A folded line: obsolete, and read differently by different readers.
            b' ' | b'\t' => return None,
            b'c' | b'C' => {
                if let Some(value) = field(line, b"content-length") {
                    let length = digits(value)?;
                    if self.length.is_some_and(|before| before != length) {
                        return None;
                    }
                    self.length = Some(length);
                }
            }
            b't' | b'T' if field(line, b"transfer-encoding").is_some() => self.chunked = true,
            _ => {}
        }
        Some(self)
    }

    /// The state after the empty line.
    fn end(self) -> Option<State> {
        match (self.length, self.chunked) {
            (Some(_), true) => None,
            // Whether the coding is one we take is the service's to say, with a
            // better status than 400.
            (None, true) => Some(State::Size),
            (None | Some(0), false) => Some(State::Start),
            (Some(length), false) => Some(State::Length(length)),
        }
    }
}

/// A request for `*`, which only OPTIONS may make (RFC 9112, section 3.2.4).
fn asks_for_everything(line: &[u8]) -> bool {
    let mut words = line.split(|byte| *byte == b' ');
    words.next() != Some(b"OPTIONS") && words.next() == Some(b"*")
}

/// The value of the field, if the line is that field. White space before the
/// colon is refused by the parser above.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    head.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 18 {
        return None;
    }
    value.iter().try_fold(0_u64, |sum, byte| {
        byte.is_ascii_digit()
            .then(|| sum * 10 + u64::from(byte - b'0'))
    })
}

/// `HEX[;extension]`, nothing else.
fn chunk_size(line: &[u8]) -> Option<u64> {
    if line.len() > SIZE_LINE_MAX {
        return None;
    }
    let end = memchr::memchr(b';', line).unwrap_or(line.len());
    let (size, extension) = line.split_at_checked(end)?;
    if size.is_empty() || size.len() > 15 {
        return None;
    }
    if extension
        .iter()
        .any(|&byte| byte == 0x7f || (byte < b' ' && byte != b'\t'))
    {
        return None;
    }
    size.iter().try_fold(0_u64, |sum, &byte| {
        char::from(byte)
            .to_digit(16)
            .map(|digit| sum << 4 | u64::from(digit))
    })
}

fn is_trailer(line: &[u8]) -> bool {
    let Some(colon) = memchr::memchr(b':', line) else {
        return false;
    };
    let (name, value) = line.split_at(colon);
    !name.is_empty() && name.iter().all(|&byte| is_token(byte)) && !value.contains(&0)
}

/// May this byte stand in a token (RFC 9110, 5.6.2)?
pub(super) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the smaller of the two fits a usize, because one of them is one"
)]
fn clamp(left: u64, available: usize) -> usize {
    left.min(available as u64) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> (Framing, Result<(), Violation>) {
        let mut framing = Framing::default();
        let result = framing.feed(bytes);
        (framing, result)
    }

    #[test]
    fn plain_requests_pass_and_are_counted() {
        for (stream, requests, phase) in [
            ("GET /a HTTP/1.1\r\nHost: a\r\n\r\n", 1, Phase::Between),
            ("\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n", 1, Phase::Between),
            (
                "POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
                1,
                Phase::Between,
            ),
            (
                "POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nab",
                0,
                Phase::Body,
            ),
            (
                "POST /a HTTP/1.1\r\ncontent-length:0\r\n\r\nGET / HTTP/1.1\r\n",
                1,
                Phase::Head,
            ),
            (
                "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=\"y\"\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: v\r\n\r\nGE",
                1,
                Phase::Head,
            ),
        ] {
            let (framing, result) = read(stream.as_bytes());
            assert_eq!(result, Ok(()), "{stream:?}");
            assert_eq!(framing.ended(), requests, "{stream:?}");
            assert_eq!(framing.phase(), phase, "{stream:?}");
        }
    }

    #[test]
    fn the_least_byte_behind_a_request_is_noticed() {
        for request in [
            "GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
            "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ] {
            let (mut framing, result) = read(request.as_bytes());
            assert_eq!((result, framing.is_clean()), (Ok(()), true), "{request:?}");
            for behind in ["\r\n", "G", "\x01", "\n"] {
                let all = format!("{request}{behind}");
                let (framing, _) = read(all.as_bytes());
                assert!(!framing.is_clean(), "{all:?}");
            }
            assert_eq!(framing.feed(request.as_bytes()), Ok(()));
            assert!(framing.is_clean(), "and it is so after the next one again");
        }
    }

    #[test]
    fn what_two_readers_could_read_differently_does_not_pass() {
        for (stream, in_head) in [
            ("GET /a HTTP/1.1\nHost: a\r\n\r\n", true),
            ("GET /a HTTP/1.1\r\nHost: a\n\r\n", true),
            ("GET /a HTTP/1.1\r\nHost: a\r\n\n", true),
            ("GET /a HTTP/1.1\r\nX: a\rb\r\n\r\n", true),
            ("GET /a HTTP/1.1\r\nX: a\r\n b\r\n\r\n", true),
            ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", true),
            ("M-SEARCH * HTTP/1.1\r\nHost: a\r\n", true),
            (
                "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
                true,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
                true,
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
                true,
            ),
            ("POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\n", true),
            (
                "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
                true,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n",
                false,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n",
                false,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;\0\r\nabc\r\n",
                false,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n",
                false,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n",
                false,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\rX",
                false,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\n",
                false,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno colon\r\n\r\n",
                false,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1234567890abcdef\r\n",
                false,
            ),
        ] {
            let (framing, result) = read(stream.as_bytes());
            let violation = result.expect_err(stream);
            assert_eq!(violation.in_head, in_head, "{stream:?}");
            assert_eq!(framing.ended(), 0, "{stream:?}");
        }
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_are_cut(cuts in proptest::collection::vec(1_usize..9, 0..80)) {
            let stream = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nPOST /b HTTP/1.1\r\nContent-Length: 4\r\n\r\nabcd";
            let mut framing = Framing::default();
            let mut rest = &stream[..];
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                prop_assert_eq!(framing.feed(piece), Ok(()));
                rest = after;
            }
            prop_assert_eq!(framing.feed(rest), Ok(()));
            prop_assert_eq!(framing.ended(), 2);
            prop_assert_eq!(framing.phase(), Phase::Between);
        }

        #[test]
        fn no_bytes_make_it_panic_or_point_outside(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let (_, Err(violation)) = read(&bytes) {
                prop_assert!(violation.at < bytes.len());
            }
        }
    }
}
