//! One thing wrong with a configuration, and the pile all of them go on.
//!
//! Nothing in here stops at the first: an operator who edits at three in the
//! morning wants to see everything that is wrong, once.

use std::cell::RefCell;
use std::ops::Range;

/// The configuration file itself, as [`Problem::file`].
pub const MAIN: usize = 0;
/// The tenant directory, as [`Problem::file`].
pub const TENANTS: usize = 1;

/// How many problems are kept for one load; the file with more is the wrong file.
const MOST: usize = 200;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The configuration is refused.
    Error,
    /// It is taken, but probably not what was meant.
    Warning,
}

/// One thing wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub level: Level,
    /// Which of the report's files it stands in: [`MAIN`] or [`TENANTS`].
    pub file: usize,
    /// Bytes of that file it is about; None where something is missing altogether.
    pub span: Option<Range<usize>>,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// It may only be the shadow of a syntax error (something missing, something
    /// that does not fit together), so it is not shown beside one.
    pub(super) follows: bool,
}

impl Problem {
    /// A problem that refuses the configuration.
    pub(super) fn error(span: Option<Range<usize>>, message: impl Into<String>) -> Self {
        Self {
            level: Level::Error,
            file: MAIN,
            span,
            message: message.into(),
            help: None,
            follows: false,
        }
    }

    /// A problem that does not.
    pub(super) fn warning(span: Option<Range<usize>>, message: impl Into<String>) -> Self {
        Self {
            level: Level::Warning,
            ..Self::error(span, message)
        }
    }

    /// Says what to do about it.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// It may only be the shadow of a syntax error.
    pub(super) fn follows(mut self) -> Self {
        self.follows = true;
        self
    }

    /// It stands in the tenant directory.
    pub(super) fn in_tenants(mut self) -> Self {
        self.file = TENANTS;
        self
    }
}

/// The pile. Shared by reference while the file is walked, which one thread does.
#[derive(Debug, Default)]
pub(super) struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    /// Puts one on the pile; past [`MOST`] it is dropped.
    pub(super) fn add(&self, problem: Problem) {
        let mut pile = self.0.borrow_mut();
        if pile.len() < MOST {
            pile.push(problem);
        }
    }

    /// Takes the pile.
    pub(super) fn take(&self) -> Vec<Problem> {
        self.0.take()
    }
}

/// The candidate a misspelt word most probably meant.
pub(super) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    // Longer words are no slips of the finger, and comparing is quadratic.
    if word.len() > 64 {
        return None;
    }
    let word = word.to_lowercase();
    candidates
        .iter()
        .map(|&candidate| (strsim::jaro_winkler(&word, candidate), candidate))
        .filter(|&(likeness, candidate)| {
            likeness > 0.84 || strsim::damerau_levenshtein(&word, candidate) * 3 <= word.len()
        })
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// Candidates as a sentence lists them: `` `a`, `b` or `c` ``.
pub(super) fn listed(candidates: &[&str]) -> String {
    match candidates {
        [] => String::new(),
        [only] => format!("`{only}`"),
        [rest @ .., last] => {
            let rest: Vec<_> = rest.iter().map(|word| format!("`{word}`")).collect();
            format!("{} or `{last}`", rest.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_a_stranger_finds_none() {
        let words = ["percentage", "above", "below", "timeout", "measure"];
        for (slip, meant) in [
            ("percent", Some("percentage")),
            ("abvoe", Some("above")),
            ("time_out", Some("timeout")),
            ("Measure", Some("measure")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(slip, &words), meant, "{slip}");
        }
    }

    #[test]
    fn a_list_reads_like_a_sentence() {
        assert_eq!(listed(&["a"]), "`a`");
        assert_eq!(listed(&["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
