//! What a program said, in a bounded room: how it began and how it ended.

use std::collections::VecDeque;

use crate::model::mask_numbers;

/// Bytes kept of the beginning, and as many of the end. What lies between is dropped.
const EACH: usize = 4096;

/// Characters of one line that are shown.
const LINE_MAX: usize = 500;

/// The first and the last bytes of what was said.
#[derive(Debug, Default)]
pub(super) struct Kept {
    first: Vec<u8>,
    last: VecDeque<u8>,
    dropped: usize,
}

impl Kept {
    /// More was said.
    pub(super) fn hear(&mut self, bytes: &[u8]) {
        let room = EACH.saturating_sub(self.first.len()).min(bytes.len());
        let (first, rest) = bytes.split_at(room);
        self.first.extend_from_slice(first);
        self.last.extend(rest);
        let over = self.last.len().saturating_sub(EACH);
        self.last.drain(..over);
        self.dropped += over;
    }

    /// Its lines that are not empty, with numbers masked, and how much is missing.
    pub(super) fn lines(&self) -> Vec<String> {
        let last: Vec<u8> = self.last.iter().copied().collect();
        if self.dropped == 0 {
            return lines(&[self.first.as_slice(), &last].concat());
        }
        let mut all = lines(&self.first);
        all.push(format!("… {} bytes are left out …", self.dropped));
        all.extend(lines(&last));
        all
    }

    /// The last line that is not empty.
    pub(super) fn last_line(&self) -> Option<String> {
        self.lines().pop()
    }
}

/// The lines of some bytes that are not empty, each safe for a log and a terminal.
fn lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.split(['\n', '\r']).map(clean);
    lines.filter(|line| !line.is_empty()).collect()
}

/// One line for people: cut off, numbers masked, nothing that moves a cursor.
pub(super) fn clean(line: &str) -> String {
    let line: String = line.trim().chars().take(LINE_MAX).collect();
    mask_numbers(&line.replace(char::is_control, " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_and_the_end_are_kept_and_the_middle_is_counted() {
        let mut kept = Kept::default();
        kept.hear(b"first line\n");
        for _ in 0..1000 {
            kept.hear(b"a line of the middle\n");
        }
        kept.hear(b"call +14155550142 \x1b[2J\n\nlast line\n");
        let lines = kept.lines();
        assert_eq!(lines.first().unwrap(), "first line");
        assert_eq!(lines.last().unwrap(), "last line");
        assert_eq!(kept.last_line().unwrap(), "last line");
        let said = 11 + 21_000 + 34;
        let missing = format!("… {} bytes are left out …", said - 2 * EACH);
        assert!(lines.contains(&missing), "{lines:?}");
        assert!(lines.contains(&"call +…42  [2J".to_owned()), "{lines:?}");
    }

    #[test]
    fn what_is_short_is_kept_whole() {
        let mut kept = Kept::default();
        assert_eq!(kept.last_line(), None);
        kept.hear(&[b'x'; EACH - 1]);
        kept.hear(b"yz");
        let whole = format!("{}yz", "x".repeat(EACH - 1));
        assert_eq!(kept.dropped, 0);
        assert_eq!(kept.lines(), [clean(&whole)]);
    }
}
