//! What a breaker promises, a sentence each, and that it holds whatever it hears.

use proptest::prelude::*;

use super::*;
use crate::measure::{
    Answered, Cause, Kind, Observation, Outcome, RescueResult, Rescued, Voice, Why,
};
use crate::model::{Backend, TenantKey};

const START: Tick = Tick::from_secs(3600);

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A breaker and a clock.
struct Line {
    breaker: Breaker,
    now: Tick,
}

impl Line {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        Self {
            breaker: Breaker::new(settings, START),
            now: START,
        }
    }

    fn hear(&mut self, times: u32, heard: Heard) -> State {
        (0..times).for_each(|_| self.breaker.note(heard, self.now, self.now));
        self.breaker.tick(self.now)
    }

    fn wait(&mut self, span: Duration) -> State {
        self.now = self.now + span;
        self.breaker.tick(self.now)
    }

    /// Open by five failures in a row.
    fn opened() -> Self {
        let mut line = Self::new();
        assert_eq!(line.hear(5, Heard::Bad), State::Open);
        line
    }

    fn because(&self) -> String {
        self.breaker.because().unwrap_or_default()
    }
}

#[test]
fn a_person_who_says_that_all_is_well_closes_it_unless_the_health_check_knows_better() {
    let mut line = Line::opened();
    line.breaker.begin_anew(line.now);
    assert_eq!(line.wait(secs(0)), State::Closed);
    assert_eq!(
        line.hear(4, Heard::Bad),
        State::Closed,
        "what was before is forgotten"
    );
    assert_eq!(line.breaker.opens(), 1, "but not that it opened");
    line.breaker.set_down(true);
    line.wait(secs(1));
    line.breaker.begin_anew(line.now);
    assert_eq!(line.wait(secs(0)), State::Open);
}

#[test]
fn five_failures_in_a_row_open_it_and_four_do_not() {
    for heard in [Heard::Bad, Heard::Silent, Heard::Late] {
        let mut line = Line::new();
        assert_eq!(line.hear(4, heard), State::Closed, "{heard:?}");
        assert_eq!(line.hear(1, Heard::Good), State::Closed);
        assert_eq!(line.hear(4, heard), State::Closed, "a new row");
        assert_eq!(line.hear(1, heard), State::Open, "{heard:?}");
    }
    assert_eq!(Line::opened().because(), "5 failures in a row");
}

#[test]
fn half_of_twenty_answers_within_ten_seconds_opens_it_and_nine_do_not() {
    // Never five in a row.
    let after = |failed: u32, good: u32, spread: Duration| {
        let mut line = Line::new();
        let mut left = (failed, good);
        for turn in 0..failed + good {
            let bad = left.0 > 0 && (turn % 2 == 1 || left.1 == 0);
            match bad {
                true => left.0 -= 1,
                false => left.1 -= 1,
            }
            line.hear(1, if bad { Heard::Bad } else { Heard::Good });
            line.wait(spread);
        }
        (line.breaker.state(), line.because())
    };
    let (state, because) = after(10, 10, Duration::from_millis(100));
    assert_eq!(state, State::Open);
    assert_eq!(because, "50 % of 20 answers in 10 s failed");
    assert_eq!(after(9, 10, Duration::ZERO).0, State::Closed, "19 of 20");
    assert_eq!(after(9, 11, Duration::ZERO).0, State::Closed, "45 %");
    assert_eq!(after(10, 10, secs(1)).0, State::Closed, "over 20 s");
}

#[test]
fn it_stays_open_for_five_seconds_and_no_moment_less() {
    let mut line = Line::opened();
    assert_eq!(line.wait(Duration::from_millis(4999)), State::Open);
    assert_eq!(
        line.hear(9, Heard::Good),
        State::Open,
        "nobody asked for these"
    );
    assert_eq!(line.wait(Duration::from_millis(1)), State::HalfOpen);
    assert_eq!(
        line.wait(secs(3600)),
        State::HalfOpen,
        "until somebody calls"
    );
    assert_eq!(line.because(), "5 failures in a row");
}

