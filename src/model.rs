//! The words everything else is written in.
//!
//! Small values that are checked once, where they enter, and trusted from then
//! on. Nothing in here knows about sockets, files, clocks or configuration.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// One of the two generations of the voice application. There is no third.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Backend {
    /// The generation that has always answered, and that we go back to.
    Legacy,
    /// The generation being rolled out.
    New,
}

impl Backend {
    /// Both, legacy first.
    pub const ALL: [Self; 2] = [Self::Legacy, Self::New];

    /// The word for it in configuration, metrics, API and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::New => "new",
        }
    }

    /// The backend of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|backend| backend.name() == name)
    }

    /// Position in an array that holds one thing for each backend.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One value for each backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerBackend<T> {
    /// What belongs to legacy.
    pub legacy: T,
    /// What belongs to new.
    pub new: T,
}

impl<T> PerBackend<T> {
    /// Builds both sides with one function.
    pub fn from_fn(mut make: impl FnMut(Backend) -> T) -> Self {
        Self {
            legacy: make(Backend::Legacy),
            new: make(Backend::New),
        }
    }
}

impl<T> std::ops::Index<Backend> for PerBackend<T> {
    type Output = T;

    fn index(&self, backend: Backend) -> &T {
        match backend {
            Backend::Legacy => &self.legacy,
            Backend::New => &self.new,
        }
    }
}

impl<T> std::ops::IndexMut<Backend> for PerBackend<T> {
    fn index_mut(&mut self, backend: Backend) -> &mut T {
        match backend {
            Backend::Legacy => &mut self.legacy,
            Backend::New => &mut self.new,
        }
    }
}

/// The share of calls or tenants that go to new: 0 to 100 in steps of 0.01.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percentage(u16);

impl Percentage {
    /// Everything to legacy.
    pub const ZERO: Self = Self(0);
    /// Everything to new.
    pub const FULL: Self = Self(10_000);

    /// A percentage from hundredths of a percent, 0 to 10000.
    pub const fn from_basis_points(points: u16) -> Option<Self> {
        if points <= 10_000 {
            Some(Self(points))
        } else {
            None
        }
    }

    /// A percentage from a number such as `12.5`; refuses what is outside 0 to
    /// 100, what is not a number, and steps finer than 0.01.
    pub fn new(percent: f64) -> Option<Self> {
        if !(0.0..=100.0).contains(&percent) {
            return None;
        }
        let points = percent * 100.0;
        let whole = points.round();
        if (points - whole).abs() > 1e-6 {
            return None;
        }
        // In range by the check above, so the cast cannot cut anything off.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Some(Self(whole as u16))
    }

    /// Hundredths of a percent, 0 to 10000.
    pub const fn basis_points(self) -> u16 {
        self.0
    }

    /// The number people say: 12.5 for 12.5 %.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl fmt::Display for Percentage {
    /// `10 %`, `12.5 %`, `0.01 %`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.as_f64())
    }
}

/// How a provider speaks to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Telnyx TeXML: forms in, TeXML documents out.
    TelnyxTexml,
    /// Telnyx Call Control: JSON events in, nothing out but a status; the
    /// application acts by commands of its own.
    TelnyxCallControl,
    /// Vapi server messages: JSON in, JSON out where the message asks for it.
    Vapi,
    /// Twilio TwiML: forms in, TwiML documents out.
    Twilio,
}

impl Protocol {
    /// Every protocol this version speaks.
    pub const ALL: [Self; 4] = [
        Self::TelnyxTexml,
        Self::TelnyxCallControl,
        Self::Vapi,
        Self::Twilio,
    ];

    /// The word for it in configuration and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TelnyxTexml => "telnyx-texml",
            Self::TelnyxCallControl => "telnyx-call-control",
            Self::Vapi => "vapi",
            Self::Twilio => "twilio",
        }
    }

    /// The protocol of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|protocol| protocol.name() == name)
    }
}

/// A moment on the monotonic clock: microseconds since the process began.
///
/// Windows, holds, deadlines and pins are measured in ticks, because nobody can
/// set this clock back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u64);

impl Tick {
    /// The time from `earlier` to here; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// Whole seconds since the process began.
    pub const fn secs(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The moment that many whole seconds after the process began.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs * 1_000_000)
    }
}

impl std::ops::Add<Duration> for Tick {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)),
        )
    }
}

impl std::ops::Sub<Duration> for Tick {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)),
        )
    }
}

/// A moment on the calendar: milliseconds since 1970, UTC. It may step.
///
/// For the journal, plans and the age of signatures; never for a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(pub i64);

/// A call id as the table knows it: a keyed hash of the provider's id.
///
/// Eight bytes instead of up to sixty, and no telephone secret in memory dumps.
/// Two of a million calls share a key once in 37 million tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallKey(pub u64);

