//! Walking a parsed file: sections that know which of their keys were asked for,
//! and values that can be read as what they should be.
//!
//! A reader that finds something wrong puts it on the pile and answers None, so
//! that the walk always goes on to the end.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Problem, Problems, listed, nearest};
use super::text;
use crate::model::mask;

/// A value and where it stands; a default stands nowhere.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    /// The value.
    pub(super) value: T,
    /// Its bytes in the file.
    pub(super) span: Option<Range<usize>>,
}

/// A table of the file, or the place where one should be.
#[derive(Debug)]
pub(super) struct Section<'a> {
    table: Option<&'a DeTable<'a>>,
    /// How people find it: `[split]`, `[[route]] number 2`.
    pub(super) name: String,
    /// Its header.
    pub(super) span: Option<Range<usize>>,
    known: RefCell<Vec<&'static str>>,
    pub(super) problems: &'a Problems,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(super) fn root(table: &'a DeTable<'a>, problems: &'a Problems) -> Self {
        Self::new(Some(table), "the file".into(), None, problems)
    }

    fn new(
        table: Option<&'a DeTable<'a>>,
        name: String,
        span: Option<Range<usize>>,
        problems: &'a Problems,
    ) -> Self {
        Self {
            table,
            name,
            span,
            known: RefCell::default(),
            problems,
        }
    }

    /// Is it in the file at all?
    pub(super) const fn is_there(&self) -> bool {
        self.table.is_some()
    }

    /// The value of a key, if it is there.
    pub(super) fn get(&self, key: &'static str) -> Option<Value<'a>> {
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        let (found, value) = self.table?.get_key_value(key)?;
        Some(Value {
            name: key.to_owned(),
            key_span: found.span(),
            value,
            problems: self.problems,
        })
    }

    /// The value of a key that has to be there.
    pub(super) fn need(&self, key: &'static str, example: &str) -> Option<Value<'a>> {
        let value = self.get(key);
        if value.is_none() {
            self.problems.add(
                Problem::error(self.span.clone(), format!("{} needs `{key}`", self.name))
                    .help(format!("for example: {key} = {example}"))
                    .follows(),
            );
        }
        value
    }

    /// The table of that name; an absent one is empty.
    pub(super) fn section(&self, key: &'static str, name: &str) -> Self {
        let Some(value) = self.get(key) else {
            return Self::new(None, name.to_owned(), None, self.problems);
        };
        value
            .table(name)
            .unwrap_or_else(|| Self::new(None, name.to_owned(), Some(value.span()), self.problems))
    }

    /// The tables of an array of tables.
    pub(super) fn rows(&self, key: &'static str) -> Vec<Self> {
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        let DeValue::Array(rows) = value.value.get_ref() else {
            value.wrong(&format!("written as [[{key}]], once for each row"));
            return Vec::new();
        };
        rows.iter()
            .enumerate()
            .filter_map(|(index, row)| {
                let section = self
                    .name
                    .strip_prefix('[')
                    .and_then(|it| it.strip_suffix(']'));
                let dotted = section.map_or_else(String::new, |section| format!("{section}."));
                let name = format!("[[{dotted}{key}]] number {}", index + 1);
                let row = Value {
                    name: key.to_owned(),
                    key_span: row.span(),
                    value: row,
                    problems: self.problems,
                };
                row.table(&name)
            })
            .collect()
    }

    /// Refuses what nobody asked for. `later`: keys of the contract that this
    /// version does not obey; `elsewhere`: keys that belong to another section.
    pub(super) fn finish(&self, later: &[&str], elsewhere: &[(&str, &str)]) {
        let Some(table) = self.table else {
            return;
        };
        let known = self.known.borrow();
        for (key, value) in table.iter() {
            let word = key.get_ref().as_ref();
            if known.contains(&word) {
                continue;
            }
            let shown: String = word.chars().take(60).collect();
            let span = Some(key.span());
            let problem = if later.contains(&word) {
                let what = match value.get_ref() {
                    DeValue::Table(_) | DeValue::Array(_) if self.span.is_none() => "section",
                    _ => "line",
                };
                Problem::error(
                    span,
                    format!("`{word}` is not in this version: remove the {what}"),
                )
            } else if let Some((_, place)) = elsewhere.iter().find(|(name, _)| *name == word) {
                Problem::error(span, format!("`{word}` does not belong in {}", self.name))
                    .help(place.to_string())
            } else {
                let problem =
                    Problem::error(span, format!("unknown key `{shown}` in {}", self.name));
                match nearest(word, &known) {
                    Some(meant) => problem.help(format!("did you mean `{meant}`?")),
                    None => problem.help(format!("known here: {}", listed(&known))),
                }
            };
            self.problems.add(problem);
        }
    }
}

/// One value of the file.
#[derive(Clone, Debug)]
pub(super) struct Value<'a> {
    /// The key it belongs to.
    pub(super) name: String,
    /// Where the key stands. A secret is reported here, never at its value.
    pub(super) key_span: Range<usize>,
    value: &'a Spanned<DeValue<'a>>,
    pub(super) problems: &'a Problems,
}

