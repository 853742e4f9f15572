//! As much HTTP/1.1 as both tools need: where a message ends, and its headers.
//!
//! Lean on purpose. The tools share a core with each other, and whatever they
//! spend is missing from the load they can put on the proxy.

/// A message's head, found at the start of some bytes.
pub(crate) struct Head<'a> {
    /// Request line or status line.
    pub(crate) first_line: &'a [u8],
    /// Bytes up to and with the blank line.
    pub(crate) len: usize,
    /// How the end of the body is known.
    framing: Framing,
}

enum Framing {
    Length(usize),
    Chunked,
}

/// Reads a head and shows each header to `on_header`. None: not all there yet.
pub(crate) fn read_head<'a>(
    bytes: &'a [u8],
    mut on_header: impl FnMut(&'a [u8], &'a [u8]),
) -> Option<Head<'a>> {
    let mut first_line: Option<&[u8]> = None;
    let mut framing = Framing::Length(0);
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', bytes) {
        let line = bytes.get(start..end)?.trim_ascii_end();
        start = end + 1;
        let Some(first_line) = first_line else {
            first_line = Some(line);
            continue;
        };
        if line.is_empty() {
            return Some(Head {
                first_line,
                len: start,
                framing,
            });
        }
        let Some(colon) = memchr::memchr(b':', line) else {
            continue;
        };
        let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?.trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            framing = Framing::Length(decimal(value)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            framing = Framing::Chunked;
        } else {
            on_header(name, value);
        }
    }
    None
}

/// Bytes of the whole message that begins with `head`. None: not all there yet.
pub(crate) fn message_len(bytes: &[u8], head: &Head<'_>) -> Option<usize> {
    let total = match head.framing {
        Framing::Length(body) => head.len.checked_add(body)?,
        Framing::Chunked => head.len + chunked_len(bytes.get(head.len..)?)?,
    };
    (total <= bytes.len()).then_some(total)
}

fn chunked_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = bytes.get(at..)?;
        let line_end = memchr::memchr(b'\n', rest)?;
        let digits = std::str::from_utf8(rest.get(..line_end)?).ok()?;
        let size = digits.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        at = at.checked_add(line_end + 1 + size)?.checked_add(2)?;
        if size == 0 {
            return (at <= bytes.len()).then_some(at);
        }
    }
}

fn decimal(value: &[u8]) -> Option<usize> {
    std::str::from_utf8(value).ok()?.parse().ok()
}