impl CallKey {
    /// The key of a call id under this installation's seed. The seed is secret,
    /// so nobody can make two call ids meet on purpose.
    pub fn new(call: &str, seed: u64) -> Self {
        Self(xxh3_64_with_seed(call.as_bytes(), seed))
    }
}

/// A tenant as evidence knows it: a hash of its id, so that counting by tenant
/// costs no allocation and reveals no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantKey(pub u64);

impl TenantKey {
    /// What calls of an unknown tenant count under.
    pub const NONE: Self = Self(0);

    /// The key of a tenant id.
    pub fn new(tenant: &str) -> Self {
        Self(xxh3_64_with_seed(tenant.as_bytes(), 0))
    }
}

/// Text that may name a person, made safe for a log or a page.
///
/// Keeps the last two characters, so that two entries can be told apart, and the
/// length is not shown. `+14155550142` becomes `…42`.
pub fn mask(text: &str) -> Cow<'static, str> {
    let mut last = text.chars().rev();
    match (
        last.next(),
        last.next(),
        last.next(),
        last.next(),
        last.next(),
    ) {
        (Some(end), Some(before), Some(_), Some(_), Some(_)) => format!("…{before}{end}").into(),
        _ => "…".into(),
    }
}

/// A text somebody wrote, with what may be a telephone number in it masked: seven
/// digits or more in a row, or nine where dashes, dots, brackets or single blanks part
/// them. A date beside a time of day is none.
pub fn mask_numbers(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut run = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let within = !run.is_empty() && "-.()".contains(c);
        let goes_on = |next: &char| next.is_ascii_digit() || *next == '(';
        let between = !run.is_empty() && c == ' ' && chars.peek().is_some_and(goes_on);
        if c.is_ascii_digit() || within || between {
            run.push(c);
        } else {
            flush(&mut run, &mut masked);
            masked.push(c);
        }
    }
    flush(&mut run, &mut masked);
    masked
}

fn flush(run: &mut String, into: &mut String) {
    if run.split(' ').any(is_date) {
        let words = run.split(' ').map(mask_run);
        into.push_str(&words.collect::<Vec<_>>().join(" "));
    } else {
        into.push_str(&mask_run(run));
    }
    run.clear();
}

fn mask_run(run: &str) -> Cow<'_, str> {
    let digits: String = run.chars().filter(char::is_ascii_digit).collect();
    let parts = run.split(|c: char| !c.is_ascii_digit());
    let longest = parts.map(str::len).max().unwrap_or(0);
    if longest >= 7 || digits.len() >= 9 {
        mask(&digits)
    } else {
        run.into()
    }
}

/// `2026-11-20`.
fn is_date(word: &str) -> bool {
    word.split('-').map(str::len).eq([4, 2, 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_within_a_text_is_masked_and_a_date_is_not() {
        for (text, masked) in [
            (
                "booking lost for +14155550142, twice",
                "booking lost for +…42, twice",
            ),
            ("call 415-555-0142 again", "call …42 again"),
            ("call +1 415 555 0142 again", "call +…42 again"),
            ("call (415) 555 0142, or 5", "call (…42, or 5"),
            ("8 of 31 calls, 100 200", "8 of 31 calls, 100 200"),
            ("2026-11-20 09:18, by 30", "2026-11-20 09:18, by 30"),
            ("2026-11-20 4155550142", "2026-11-20 …42"),
            (
                "since 2026-11-20 at 09:18, 120 rows",
                "since 2026-11-20 at 09:18, 120 rows",
            ),
            ("1234567", "…67"),
            ("123456", "123456"),
            ("", ""),
        ] {
            assert_eq!(mask_numbers(text), masked);
        }
    }

    #[test]
    fn a_percentage_is_between_0_and_100_in_hundredths() {
        for (number, points) in [
            (0.0, Some(0)),
            (0.01, Some(1)),
            (12.5, Some(1250)),
            (100.0, Some(10_000)),
            (33.33, Some(3333)),
        ] {
            assert_eq!(
                Percentage::new(number).map(Percentage::basis_points),
                points,
                "{number}"
            );
        }
        for number in [-0.01, 100.01, 0.001, f64::NAN, f64::INFINITY] {
            assert_eq!(Percentage::new(number), None, "{number} is no percentage");
        }
    }

    #[test]
    fn a_number_is_masked_to_its_last_two_digits() {
        assert_eq!(mask("+14155550142"), "…42");
        assert_eq!(mask("1234"), "…", "too short to show any of it");
        assert_eq!(mask("日本語テキスト"), "…スト");
    }

    #[test]
    fn ticks_never_go_below_zero() {
        assert_eq!(Tick(5) - Duration::from_secs(1), Tick(0));
        assert_eq!(Tick(5).since(Tick(9)), Duration::ZERO);
    }
}