#[test]
fn three_good_answers_close_it_and_two_do_not() {
    let mut line = Line::opened();
    line.wait(secs(5));
    assert_eq!(line.hear(2, Heard::Good), State::HalfOpen);
    assert_eq!(line.hear(7, Heard::EventTaken), State::HalfOpen);
    assert_eq!(line.hear(1, Heard::Good), State::Closed);
    assert_eq!(line.breaker.because(), None);
    assert_eq!(line.hear(4, Heard::Bad), State::Closed, "all is forgotten");
}

#[test]
fn each_trial_that_fails_doubles_the_wait_up_to_a_minute() {
    let mut line = Line::opened();
    for wait in [5, 10, 20, 40, 60, 60] {
        assert_eq!(
            line.wait(secs(wait) - Duration::from_millis(1)),
            State::Open
        );
        assert_eq!(line.wait(Duration::from_millis(1)), State::HalfOpen);
        line.hear(2, Heard::Good);
        assert_eq!(line.hear(1, Heard::Bad), State::Open);
    }
    line.wait(secs(60));
    assert_eq!(line.hear(3, Heard::Good), State::Closed);
    line.hear(5, Heard::Bad);
    assert_eq!(
        line.wait(secs(5)),
        State::HalfOpen,
        "from the beginning again"
    );
    assert_eq!(line.breaker.opens_last_hour(line.now), 2, "two outages");
}

// A webhook that was asked before the outage ran into its timeout of ten seconds
// when the trial had begun, and ended the trial.
#[test]
fn what_was_asked_before_the_trial_began_says_nothing_about_it() {
    let mut line = Line::opened();
    line.wait(secs(5));
    let before = line.now - Duration::from_millis(1);
    line.breaker.note(Heard::Silent, before, line.now);
    line.breaker.note(Heard::Good, before, line.now);
    assert_eq!(line.hear(2, Heard::Good), State::HalfOpen);
    line.breaker.note(Heard::Silent, line.now, line.now);
    assert_eq!(line.breaker.state(), State::Open);
}

#[test]
fn a_late_answer_counts_once_when_it_is_late_and_not_again_when_it_comes() {
    let mut line = Line::new();
    for call in 1..=5 {
        let asked = line.now;
        line.wait(Duration::from_millis(1200));
        let state = line.hear(1, Heard::Late);
        line.wait(secs(2));
        line.breaker.note(Heard::Good, asked, line.now);
        assert_eq!(state == State::Open, call == 5, "call {call}");
    }
}

#[test]
fn taken_events_hide_no_failing_callers_and_end_only_a_silence() {
    let mut line = Line::new();
    for _ in 0..4 {
        line.hear(1, Heard::Bad);
        line.hear(50, Heard::EventTaken);
    }
    assert_eq!(line.hear(1, Heard::Bad), State::Open);
    let mut line = Line::new();
    line.hear(4, Heard::EventSilent);
    line.hear(1, Heard::EventTaken);
    assert_eq!(line.hear(4, Heard::EventSilent), State::Closed);
    assert_eq!(line.hear(1, Heard::EventSilent), State::Open);
    assert_eq!(line.because(), "5 webhooks in a row got no answer");
    assert!(line.breaker.is_silent());
    assert!(!Line::opened().breaker.is_silent(), "it answers, but badly");
}

#[test]
fn down_opens_it_and_keeps_it_open() {
    let mut line = Line::new();
    line.breaker.set_down(true);
    assert_eq!(line.wait(Duration::ZERO), State::Open);
    assert_eq!(line.because(), "its health check says it is down");
    assert!(line.breaker.is_out(line.now));
    assert_eq!(line.wait(secs(600)), State::Open);
    line.breaker.set_down(false);
    assert_eq!(line.wait(Duration::ZERO), State::HalfOpen, "at once");
    assert!(!line.breaker.is_out(line.now));
    assert_eq!(line.because(), "its health check said it was down");
    line.breaker.set_down(true);
    assert_eq!(line.wait(Duration::ZERO), State::Open);
    assert_eq!(line.breaker.opens_last_hour(line.now), 1, "one outage");
}

