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
mod tests;
