//! A backend's answer, from bytes to a head and a body.
//!
//! Backends are trusted not to attack us, not to be free of bugs: every bound is
//! here, and whatever is not HTTP is a failure of that backend, not of ours.
//! Pure: bytes in, meaning out.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::proxy::head::is_one_hop;

/// The longest head a backend may answer with; more is a failure `malformed`.
pub(super) const HEAD_MAX: usize = 64 * 1024;
/// The most headers; more is a failure `malformed`.
const HEADERS_MAX: usize = 100;

/// Room for this many headers is made in any case: hyper reads the next request of
/// the connection into the map that this answer leaves, if it is large enough.
const HEADERS_ROOM: usize = 24;

/// The answer was not HTTP as we understand it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the backend's answer is malformed: {0}")]
pub(super) struct Malformed(pub(super) &'static str);

/// An answer's head.
#[derive(Debug)]
pub(super) struct Head {
    /// Its status, 200 and up, or 101 where that was asked for.
    pub(super) status: StatusCode,
    /// Its headers without those of one hop and without the body's length.
    pub(super) headers: HeaderMap,
    /// How many bytes it took.
    pub(super) bytes: usize,
    /// Where its body ends.
    pub(super) framing: Framing,
    /// The connection may carry another request afterwards.
    pub(super) reusable: bool,
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes; 0 where there is none.
    Length(u64),
    /// After the last chunk.
    Chunked,
    /// With the connection.
    Close,
}

/// What the beginning of an answer holds.
#[derive(Debug)]
pub(super) enum Read {
    /// Not a whole head yet.
    Partial,
    /// An interim answer (1xx) of so many bytes, to be skipped.
    Interim(usize),
    /// The head.
    Head(Head),
}

/// Reads the head of an answer to a request with `method`, which may have asked for
/// an `upgrade`. Header values share the memory of `bytes`. What stands behind the
/// head of a 101 is no body and nothing of HTTP.
///
/// # Errors
///
/// The bytes are no head, or one over our bounds.
pub(super) fn read(bytes: &Bytes, method: &Method, upgrade: bool) -> Result<Read, Malformed> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut []);
    let length = match httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut parsed, bytes, &mut headers)
        .map_err(|_| Malformed("no HTTP/1 head"))?
    {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial if bytes.len() >= HEAD_MAX => {
            return Err(Malformed("a head over 64 KiB"));
        }
        httparse::Status::Partial => return Ok(Read::Partial),
    };
    let code = parsed.code.unwrap_or_default();
    let status = StatusCode::from_u16(code).map_err(|_| Malformed("no such status"))?;
    let switches = status == StatusCode::SWITCHING_PROTOCOLS && upgrade;
    if status.is_informational() && !switches {
        // Nobody may switch protocols on us unasked.
        return match status {
            StatusCode::SWITCHING_PROTOCOLS => Err(Malformed("switched protocols unasked")),
            _ => Ok(Read::Interim(length)),
        };
    }
    let old = parsed.version == Some(0);
    let mut head = Head {
        status,
        headers: HeaderMap::with_capacity(parsed.headers.len().max(HEADERS_ROOM)),
        bytes: length,
        framing: Framing::Close,
        reusable: !old,
    };
    let mut body = Announced::default();
    for field in parsed.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| Malformed("a header's name"))?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(field.value))
            .map_err(|_| Malformed("a header's value"))?;
        // Left out as they come, because taking them out again costs a hash each.
        if body.note(&name, &value)? || is_one_hop(&name) {
            continue;
        }
        head.headers.append(name, value);
    }
    head.finish(body, method, old)?;
    Ok(Read::Head(head))
}

/// What a head says about its body and its connection.
#[derive(Debug, Default)]
struct Announced {
    length: Option<HeaderValue>,
    chunked: bool,
    /// The `Connection` lines; nearly always none or one.
    connection: Vec<HeaderValue>,
}