#[test]
fn a_trial_that_fails_is_waited_for_however_good_the_health_check_is() {
    for (heard, because, is_silent) in [
        (
            Heard::Bad,
            "its health check is good, and calls fail all the same",
            false,
        ),
        (
            Heard::Silent,
            "its health check is good, and calls get no answer all the same",
            true,
        ),
    ] {
        let mut line = Line::new();
        line.breaker.set_down(true);
        line.wait(secs(10));
        line.breaker.set_down(false);
        assert_eq!(line.wait(Duration::ZERO), State::HalfOpen, "at once");
        assert_eq!(line.hear(1, heard), State::Open);
        assert_eq!(line.because(), because);
        assert_eq!(line.breaker.is_silent(), is_silent);
        assert_eq!(
            line.wait(secs(10) - Duration::from_millis(1)),
            State::Open,
            "as after any trial that failed"
        );
        assert_eq!(line.wait(Duration::from_millis(1)), State::HalfOpen);
        assert!(line.breaker.is_out(line.now));
    }
}

#[test]
fn a_backend_that_nobody_asks_is_held_to_be_out_for_a_minute_longer() {
    let mut line = Line::opened();
    assert!(line.breaker.is_out(line.now));
    line.wait(secs(5));
    assert!(line.breaker.is_out(line.now));
    line.wait(secs(60) - Duration::from_millis(1));
    assert!(line.breaker.is_out(line.now));
    line.wait(Duration::from_millis(1));
    assert!(!line.breaker.is_out(line.now), "nobody knows");
}

#[test]
fn opens_are_counted_for_an_hour() {
    let mut line = Line::opened();
    line.wait(secs(3500));
    assert_eq!(line.breaker.opens_last_hour(line.now), 1);
    line.wait(secs(160));
    assert_eq!(line.breaker.opens_last_hour(line.now), 0);
    assert_eq!(line.breaker.opens(), 1);
}

#[test]
fn other_settings_hold_from_the_next_word_on() {
    let mut line = Line::new();
    line.hear(4, Heard::Bad);
    let settings = Settings {
        consecutive: 6,
        over: secs(30),
        ..Settings::default()
    };
    line.breaker.set(settings, line.now);
    assert_eq!(line.hear(1, Heard::Bad), State::Closed);
    assert_eq!(line.hear(1, Heard::Bad), State::Open);
}

fn answered(kind: Kind, outcome: Outcome) -> Answered {
    Answered {
        at: START,
        backend: Backend::New,
        route: 0,
        kind,
        outcome,
        latency_us: Some(250_000),
        overhead_us: 0,
        flaw: None,
        voice: (kind == Kind::Voice).then_some(Voice {
            tenant: TenantKey(1),
            failed: outcome != Outcome::Served,
            previous: None,
            previous_failed: None,
        }),
        speech: None,
        choice: None,
        data_us: None,
        counts: true,
        generation: 1,
        call: None,
    }
}

fn heard(what: Answered) -> Option<Heard> {
    Heard::of(&Observation::Answered(what)).map(|(_, heard, _)| heard)
}

#[test]
fn what_counts_is_what_says_something_about_the_next_caller() {
    let of = |kind, cause| heard(answered(kind, Outcome::Failed(cause)));
    for (cause, voice, event) in [
        (
            Cause::Connect,
            Some(Heard::Silent),
            Some(Heard::EventSilent),
        ),
        (Cause::Reset, Some(Heard::Silent), Some(Heard::EventSilent)),
        (
            Cause::Timeout,
            Some(Heard::Silent),
            Some(Heard::EventSilent),
        ),
        (Cause::Malformed, Some(Heard::Silent), None),
        (Cause::Status, Some(Heard::Bad), None),
        (Cause::Document, Some(Heard::Bad), None),
        (Cause::Stale, None, None),
        (Cause::Abandoned, None, None),
        (Cause::ClientGone, None, None),
        (Cause::Internal, None, None),
        (Cause::Breaker, None, None),
        (Cause::Full, None, None),
    ] {
        assert_eq!(of(Kind::Voice, cause), voice, "{cause:?}");
        assert_eq!(of(Kind::Event, cause), event, "{cause:?}");
    }
    let served = |kind| answered(kind, Outcome::Served);
    assert_eq!(heard(served(Kind::Voice)), Some(Heard::Good));
    assert_eq!(heard(served(Kind::Event)), Some(Heard::EventTaken));
    let (_, _, asked) = Heard::of(&Observation::Answered(served(Kind::Voice))).unwrap();
    assert_eq!(asked, START - Duration::from_millis(250));
}

