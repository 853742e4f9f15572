//! A terminal as a place to draw: frames that are written over the last one.
//!
//! Cursor movements are not colours: with `NO_COLOR` a frame is still redrawn in
//! place, only plain. Nothing flickers, because a line is overwritten before what
//! is left of the old one is cleared, and a frame is one write.

use std::io::{self, IsTerminal as _, Write as _};

use anstream::ColorChoice;
use anstream::adapter::strip_str;

/// Columns and rows of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Characters in a line.
    pub columns: usize,
    /// Lines.
    pub rows: usize,
}

/// What is drawn for where nobody can be asked.
const USUAL: Size = Size {
    columns: 80,
    rows: 24,
};

/// The terminal behind stdout.
#[derive(Debug)]
pub struct Terminal {
    colours: bool,
    /// Lines of the last frame, to go back over.
    drawn: usize,
    /// What it was drawn for; another size, or none, begins with an empty screen.
    size: Option<Size>,
    /// Lines said above the frames, said again on an emptied screen. The caller
    /// says a handful.
    said: Vec<String>,
}

impl Terminal {
    /// None where stdout is no terminal, or one that cannot move its cursor.
    pub fn stdout() -> Option<Self> {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        (io::stdout().is_terminal() && !dumb).then(|| Self {
            colours: anstream::AutoStream::choice(&io::stdout()) != ColorChoice::Never,
            drawn: 0,
            size: None,
            said: Vec::new(),
        })
    }

    /// Frames stand below what the terminal already shows, not on an empty screen.
    pub fn below(mut self) -> Self {
        self.size = Some(size());
        self
    }

    /// Writes lines that stay, above the frames to come.
    ///
    /// # Errors
    ///
    /// The terminal is gone.
    pub fn say(&mut self, lines: &[String]) -> io::Result<()> {
        self.said.extend_from_slice(lines);
        let text = over(self.drawn, lines, usize::MAX);
        self.drawn = 0;
        self.write(text)
    }

    /// Draws a frame over the last one, as much of it as there is room for.
    ///
    /// # Errors
    ///
    /// The terminal is gone.
    pub fn frame(&mut self, lines: &[String]) -> io::Result<()> {
        let now = size();
        let mut text = String::new();
        if self.size != Some(now) {
            text.push_str("\x1b[2J\x1b[H");
            text.push_str(&over(0, &self.said, usize::MAX));
            self.drawn = 0;
            self.size = Some(now);
        }
        let lines = fitting(lines, now);
        text.push_str(&over(self.drawn, &lines, now.columns));
        self.drawn = lines.len();
        self.write(text)
    }

    fn write(&self, text: String) -> io::Result<()> {
        let text = if self.colours { text } else { plain(&text) };
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

/// How large the terminal behind stdout is.
pub fn size() -> Size {
    let asked = terminal_size::terminal_size_of(io::stdout());
    asked.map_or(USUAL, |(columns, rows)| Size {
        columns: usize::from(columns.0).max(1),
        rows: usize::from(rows.0).max(2),
    })
}

/// A text broken at spaces into lines of at most so many columns.
pub fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("it began with one line");
        let length = line.chars().count();
        if length == 0 {
            line.push_str(word);
        } else if length + 1 + word.chars().count() <= columns {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// Goes up over the last frame, writes the lines, clears what is left of it.
fn over(drawn: usize, lines: &[String], columns: usize) -> String {
    let mut text = String::new();
    if drawn > 0 {
        text.push_str(&format!("\x1b[{drawn}A\r"));
    }
    for line in lines {
        // A line that fills the last column leaves the cursor on it, and the
        // clearing behind it would take that character away.
        text.push_str(&cut(line, columns.saturating_sub(1)));
        text.push_str("\x1b[K\n");
    }
    text.push_str("\x1b[J");
    text
}

/// The lines there is room for above the cursor's own, and how many there is none for.
fn fitting(lines: &[String], size: Size) -> Vec<String> {
    let room = size.rows - 1;
    if lines.len() <= room {
        return lines.to_vec();
    }
    let mut shown: Vec<String> = lines.iter().take(room - 1).cloned().collect();
    let more = lines.len() - shown.len();
    shown.push(format!("… {more} more lines in a taller terminal"));
    shown
}

/// At most so many columns of a line; what is no character is kept.
fn cut(line: &str, columns: usize) -> String {
    let mut text = String::new();
    let (mut seen, mut escape) = (0, false);
    for c in line.chars() {
        if escape || c == '\x1b' {
            text.push(c);
            escape = c != 'm';
            continue;
        }
        seen += 1;
        if seen <= columns {
            text.push(c);
        }
    }
    text
}

/// Without colours, with everything else. A colour ends in `m`, a movement does not.
fn plain(text: &str) -> String {
    let mut left = text;
    let mut plain = String::new();
    while let Some((before, after)) = left.split_once("\x1b[") {
        plain.push_str(before);
        let end = after.find(|c: char| c.is_ascii_alphabetic());
        let (code, rest) = after.split_at(end.map_or(after.len(), |end| end + 1));
        if !code.ends_with('m') {
            plain.push_str("\x1b[");
            plain.push_str(code);
        }
        left = rest;
    }
    plain + left
}

/// How wide a line looks: without its colours.
pub fn width(line: &str) -> usize {
    strip_str(line).to_string().chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_goes_up_over_the_last_one_and_clears_what_is_left_of_it() {
        let lines = ["one".to_owned(), "two".to_owned()];
        assert_eq!(over(0, &lines, 80), "one\x1b[K\ntwo\x1b[K\n\x1b[J");
        assert!(over(3, &lines, 80).starts_with("\x1b[3A\rone"));
    }

    #[test]
    fn a_line_is_cut_to_the_columns_and_its_colours_end_all_the_same() {
        let line = "a\x1b[1mbcd\x1b[0m";
        assert_eq!(cut(line, 4), line);
        assert_eq!(cut(line, 2), "a\x1b[1mb\x1b[0m");
        assert_eq!(width(line), 4);
    }

    #[test]
    fn a_frame_too_tall_says_how_much_of_it_is_missing() {
        let lines: Vec<String> = (0..10).map(|i| i.to_string()).collect();
        let size = |rows| Size { columns: 80, rows };
        assert_eq!(fitting(&lines, size(11)).len(), 10);
        let shown = fitting(&lines, size(10));
        assert_eq!(
            (shown.len(), shown[8].as_str()),
            (9, "… 2 more lines in a taller terminal")
        );
    }

    #[test]
    fn without_colours_the_cursor_still_moves() {
        assert_eq!(
            plain("\x1b[3A\x1b[1m\x1b[31mred\x1b[0m\x1b[K\n"),
            "\x1b[3Ared\x1b[K\n"
        );
    }

    #[test]
    fn a_text_is_broken_at_spaces() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("a-word-too-long", 3), ["a-word-too-long"]);
    }
}
