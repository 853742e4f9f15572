//! What operators are shown of a backend and no row of a table reads: how many calls
//! an hour and a day, what callers choose, how long data and connections take, and
//! how many websockets are open.
//!
//! An epoch does not clear it: what people look at is the traffic as it was.

use std::time::Duration;

use super::trail::Trail;
use super::window::Slot;
use super::{Choices, Streamed, menu_place};
use crate::model::Tick;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const TEN_SECONDS: Duration = Duration::from_secs(10);

/// One backend's. About 6 kB.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Calls begun in the last hour, by the minute.
    minutes: Trail<Count>,
    /// The last 24 hours, by the hour.
    hours: Trail<Hour>,
    /// Data queries of the last five minutes.
    data: Trail<Spent>,
    /// Connections opened in the last hour.
    connects: Trail<Spent>,
    streams: u64,
}

/// The figures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Numbers {
    /// Calls begun in the last hour.
    pub calls_per_hour: u64,
    /// Calls begun since [`Shown::day_since`].
    pub calls_per_day: u64,
    /// First menu choices since [`Shown::day_since`].
    pub choices: Choices,
    /// Milliseconds that data took in the mean, as the backend says, last five minutes.
    pub data_query_mean_ms: Option<f64>,
    /// Milliseconds that opening a connection took in the mean, last hour.
    pub connect_mean_ms: Option<f64>,
    /// Websockets open now.
    pub streams_active: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count(u64);

#[derive(Clone, Copy, Debug, Default)]
struct Hour {
    calls: u64,
    choices: Choices,
}

/// How often and how long.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    times: u64,
    sum_us: u64,
}

impl Shown {
    /// Nothing was seen yet.
    pub fn new(now: Tick) -> Self {
        Self {
            minutes: Trail::new(MINUTE, 60, now),
            hours: Trail::new(HOUR, 24, now),
            data: Trail::new(TEN_SECONDS, 30, now),
            connects: Trail::new(MINUTE, 60, now),
            streams: 0,
        }
    }

    /// A call began.
    pub fn begun(&mut self, at: Tick) {
        self.minutes.change(at, |slot| slot.0 += 1);
        self.hours.change(at, |slot| slot.calls += 1);
    }

    /// A caller made the first choice of a call. What is no key is none.
    pub fn chose(&mut self, at: Tick, key: u8) {
        if let Some(place) = menu_place(key) {
            self.hours.change(at, |slot| slot.choices[place] += 1);
        }
    }

    /// The backend said how long its data took.
    pub fn queried(&mut self, at: Tick, took_us: u32) {
        self.data.change(at, |slot| slot.took(took_us));
    }

    /// A connection was opened, lately.
    pub fn connected(&mut self, took_us: u32) {
        self.connects.change_now(|slot| slot.took(took_us));
    }

    /// A websocket was opened, or not, or ended.
    pub fn streamed(&mut self, what: Streamed) {
        self.streams = match what {
            Streamed::Opened => self.streams + 1,
            // One that was opened while observations were lost ends here as well.
            Streamed::Closed => self.streams.saturating_sub(1),
            Streamed::Refused => self.streams,
        };
    }

    /// Moves every span on to now.
    pub fn advance(&mut self, now: Tick) {
        self.minutes.advance(now);
        self.hours.advance(now);
        self.data.advance(now);
        self.connects.advance(now);
    }

    /// Where the last 24 hours begin: with a full hour, so that up to one is missing,
    /// and not before the process began.
    pub fn day_since(&self) -> Tick {
        self.hours.since()
    }

    /// The figures of this moment.
    pub fn numbers(&self) -> Numbers {
        let day = self.hours.total();
        Numbers {
            calls_per_hour: self.minutes.total().0,
            calls_per_day: day.calls,
            choices: day.choices,
            data_query_mean_ms: self.data.total().mean_ms(),
            connect_mean_ms: self.connects.total().mean_ms(),
            streams_active: self.streams,
        }
    }
}

impl Spent {
    fn took(&mut self, us: u32) {
        self.times += 1;
        self.sum_us += u64::from(us);
    }

    fn mean_ms(self) -> Option<f64> {
        (self.times > 0).then(|| self.sum_us as f64 / self.times as f64 / 1000.0)
    }
}

impl Slot for Count {
    fn add(&mut self, other: &Self) {
        self.0 += other.0;
    }
    fn subtract(&mut self, other: &Self) {
        self.0 -= other.0;
    }
}

impl Slot for Hour {
    fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        for (mine, theirs) in self.choices.iter_mut().zip(other.choices) {
            *mine += theirs;
        }
    }
    fn subtract(&mut self, other: &Self) {
        self.calls -= other.calls;
        for (mine, theirs) in self.choices.iter_mut().zip(other.choices) {
            *mine -= theirs;
        }
    }
}

impl Slot for Spent {
    fn add(&mut self, other: &Self) {
        self.times += other.times;
        self.sum_us += other.sum_us;
    }
    fn subtract(&mut self, other: &Self) {
        self.times -= other.times;
        self.sum_us -= other.sum_us;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_leave_the_hour_and_stay_in_the_day() {
        let mut shown = Shown::new(Tick(0));
        shown.begun(Tick::from_secs(30));
        shown.begun(Tick::from_secs(3000));
        shown.advance(Tick::from_secs(3599));
        assert_eq!(shown.numbers().calls_per_hour, 2);
        shown.advance(Tick::from_secs(3600));
        let numbers = shown.numbers();
        assert_eq!((numbers.calls_per_hour, numbers.calls_per_day), (1, 2));
        assert_eq!(shown.day_since(), Tick(0), "since the start, if shorter");
        shown.advance(Tick::from_secs(24 * 3600));
        let numbers = shown.numbers();
        assert_eq!((numbers.calls_per_hour, numbers.calls_per_day), (0, 0));
        assert_eq!(shown.day_since(), Tick::from_secs(3600));
    }

    #[test]
    fn first_choices_are_counted_by_key_and_what_is_no_key_is_none() {
        let mut shown = Shown::new(Tick(0));
        for key in *b"1121#*x\n" {
            shown.chose(Tick(0), key);
        }
        let choices = shown.numbers().choices;
        assert_eq!((choices[1], choices[2]), (3, 1));
        assert_eq!((choices[10], choices[11]), (1, 1), "star and pound");
        assert_eq!(choices.iter().sum::<u64>(), 6);
    }

    #[test]
    fn data_is_timed_over_five_minutes_and_connections_over_an_hour() {
        let mut shown = Shown::new(Tick(0));
        shown.queried(Tick(0), 10_000);
        shown.queried(Tick(0), 15_000);
        shown.connected(800);
        assert_eq!(shown.numbers().data_query_mean_ms, Some(12.5));
        shown.advance(Tick::from_secs(300));
        let numbers = shown.numbers();
        assert_eq!(numbers.data_query_mean_ms, None);
        assert_eq!(numbers.connect_mean_ms, Some(0.8));
        shown.advance(Tick::from_secs(3600));
        assert_eq!(shown.numbers().connect_mean_ms, None);
    }

    #[test]
    fn open_websockets_are_those_opened_and_not_closed() {
        use Streamed::{Closed, Opened, Refused};
        let mut shown = Shown::new(Tick(0));
        for (what, open) in [
            (Opened, 1),
            (Opened, 2),
            (Refused, 2),
            (Closed, 1),
            (Closed, 0),
            (Closed, 0),
        ] {
            shown.streamed(what);
            assert_eq!(shown.numbers().streams_active, open, "{what:?}");
        }
    }
}