#[test]
fn what_is_not_genuine_and_what_a_call_repeats_is_no_failure() {
    let failed = answered(Kind::Voice, Outcome::Failed(Cause::Status));
    let forged = Answered {
        counts: false,
        ..failed
    };
    assert_eq!(heard(forged), None);
    let again = Answered {
        voice: None,
        ..failed
    };
    assert_eq!(heard(again), None, "this minute knows that the call fails");
    let good_again = Answered {
        outcome: Outcome::Served,
        ..again
    };
    assert_eq!(heard(good_again), Some(Heard::Good));
}

#[test]
fn a_rescue_counts_where_the_backend_was_late() {
    let rescued = |why, counts| {
        let rescued = Rescued {
            call: None,
            at: START,
            route: 0,
            from: Backend::New,
            why,
            result: RescueResult::Served,
            counts,
        };
        Heard::of(&Observation::Rescued(rescued))
    };
    let late = Some((Backend::New, Heard::Late, START));
    assert_eq!(rescued(Why::Late, true), late);
    assert_eq!(rescued(Why::Late, false), None);
    for why in [Why::Failed, Why::Kept, Why::Flip] {
        assert_eq!(rescued(why, true), None, "{why:?} is told elsewhere");
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Hear(Heard),
    Wait(u64),
    Down(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let heard = prop_oneof![
        3 => Just(Heard::Good),
        2 => Just(Heard::Bad),
        2 => Just(Heard::Silent),
        1 => Just(Heard::Late),
        1 => Just(Heard::EventTaken),
        1 => Just(Heard::EventSilent),
    ];
    let step = prop_oneof![
        12 => heard.prop_map(Step::Hear),
        4 => (0_u64..20_000).prop_map(Step::Wait),
        1 => any::<bool>().prop_map(Step::Down),
    ];
    prop::collection::vec(step, 0..300)
}

proptest! {
    /// Never half-open but from open, never closed but from half-open; open and down
    /// go together; no more openings than failures could have made.
    #[test]
    fn it_moves_only_as_it_may(steps in steps()) {
        let mut line = Line::new();
        let (mut down, mut was, mut opens) = (false, State::Closed, 0);
        for step in steps {
            match step {
                Step::Hear(heard) => line.breaker.note(heard, line.now, line.now),
                Step::Wait(millis) => line.now = line.now + Duration::from_millis(millis),
                Step::Down(is) => {
                    down = is;
                    line.breaker.set_down(is);
                }
            }
            for is in [line.breaker.state(), line.breaker.tick(line.now)] {
                let may = match is {
                    State::Closed => was != State::Open,
                    State::Open => true,
                    State::HalfOpen => was != State::Closed,
                };
                prop_assert!(may, "{was:?} to {is:?}");
                opens += u64::from(was == State::Closed && is == State::Open);
                was = is;
            }
            prop_assert!(!down || was == State::Open);
            prop_assert_eq!(line.breaker.because().is_some(), was != State::Closed);
            prop_assert_eq!(line.breaker.opens(), opens);
            prop_assert!(line.breaker.is_out(line.now) || was != State::Open);
        }
    }

    /// The ring against a list of everything: never what is older than `over`, and
    /// all that is younger than 19 parts of 20 of it.
    #[test]
    fn the_window_holds_what_is_recent(waits in prop::collection::vec(0_u64..900, 1..200)) {
        let mut ring = Ring::<Slot, SLOTS>::new(secs(10), START);
        let (mut now, mut all) = (START, Vec::new());
        for wait in waits {
            now = now + Duration::from_millis(wait);
            ring.at(now).all += 1;
            all.push(now);
            let held: u32 = ring.all(now).map(|slot| slot.all).sum();
            let within = |span| all.iter().filter(|at| now.since(**at) < span).count();
            prop_assert!(held as usize <= within(secs(10)));
            prop_assert!(held as usize >= within(Duration::from_millis(9500)));
        }
    }
}
