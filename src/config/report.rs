//! Every problem at once, each with file, line and caret.
//!
//! A report may end up in a ticket, so lines that may hold a secret are shown
//! with their strings starred out, telephone numbers keep their last two digits, and
//! lines of the tenant directory, which are such numbers, are named but not shown.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use annotate_snippets::{AnnotationKind, Group, Level as Mark, Origin, Renderer, Snippet};

use super::problem::{Level, MAIN, Problem};

/// Words that make a line one not to be shown as it is.
const SECRET: [&str; 10] = [
    "token", "secret", "password", "passwd", "bearer", "hmac", "_key", "notify", "auth", "verify",
];

/// A file that problems point into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its path, as it was given.
    pub path: PathBuf,
    /// Its text; empty where it could not be read.
    pub text: String,
}

/// What is wrong with a configuration, whole. As an error it says all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    sources: Vec<Source>,
    problems: Vec<Problem>,
}

impl Report {
    /// A report over these files, the configuration first.
    pub(super) fn new(sources: Vec<Source>, problems: Vec<Problem>) -> Self {
        let mut report = Self {
            sources,
            problems: Vec::new(),
        };
        report.extend(problems);
        report
    }

    /// Adds problems and brings all into the order of the files.
    pub fn extend(&mut self, problems: impl IntoIterator<Item = Problem>) {
        self.problems.extend(problems);
        // What has no place is about the file as a whole, and comes last in it.
        self.problems.sort_by_key(|problem| {
            let start = problem.span.as_ref().map_or(usize::MAX, |span| span.start);
            (problem.file, start)
        });
    }

    /// Every problem, in the order of the files.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Nothing to say?
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// How many problems refuse the configuration.
    pub fn errors(&self) -> usize {
        self.count(Level::Error)
    }

    /// How many problems do not.
    pub fn warnings(&self) -> usize {
        self.count(Level::Warning)
    }

    fn count(&self, level: Level) -> usize {
        self.problems
            .iter()
            .filter(|problem| problem.level == level)
            .count()
    }

    /// The line of its file a problem stands in, from 1; None where it has no place.
    pub fn line(&self, problem: &Problem) -> Option<usize> {
        let text = &self.sources.get(problem.file)?.text;
        let start = problem.span.as_ref()?.start.min(text.len());
        let before = text.as_bytes().get(..start)?;
        Some(before.iter().filter(|byte| **byte == b'\n').count() + 1)
    }

    /// `3 errors, 1 warning in config/switchback.toml`.
    pub fn summary(&self) -> String {
        let many = |number: usize, word: &str| match number {
            1 => format!("1 {word}"),
            number => format!("{number} {word}s"),
        };
        let counts = match (self.errors(), self.warnings()) {
            (0, 0) => "nothing wrong".to_owned(),
            (0, warnings) => many(warnings, "warning"),
            (errors, 0) => many(errors, "error"),
            (errors, warnings) => {
                format!("{}, {}", many(errors, "error"), many(warnings, "warning"))
            }
        };
        match self.sources.get(MAIN) {
            Some(source) => format!("{counts} in {}", source.path.display()),
            None => counts,
        }
    }

    /// One line for each problem, for a log: `file:line: message (help)`.
    pub fn lines(&self) -> Vec<String> {
        self.problems
            .iter()
            .map(|problem| {
                let place = self.place(problem);
                match &problem.help {
                    Some(help) => format!("{place}: {} ({help})", problem.message),
                    None => format!("{place}: {}", problem.message),
                }
            })
            .collect()
    }

    fn place(&self, problem: &Problem) -> String {
        let path = match self.sources.get(problem.file) {
            Some(source) => source.path.display().to_string(),
            None => "configuration".to_owned(),
        };
        match self.line(problem) {
            Some(line) => format!("{path}:{line}"),
            None => path,
        }
    }

    /// The whole report as people read it, with the summary as its last line.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let shown: Vec<String> = self
            .sources
            .iter()
            .map(|source| starred(&source.text))
            .collect();
        let mut text = String::new();
        for problem in &self.problems {
            text.push_str(&renderer.render(&self.groups(problem, &shown)));
            text.push_str("\n\n");
        }
        text.push_str(&self.summary());
        text.push('\n');
        text
    }

    fn groups<'a>(&'a self, problem: &'a Problem, shown: &'a [String]) -> Vec<Group<'a>> {
        let mark = match problem.level {
            Level::Error => Mark::ERROR,
            Level::Warning => Mark::WARNING,
        };
        let mut group = Group::with_title(mark.primary_title(problem.message.as_str()));
        let path = self
            .sources
            .get(problem.file)
            .map(|source| source.path.display().to_string())
            .unwrap_or_default();
        match (&problem.span, shown.get(problem.file)) {
            (Some(span), Some(text)) if problem.file == MAIN => {
                group = group.element(
                    Snippet::source(text.as_str())
                        .path(path)
                        .annotation(AnnotationKind::Primary.span(first_line(text, span))),
                );
            }
            _ => {
                let origin = Origin::path(path);
                group = group.element(match self.line(problem) {
                    Some(line) => origin.line(line),
                    None => origin,
                });
            }
        }
        if let Some(help) = &problem.help {
            group = group.element(Mark::HELP.message(help.as_str()));
        }
        vec![group]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}

