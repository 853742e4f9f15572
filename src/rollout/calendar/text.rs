//! How windows, hours, days of the plan and freezes are written, and what is said where
//! they cannot be read: words that finish the sentence "… is refused:".

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;

use super::{DAYS_AHEAD, Freeze, Window};
use crate::rollout::plan::{Hours, NotBefore};

const WINDOW: &str =
    "write a window as \"Sunday 02:00-04:00\", or as \"02:00-04:00\" for every day";
const HOURS: &str = "write hours as \"08:00-18:00\"";
const DAY: &str = "write a moment of the plan as \"day 1 12:00\"";
const DATE: &str = "write a date as \"2026-12-15\", or a date and time as \"2026-12-15 18:00\"";

const DAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

impl Window {
    /// Reads `Sunday 02:00-04:00`, or `02:00-04:00` for every day. A window that ends
    /// before it begins ends on the next day.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (day, rest) = match text.split_once(char::is_whitespace) {
            Some((first, rest)) if !starts_with_digit(first) => (Some(weekday(first)?), rest),
            _ if !starts_with_digit(text) => {
                // A day alone, or nothing that was meant as one.
                return weekday(text).and_then(|_| Err(WINDOW.to_owned()));
            }
            _ => (None, text),
        };
        let (from, to) = span(rest, WINDOW)?;
        Ok(Self { day, from, to })
    }
}

impl fmt::Display for Window {
    /// As [`Window::parse`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(day) = self.day {
            write!(f, "{} ", name(day))?;
        }
        write!(f, "{}-{}", time(self.from), end(self.to))
    }
}

impl Hours {
    /// Reads `08:00-18:00`. Hours that end before they begin run over midnight.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (from, to) = span(text, HOURS)?;
        Ok(Self { from, to })
    }
}

impl fmt::Display for Hours {
    /// As [`Hours::parse`] reads them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", time(self.from), end(self.to))
    }
}

impl NotBefore {
    /// Reads `day 1 12:00`; without a time it is the day's beginning.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let is_day = words
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case("day"));
        let (Some(number), at, None, true) = (words.next(), words.next(), words.next(), is_day)
        else {
            return Err(DAY.to_owned());
        };
        let day = number
            .parse::<u16>()
            .ok()
            .filter(|day| (1..=DAYS_AHEAD).contains(day))
            .ok_or_else(|| format!("a plan's days are counted from 1 to {DAYS_AHEAD}: {DAY}"))?;
        let at = match at {
            Some(at) => clock(at, DAY)?,
            None => Time::midnight(),
        };
        Ok(Self { day, at })
    }
}

impl fmt::Display for NotBefore {
    /// As [`NotBefore::parse`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "day {} {}", self.day, time(self.at))
    }
}

impl Freeze {
    /// When a freeze begins that is written so: a date's first moment in the zone, or a
    /// date and time.
    pub fn begins(text: &str, zone: &TimeZone) -> Result<Timestamp, String> {
        match moment(text)? {
            Written::Date(date) => local(date.to_datetime(Time::midnight()), zone),
            Written::Local(at) => local(at, zone),
            Written::Moment(at) => Ok(at),
        }
    }

    /// When it ends: a date is included, so that it ends with the next one's first moment.
    pub fn ends(text: &str, zone: &TimeZone) -> Result<Timestamp, String> {
        match moment(text)? {
            Written::Date(date) => {
                let next = date.tomorrow().map_err(|_| DATE.to_owned())?;
                local(next.to_datetime(Time::midnight()), zone)
            }
            Written::Local(at) => local(at, zone),
            Written::Moment(at) => Ok(at),
        }
    }

    /// A freeze from and to what is written so; see [`Freeze::begins`] and
    /// [`Freeze::ends`].
    pub fn parse(from: &str, to: &str, reason: &str, zone: &TimeZone) -> Result<Self, String> {
        let (from, to) = (Self::begins(from, zone)?, Self::ends(to, zone)?);
        if to <= from {
            return Err("a freeze ends after it begins: swap `from` and `to`".to_owned());
        }
        Ok(Self {
            from,
            to,
            reason: reason.to_owned(),
        })
    }
}

/// A time of day: `02:00`.
pub(super) fn time(at: Time) -> String {
    at.strftime("%H:%M").to_string()
}

/// The end of a span: midnight is the day's end.
pub(super) fn end(at: Time) -> String {
    if at == Time::midnight() {
        "24:00".to_owned()
    } else {
        time(at)
    }
}

enum Written {
    Date(Date),
    Local(DateTime),
    Moment(Timestamp),
}

fn moment(text: &str) -> Result<Written, String> {
    let text = text.trim();
    // Whoever writes an offset means it; read as a local time it would be passed over.
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Written::Moment(at));
    }
    let has_time = text.contains(':');
    let plain = text
        .chars()
        .all(|c| c.is_ascii_digit() || "-:T .".contains(c));
    let read: Option<DateTime> = text.parse().ok().filter(|_| plain);
    match read {
        Some(at) if has_time => Ok(Written::Local(at)),
        Some(at) => Ok(Written::Date(at.date())),
        None => Err(DATE.to_owned()),
    }
}

fn local(at: DateTime, zone: &TimeZone) -> Result<Timestamp, String> {
    zone.to_timestamp(at).map_err(|_| DATE.to_owned())
}

fn span(text: &str, shape: &str) -> Result<(Time, Time), String> {
    let (from, to) = text
        .split_once(['-', '–'])
        .ok_or_else(|| shape.to_owned())?;
    let from = clock(from.trim(), shape)?;
    let to = match to.trim() {
        "24:00" => Time::midnight(),
        to => clock(to, shape)?,
    };
    if from == to && from != Time::midnight() {
        return Err(format!(
            "it begins and ends at {}: write \"00:00-24:00\" for the whole day",
            time(from)
        ));
    }
    Ok((from, to))
}

/// A time of day as hours and minutes.
fn clock(text: &str, shape: &str) -> Result<Time, String> {
    let read = |part: &str, digits: std::ops::RangeInclusive<usize>| {
        let whole = digits.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        whole.then(|| part.parse::<i8>().ok()).flatten()
    };
    let time = text
        .split_once(':')
        .and_then(|(hour, minute)| Time::new(read(hour, 1..=2)?, read(minute, 2..=2)?, 0, 0).ok());
    time.ok_or_else(|| {
        if text == "24:00" {
            return "a day begins at 00:00; only an end is written 24:00".to_owned();
        }
        // What stands in the file is the operator's own and short; a longer text is no time.
        let shown: String = text.chars().take(20).collect();
        format!("\"{shown}\" is no time of day, 00:00 to 23:59: {shape}")
    })
}

/// A day of the week by its name, or by the first three letters of it.
fn weekday(text: &str) -> Result<Weekday, String> {
    let word = text.to_lowercase();
    DAYS.iter()
        .find(|(name, _)| *name == word || name.get(..3) == Some(word.as_str()))
        .map(|(_, day)| *day)
        .ok_or_else(|| {
            let shown: String = text.chars().take(20).collect();
            let near = DAYS
                .iter()
                .find(|(name, _)| strsim::damerau_levenshtein(name, &word) <= 2)
                .map_or_else(String::new, |(_, day)| {
                    format!(" (did you mean {}?)", name(*day))
                });
            format!("\"{shown}\" is no day of the week{near}: {WINDOW}")
        })
}

const fn name(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}

fn starts_with_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}