impl<'a> Value<'a> {
    /// Where it stands.
    pub(super) fn span(&self) -> Range<usize> {
        self.value.span()
    }

    /// Puts "`key` …" on the pile, at the value.
    pub(super) fn refuse(&self, message: impl AsRef<str>, help: impl Into<String>) {
        let message = format!("`{}` {}", self.name, message.as_ref());
        self.problems
            .add(Problem::error(Some(self.span()), message).help(help));
    }

    /// Says that it is of the wrong kind altogether.
    fn wrong(&self, should: &str) {
        let kind = match self.value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let message = format!("`{}` is {kind} here", self.name);
        self.problems
            .add(Problem::error(Some(self.span()), message).help(format!("it is {should}")));
    }

    /// With its place.
    pub(super) fn at<T>(&self, value: T) -> At<T> {
        At {
            value,
            span: Some(self.span()),
        }
    }

    /// Is it a string?
    pub(super) fn as_str(&self) -> Option<&'a str> {
        self.value.get_ref().as_str()
    }

    /// A table, of any kind of brackets.
    pub(super) fn table(&self, name: &str) -> Option<Section<'a>> {
        let Some(table) = self.value.get_ref().as_table() else {
            self.wrong(&format!("a section: {name}"));
            return None;
        };
        // A table that dotted keys made has no brackets to point at.
        let span = if self.value.span().is_empty() {
            self.key_span.clone()
        } else {
            self.value.span()
        };
        Some(Section::new(
            Some(table),
            name.to_owned(),
            Some(span),
            self.problems,
        ))
    }

    /// Is it a table?
    pub(super) fn is_table(&self) -> bool {
        self.value.get_ref().is_table()
    }

    /// Is it a list?
    pub(super) fn is_list(&self) -> bool {
        self.value.get_ref().is_array()
    }

    /// A string that is not empty and has no control characters.
    pub(super) fn string(&self, example: &str) -> Option<&'a str> {
        let Some(text) = self.as_str() else {
            self.wrong(&format!("a string, for example {example}"));
            return None;
        };
        if text.trim().is_empty() || text.contains(char::is_control) {
            self.refuse(
                "is empty or holds control characters",
                format!("write for example {example}"),
            );
            return None;
        }
        Some(text)
    }

    /// A string that one of the readers of `text` understands.
    pub(super) fn read<T>(
        &self,
        example: &str,
        reader: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        match reader(self.string(example)?) {
            Ok(value) => Some(value),
            Err(why) => {
                self.refuse("cannot be read", why);
                None
            }
        }
    }

    /// A duration within bounds.
    pub(super) fn duration(&self, bounds: RangeInclusive<Duration>) -> Option<Duration> {
        let Some(span) = self.as_str().and_then(text::duration) else {
            self.refuse("is no duration", text::DURATION);
            return None;
        };
        if bounds.contains(&span) {
            return Some(span);
        }
        let (least, most) = (text::Span(*bounds.start()), text::Span(*bounds.end()));
        self.refuse(
            format!("is {}, outside what is allowed", text::Span(span)),
            format!("it may be from {least} to {most}"),
        );
        None
    }

    /// A share, as 0..=1.
    pub(super) fn share(&self) -> Option<f64> {
        let share = self.as_str().and_then(text::share);
        if share.is_none() {
            self.refuse("is no share", text::SHARE);
        }
        share
    }

    /// A number, whole or not.
    pub(super) fn number(&self) -> Option<f64> {
        let number = match self.value.get_ref() {
            DeValue::Float(float) => float.as_str().replace('_', "").parse::<f64>().ok(),
            // Everything counted here is far below 2^53.
            #[expect(clippy::cast_precision_loss)]
            DeValue::Integer(_) => self.whole().map(|whole| whole as f64),
            _ => None,
        };
        let number = number.filter(|number| number.is_finite());
        if number.is_none() {
            self.wrong("a number, for example 15");
        }
        number
    }

    /// A whole number within bounds.
    pub(super) fn integer(&self, bounds: RangeInclusive<i64>) -> Option<i64> {
        let whole = self.whole();
        if let Some(whole) = whole.filter(|whole| bounds.contains(whole)) {
            return Some(whole);
        }
        let (least, most) = (bounds.start(), bounds.end());
        let should = format!("a whole number from {least} to {most}");
        match whole {
            Some(whole) => self.refuse(
                format!("is {whole}, outside what is allowed"),
                format!("it is {should}"),
            ),
            None => self.wrong(&should),
        }
        None
    }

    fn whole(&self) -> Option<i64> {
        let integer = self.value.get_ref().as_integer()?;
        i64::from_str_radix(integer.as_str(), integer.radix()).ok()
    }

    /// A size in bytes within bounds, as `"8MiB"` or a number of bytes.
    pub(super) fn size(&self, bounds: RangeInclusive<usize>) -> Option<usize> {
        let size = match self.whole() {
            Some(bytes) => usize::try_from(bytes).ok(),
            None => self.as_str().and_then(text::size),
        };
        let Some(size) = size else {
            self.refuse("is no size", text::SIZE);
            return None;
        };
        if bounds.contains(&size) {
            return Some(size);
        }
        self.refuse(
            format!("is {size} bytes, outside what is allowed"),
            format!(
                "it may be from {} to {} bytes",
                bounds.start(),
                bounds.end()
            ),
        );
        None
    }

    /// True or false.
    pub(super) fn boolean(&self) -> Option<bool> {
        let boolean = self.value.get_ref().as_bool();
        if boolean.is_none() {
            self.wrong("true or false");
        }
        boolean
    }

    /// One of a few words.
    pub(super) fn choice<T: Clone>(&self, words: &[(&str, T)]) -> Option<T> {
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        let text = self.string(&listed(&names))?;
        if let Some((_, meant)) = words.iter().find(|(name, _)| *name == text) {
            return Some(meant.clone());
        }
        let help = match nearest(text, &names) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("it is {}", listed(&names)),
        };
        self.refuse(format!("cannot be \"{}\"", named(text)), help);
        None
    }

    /// An address to listen on.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.read("\"127.0.0.1:8080\"", |text| {
            text.parse().map_err(|_| {
                "write an address and a port: \"0.0.0.0:8080\" or \"[::]:8080\"".into()
            })
        })
    }

    /// Each entry of a list.
    pub(super) fn list(&self, should: &str) -> Vec<Self> {
        let Some(list) = self.value.get_ref().as_array() else {
            self.wrong(should);
            return Vec::new();
        };
        list.iter()
            .map(|value| Self {
                name: self.name.clone(),
                key_span: value.span(),
                value,
                problems: self.problems,
            })
            .collect()
    }

    /// Each entry of a list, or the one string that stands alone.
    pub(super) fn one_or_list(&self, should: &str) -> Vec<Self> {
        if self.as_str().is_some() {
            return vec![self.clone()];
        }
        self.list(should)
    }

    /// How many entries the list has; 0 of what is none.
    pub(super) fn count(&self) -> usize {
        self.value.get_ref().as_array().map_or(0, |list| list.len())
    }

    /// Is it a list of nothing?
    pub(super) fn is_empty_list(&self) -> bool {
        self.value
            .get_ref()
            .as_array()
            .is_some_and(|list| list.is_empty())
    }

    /// As [`Self::one_or_list`], and an empty list is refused.
    pub(super) fn one_or_more(&self, should: &str, example: &str) -> Vec<Self> {
        let list = self.one_or_list(should);
        if self.is_empty_list() {
            self.refuse("is an empty list", format!("for example {example}"));
        }
        list
    }
}

/// A word of the file, short enough for a message.
pub(super) fn shown(word: &str) -> String {
    if word.chars().count() <= 60 {
        return word.to_owned();
    }
    let start: String = word.chars().take(59).collect();
    format!("{start}…")
}

/// A tenant as messages name it: messages reach logs, and a tenant may be a
/// telephone number, which is masked.
pub(super) fn named(tenant: &str) -> String {
    let digits = tenant.bytes().filter(u8::is_ascii_digit).count();
    if digits >= 7 && !tenant.contains(char::is_alphabetic) {
        mask(tenant).into_owned()
    } else {
        shown(tenant)
    }
}