/// A span cut to its first line, to the text, and to whole characters.
fn first_line(text: &str, span: &Range<usize>) -> Range<usize> {
    let whole = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = whole(span.start);
    let end = whole(span.end.max(start));
    let line = text
        .get(start..end)
        .and_then(|inside| inside.find('\n'))
        .map_or(end, |newline| start + newline);
    start..line
}

/// The text with the values of lines that may hold a secret starred out, byte
/// for byte, so that spans still fit. Also user names and passwords in URLs, and
/// telephone numbers.
fn starred(text: &str) -> String {
    let lines = text.split_inclusive('\n');
    lines.map(|line| star_numbers(&star_line(line))).collect()
}

fn star_line(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let written = lower.split('#').next().unwrap_or_default();
    if !SECRET.iter().any(|word| written.contains(word)) {
        return star_credentials(line);
    }
    let Some((key, value)) = line.split_once('=') else {
        return line.to_owned();
    };
    // A table says where the secret is kept; anything else may be the secret.
    let table = value.trim_start().starts_with('{');
    let mut quoted: Option<char> = None;
    let starred: String = value
        .chars()
        .map(|character| match quoted {
            Some(quote) if character == quote => {
                quoted = None;
                character.to_string()
            }
            None if matches!(character, '"' | '\'') => {
                quoted = Some(character);
                character.to_string()
            }
            _ if character.is_whitespace() => character.to_string(),
            None if table => character.to_string(),
            _ => "*".repeat(character.len_utf8()),
        })
        .collect();
    format!("{key}={starred}")
}

fn star_credentials(line: &str) -> String {
    let Some((before, rest)) = line.split_once("://") else {
        return line.to_owned();
    };
    let end = rest.find(['/', '"', '\'', ' ']).unwrap_or(rest.len());
    let (authority, after) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((credentials, host)) => {
            format!("{before}://{}@{host}{after}", "*".repeat(credentials.len()))
        }
        None => line.to_owned(),
    }
}

/// A line with what may be telephone numbers starred but for their last two digits.
fn star_numbers(line: &str) -> String {
    let mut starred = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find(|c: char| c == '+' || c.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        // Addresses and dates have dots and blanks in them, but no plus before them.
        let parts = if from.starts_with('+') {
            "+ -.()"
        } else {
            "-()"
        };
        let end = from.find(|c: char| !c.is_ascii_digit() && !parts.contains(c));
        let (number, after) = from.split_at(end.unwrap_or(from.len()));
        starred.push_str(before);
        starred.push_str(&star_number(number));
        rest = after;
    }
    starred.push_str(rest);
    starred
}

/// Starred if it has seven digits in a row, or nine in parts: a date has eight.
fn star_number(number: &str) -> String {
    let parts = number.split(|c: char| !c.is_ascii_digit());
    let longest = parts.map(str::len).max().unwrap_or(0);
    let mut left = number.bytes().filter(u8::is_ascii_digit).count();
    let is_marked = number.starts_with('+') && left >= 7;
    if longest < 7 && left < 9 && !is_marked {
        return number.to_owned();
    }
    let star = |c: char| {
        left -= usize::from(c.is_ascii_digit());
        if c.is_ascii_digit() && left >= 2 {
            '*'
        } else {
            c
        }
    };
    number.chars().map(star).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_telephone_number_is_starred_but_for_its_end_and_other_numbers_are_not() {
        for (line, shown) in [
            (
                "last_resort = { forward = \"+15557640012\" }\n",
                "last_resort = { forward = \"+*********12\" }\n",
            ),
            ("forward = 15557640012", "forward = *********12"),
            (
                "enabled_tenants = [\"+1 (555) 764-0012\", \"b\"]",
                "enabled_tenants = [\"+* (***) ***-**12\", \"b\"]",
            ),
            ("1234567", "*****67"),
            ("\"555-764-0012\"", "\"***-***-**12\""),
            ("\"+1 555-764\"", "\"+* ***-*64\""),
            ("calls = 200000", "calls = 200000"),
            (
                "url = \"http://127.0.0.1:3001\"",
                "url = \"http://127.0.0.1:3001\"",
            ),
            ("since 2026-11-20, 1+2 é+", "since 2026-11-20, 1+2 é+"),
        ] {
            assert_eq!(star_numbers(line), shown);
            assert_eq!(line.len(), shown.len());
        }
    }

    #[test]
    fn a_line_with_a_secret_is_starred_and_keeps_its_length() {
        for (line, shown) in [
            ("admin_token = \"hunter2\"\n", "admin_token = \"*******\"\n"),
            ("admin_token = hunter2", "admin_token = *******"),
            ("admin_token = \"hunter2", "admin_token = \"*******"),
            ("t = { secret = \"é\" }", "t = { secret = \"**\" }"),
            ("auth_tokn = \"hunter2\"", "auth_tokn = \"*******\""),
            (
                "verify = { mode = \"off\", secrt = \"hunter2\" }",
                "verify = { mode = \"***\", secrt = \"*******\" }",
            ),
            ("url = \"http://u:p@host/\"", "url = \"http://***@host/\""),
            (
                "percentage = 10 # no token here",
                "percentage = 10 # no token here",
            ),
        ] {
            assert_eq!(star_line(line), shown);
            assert_eq!(line.len(), shown.len());
        }
    }

    #[test]
    fn a_span_never_leaves_its_line_or_its_text() {
        assert_eq!(first_line("ab\ncd", &(1..5)), 1..2);
        assert_eq!(first_line("é", &(1..9)), 0..2);
        assert_eq!(first_line("", &(4..9)), 0..0);
    }
}