impl Announced {
    /// Takes note of a header. True: it is about the body or the connection, and
    /// not to be passed on.
    fn note(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<bool, Malformed> {
        if name == header::CONTENT_LENGTH {
            if self.length.as_ref().is_some_and(|before| before != value) {
                return Err(Malformed("two lengths"));
            }
            self.length = Some(value.clone());
        } else if name == header::TRANSFER_ENCODING {
            if self.chunked || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                return Err(Malformed("a transfer coding other than chunked"));
            }
            self.chunked = true;
        } else if name == header::CONNECTION {
            self.connection.push(value.clone());
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn length(&self) -> Result<Option<u64>, Malformed> {
        let Some(value) = &self.length else {
            return Ok(None);
        };
        value
            .to_str()
            .ok()
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .map(Some)
            .ok_or(Malformed("its Content-Length"))
    }

    /// What `Connection` names.
    fn tokens(&self) -> impl Iterator<Item = &[u8]> {
        self.connection
            .iter()
            .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
            .map(<[u8]>::trim_ascii)
    }

    fn names(&self, token: &[u8]) -> bool {
        self.tokens().any(|named| named.eq_ignore_ascii_case(token))
    }
}

impl Head {
    fn finish(&mut self, body: Announced, method: &Method, old: bool) -> Result<(), Malformed> {
        let length = body.length()?;
        self.reusable = !body.names(b"close") && (!old || body.names(b"keep-alive"));
        let bare = method == Method::HEAD
            || matches!(
                self.status,
                StatusCode::SWITCHING_PROTOCOLS | StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
            );
        self.framing = match (bare, body.chunked, length) {
            (true, ..) => Framing::Length(0),
            (_, true, length) => {
                // Both at once: chunked wins, and nothing after it is trusted.
                self.reusable &= length.is_none();
                Framing::Chunked
            }
            (.., Some(length)) => Framing::Length(length),
            (.., None) => Framing::Close,
        };
        self.reusable &=
            self.framing != Framing::Close && self.status != StatusCode::SWITCHING_PROTOCOLS;
        for token in body.tokens() {
            if let Ok(name) = HeaderName::from_bytes(token) {
                self.headers.remove(name);
            }
        }
        // The length is announced anew, except where it says what a GET would get.
        if let (true, Some(length)) = (method == Method::HEAD, body.length) {
            self.headers.insert(header::CONTENT_LENGTH, length);
        }
        Ok(())
    }
}

/// Takes a body out of its framing, piece by piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decoder {
    /// So many bytes are left.
    Length(u64),
    /// Chunks.
    Chunked(Chunk),
    /// Until the connection closes.
    Close,
}

/// Where in the chunks we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// In a size, of so much and so many digits so far.
    Size(u64, u8),
    /// In the extension of a chunk of that size, to be ignored.
    Extension(u64),
    /// In a chunk, so many bytes left.
    Data(u64),
    /// Before the line end after a chunk.
    DataEnd,
    /// In a trailer line, of so many bytes so far (0: at its beginning).
    Trailer(u16),
    /// At the end.
    Done,
}

impl Decoder {
    /// For a body framed like this.
    pub(super) const fn new(framing: Framing) -> Self {
        match framing {
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Chunk::Size(0, 0)),
            Framing::Close => Self::Close,
        }
    }

    /// Has the whole body been seen? Never true where only the connection's end
    /// tells.
    pub(super) const fn done(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunk::Done))
    }

    /// Is the body whole if the connection ends here?
    pub(super) const fn may_end(&self) -> bool {
        matches!(self, Self::Close) || self.done()
    }

    /// Appends what of `input` is body to `out` and says how much of the input
    /// was used: all of it, unless the body ended before.
    pub(super) fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Malformed> {
        match self {
            Self::Close => {
                out.extend_from_slice(input);
                Ok(input.len())
            }
            Self::Length(left) => {
                let taken =
                    usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                out.extend_from_slice(input.get(..taken).unwrap_or_default());
                *left -= taken as u64;
                Ok(taken)
            }
            Self::Chunked(chunk) => chunk.decode(input, out),
        }
    }
}

impl Chunk {
    fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Malformed> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            if let Self::Data(left) = self {
                let rest = input.get(at..).unwrap_or_default();
                let taken = usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                out.extend_from_slice(rest.get(..taken).unwrap_or_default());
                *left -= taken as u64;
                at += taken;
                if *left == 0 {
                    *self = Self::DataEnd;
                }
                continue;
            }
            if *self == Self::Done {
                break;
            }
            *self = self.after(byte)?;
            at += 1;
        }
        Ok(at)
    }

    /// The state after one byte outside of a chunk's data.
    fn after(self, byte: u8) -> Result<Self, Malformed> {
        let size_ends = |size| match size {
            0 => Self::Trailer(0),
            size => Self::Data(size),
        };
        Ok(match (self, byte) {
            (Self::Size(_, 15), byte) if byte.is_ascii_hexdigit() => {
                return Err(Malformed("a chunk's size"));
            }
            (Self::Size(size, digits), byte) => match (char::from(byte).to_digit(16), byte) {
                (Some(digit), _) => Self::Size(size << 4 | u64::from(digit), digits + 1),
                (None, b'\n') if digits > 0 => size_ends(size),
                (None, b'\r' | b';' | b' ' | b'\t') if digits > 0 => Self::Extension(size),
                _ => return Err(Malformed("a chunk's size")),
            },
            (Self::Extension(size), b'\n') => size_ends(size),
            (Self::DataEnd, b'\n') => Self::Size(0, 0),
            (Self::DataEnd, b'\r') => Self::DataEnd,
            (Self::DataEnd, _) => return Err(Malformed("a chunk longer than its size")),
            (Self::Trailer(0), b'\n') => Self::Done,
            (Self::Trailer(_), b'\n') => Self::Trailer(0),
            (Self::Trailer(0), b'\r') => Self::Trailer(0),
            (Self::Trailer(u16::MAX), _) => return Err(Malformed("endless trailers")),
            (Self::Trailer(bytes), _) => Self::Trailer(bytes + 1),
            (state, _) => state,
        })
    }
}

#[cfg(test)]
mod tests;
