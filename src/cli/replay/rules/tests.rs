use std::fs;

use super::*;
use crate::engine::{Effect, Engine, Event, Settings};
use crate::measure::{Answered, Cause, Kind, Outcome, Placed, ReportKind, Voice};
use crate::model::{CallKey, PerBackend, Percentage, TenantKey};
use crate::recording::{Moment, Recorder};
use crate::rollout::{Command, Order, Rollout};
use crate::split::{Because, Placement};

const BEGIN: Tick = Tick(3_600_000_000);
const WALL: Wall = Wall(1_795_000_000_000);
const TICK: Duration = Duration::from_millis(100);

/// A configuration with these rows.
fn config(rows: &str) -> String {
    format!(
        "[listen]\nwebhooks = \"127.0.0.1:0\"\n[backend.legacy]\nurl = \"http://127.0.0.1:1\"\n\
         [backend.new]\nurl = \"http://127.0.0.1:2\"\n[[route]]\npath = \"/ivr\"\n\
         protocol = \"telnyx-texml\"\ntenant = [\"to\"]\n[split]\nby = \"tenant\"\nhash = \"java31\"\n{rows}"
    )
}

fn reverse(measure: &str, above: &str, over: &str) -> String {
    format!(
        "[[reversal]]\nname = \"{measure} {above}\"\nmeasure = \"{measure}\"\nabove = \"{above}\"\n\
         over = \"{over}\"\naction = \"reverse\"\nearly = false\n"
    )
}

fn settings(rows: &str) -> Settings {
    let loaded = config::load_text(Path::new("t.toml"), config(rows)).expect("it is well");
    serve::engine_settings(&loaded.config)
}

/// An engine and a recorder that are told the same.
struct Day {
    engine: Engine,
    recorder: Recorder,
    lines: Vec<u8>,
    now: Tick,
    heard: Vec<Observation>,
    reports: Vec<recording::Report>,
    calls: u64,
    /// When rules reversed.
    reversed: Vec<Wall>,
}

impl Day {
    /// At 100 % on new.
    fn with(rows: &str) -> Self {
        let (mut engine, _) = Engine::new(settings(rows), Rollout::default(), None, BEGIN, WALL);
        let order = Order {
            waives: crate::rollout::Waives::default(),
            actor: "operator".to_owned(),
            reason: "a test".to_owned(),
            command: Command::Percentage(Percentage::FULL),
        };
        let ticket = 1;
        for effect in engine.handle(Event::Order { ticket, order }, BEGIN, WALL) {
            if let Effect::Record(entry) = effect {
                let sequence = entry.stamp.sequence;
                engine.handle(Event::Recorded { sequence }, BEGIN, WALL);
            }
        }
        Self {
            engine,
            recorder: Recorder::new(5),
            lines: Vec::new(),
            now: BEGIN,
            heard: Vec::new(),
            reports: Vec::new(),
            calls: 0,
            reversed: Vec::new(),
        }
    }

    fn wall(&self) -> Wall {
        Wall(WALL.0 + i64::try_from(self.now.since(BEGIN).as_millis()).unwrap())
    }

    /// A call begins on new and is answered.
    fn call(&mut self, fails: bool) {
        self.calls += 1;
        let call = Some(CallKey(self.calls));
        let placement = Placement {
            backend: Backend::New,
            because: Because::Hashed,
        };
        let outcome = match fails {
            true => Outcome::Failed(Cause::Status),
            false => Outcome::Served,
        };
        self.heard.push(Observation::Placed(Placed {
            at: self.now,
            placement,
            call,
            begins: true,
            after_latch: false,
            starts: true,
        }));
        self.heard.push(Observation::Answered(Answered {
            at: self.now,
            backend: Backend::New,
            route: 0,
            kind: Kind::Voice,
            outcome,
            latency_us: Some(200_000),
            overhead_us: 20,
            flaw: None,
            voice: Some(Voice {
                tenant: TenantKey(1 + self.calls % 9),
                failed: fails,
                previous: None,
                previous_failed: None,
            }),
            speech: None,
            choice: None,
            data_us: None,
            counts: true,
            generation: self.engine.split().generation,
            call,
        }));
    }

    fn tick(&mut self) {
        self.now = self.now + TICK;
        let wall = self.wall();
        let (heard, reports) = (
            std::mem::take(&mut self.heard),
            std::mem::take(&mut self.reports),
        );
        let active = PerBackend::default();
        let split = self.engine.split();
        let (epoch, spent) = self.engine.epoch();
        let state = State {
            epoch,
            spent,
            generation: split.generation,
            percentage: split.percentage,
            latched: split.latched,
            config: "0123456789ab".into(),
        };
        let moment = Moment {
            now: self.now,
            wall,
            active,
            state: &state,
        };
        self.recorder
            .tick(&mut self.lines, &moment, &heard, &reports);
        let event = Event::Tick {
            observations: &heard,
            active,
            names: &(),
        };
        for effect in self.engine.handle(event, self.now, wall) {
            if let Effect::Reversed { .. } = effect {
                self.reversed.push(wall);
            }
        }
    }

    /// A call every second, of which one in so many fails.
    fn calls(&mut self, seconds: u64, one_in: u64) {
        for second in 0..seconds {
            self.call(one_in > 0 && second % one_in == 0);
            (0..10).for_each(|_| self.tick());
        }
    }

    fn report(&mut self, id: &str) {
        let report =
            self.recorder
                .report((Backend::New, ReportKind::CriticalError), None, Some(id));
        self.reports.push(report);
    }

    /// What these tables would have done.
    fn replayed(&self, rows: &str, after: u64) -> Table {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("day.jsonl");
        fs::write(&path, &self.lines).unwrap();
        let mut tables = [Table {
            path: "t.toml".into(),
            hash: "0123456789ab".to_owned(),
            trial: Trial::new(settings(rows), Duration::from_secs(after * 60)),
        }];
        let mut day = super::Day::default();
        for recorded in recording::read(&path) {
            day.take(recorded.unwrap(), &mut tables);
        }
        tables[0].trial.finish();
        let [table] = tables;
        table
    }
}

fn flips(table: &Table) -> Vec<Wall> {
    table.trial.flips.iter().map(|flip| flip.at).collect()
}

#[test]
fn the_tables_that_ran_trip_again_at_the_very_tick() {
    let rows = reverse("error_rate", "10%", "5m");
    let mut day = Day::with(&rows);
    day.calls(60, 0);
    day.calls(60, 4);
    assert_eq!(day.reversed.len(), 1);
    let again = day.replayed(&rows, 15);
    assert_eq!(flips(&again), day.reversed);
    assert_eq!(again.trial.counts, [1]);
    let wider = day.replayed(&reverse("error_rate", "30%", "5m"), 15);
    assert_eq!(flips(&wider), [], "and wider ones do not");
}

#[test]
fn a_day_that_nobody_reversed_shows_whom_tighter_tables_would_have_saved() {
    let mut day = Day::with(&reverse("error_rate", "90%", "5m"));
    day.calls(60, 0);
    day.calls(600, 2);
    assert_eq!(day.reversed, []);
    let table = day.replayed(&reverse("error_rate", "10%", "5m"), 5);
    assert_eq!(table.trial.flips.len(), 1);
    let flip = &table.trial.flips[0];
    let after = (WALL.0 + 660_000 - flip.at.0) / 1000;
    let failed = u64::try_from(after).unwrap() / 2;
    assert!(
        flip.saved.abs_diff(failed) <= 1,
        "{} of some {failed}",
        flip.saved
    );
    assert!(
        matches!(flip.after, After::Bad(share) if (0.45..0.55).contains(&share)),
        "{flip:?}"
    );
    assert_eq!((table.saved(), table.wrong()), (flip.saved, 0));
}

#[test]
fn a_burst_that_was_over_is_a_false_reversal_and_a_second_one_counts_again() {
    let mut day = Day::with(&reverse("error_rate", "90%", "5m"));
    for _ in 0..2 {
        day.calls(60, 0);
        day.calls(40, 1);
        day.calls(700, 0);
    }
    let table = day.replayed(&reverse("error_rate", "10%", "5m"), 10);
    assert_eq!(table.trial.flips.len(), 2);
    assert_eq!(table.wrong(), 2, "{:?}", table.trial.flips);
}

#[test]
fn too_little_after_a_reversal_says_nothing_about_it() {
    let rows = reverse("error_rate", "10%", "5m");
    let mut day = Day::with(&rows);
    day.calls(60, 0);
    day.calls(60, 4);
    // Its calls went to legacy, and the recording ends.
    let table = day.replayed(&rows, 15);
    assert_eq!(table.trial.flips[0].after, After::Unknown);
    assert_eq!(table.wrong(), 0);
}

#[test]
fn what_people_reported_reverses_once_an_id_and_is_never_called_false() {
    let mut day = Day::with("");
    day.calls(10, 0);
    day.report("ticket 1");
    day.calls(10, 0);
    day.report("ticket 1");
    day.calls(1000, 0);
    let rows = "[[reversal]]\nname = \"critical\"\nmeasure = \"critical_errors\"\nabove = 0\nover = \"5m\"\naction = \"reverse\"\n";
    let table = day.replayed(rows, 10);
    assert_eq!(table.trial.counts, [1]);
    assert_eq!(table.trial.flips[0].after, After::Reported);
    let rows = rows.replace("above = 0", "above = 1");
    assert_eq!(day.replayed(&rows, 10).trial.counts, [0], "it was one");
}

#[test]
fn after_a_restart_the_windows_are_empty() {
    let mut day = Day::with(&reverse("error_rate", "90%", "5m"));
    day.calls(40, 4);
    let first = day.lines;
    let mut day = Day::with(&reverse("error_rate", "90%", "5m"));
    day.calls(40, 4);
    let once = day.replayed(&reverse("error_rate", "20%", "5m"), 15);
    day.lines = [first, day.lines].concat();
    let twice = day.replayed(&reverse("error_rate", "20%", "5m"), 15);
    assert_eq!(once.trial.counts, [1]);
    assert_eq!(twice.trial.counts, [2], "each has its own");
}

#[test]
fn a_condition_that_must_stand_is_waited_for_while_nothing_happens() {
    let mut day = Day::with(&reverse("error_rate", "90%", "5m"));
    day.calls(40, 2);
    // The line is quiet; only heartbeats are written.
    (0..1200).for_each(|_| day.tick());
    let rows = format!("{}hold_for = \"1m\"\n", reverse("error_rate", "10%", "5m"));
    let table = day.replayed(&rows, 15);
    assert_eq!(table.trial.counts, [1]);
    let never = rows.replace("1m", "10m");
    assert_eq!(day.replayed(&never, 15).trial.counts, [0]);
}

#[test]
fn the_command_says_all_of_it_and_fails_where_it_is_not_as_expected() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let mut day = Day::with(&reverse("error_rate", "90%", "5m"));
    day.calls(60, 0);
    let half = day.lines.len();
    day.calls(600, 2);
    // The later half has the earlier name.
    fs::write(at("day.jsonl.1"), &day.lines[..half]).unwrap();
    fs::write(at("day.jsonl"), [&day.lines[half..], b"{\"torn"].concat()).unwrap();
    fs::write(
        at("tight.toml"),
        config(&reverse("error_rate", "10%", "5m")),
    )
    .unwrap();
    fs::write(
        at("loose.toml"),
        config(&reverse("error_rate", "90%", "5m")),
    )
    .unwrap();
    let run = |tables: &str, expect, output| {
        let options = Options {
            rules: Some(at(tables)),
            against: Some(at("loose.toml")),
            expect,
            after: 5,
        };
        let mut out = Vec::new();
        let files = [at("day.jsonl"), at("day.jsonl.1")];
        let done = rules(&files, &options, output, &mut out);
        (
            done.map_err(|it| it.code()),
            String::from_utf8(out).unwrap(),
        )
    };
    let (done, text) = run("tight.toml", Some(Expect::Reversal), Output::Text);
    assert_eq!(done, Ok(()));
    assert!(
        text.contains("660 calls began on new; new failed 300 calls"),
        "{text}"
    );
    assert!(text.contains("1 reversal, 0 false; "), "{text}");
    assert!(
        text.contains("0 reversals, 0 false; 0 calls saved"),
        "{text}"
    );
    let (done, json) = run("tight.toml", Some(Expect::None), Output::Json);
    assert_eq!(done, Err(1));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["tables"][0]["reversals"][0]["rule"], "error_rate 10%");
    assert_eq!(json["tables"][0]["reversals"][0]["false"], false);
    assert_eq!(
        run("loose.toml", Some(Expect::None), Output::Text).0,
        Ok(())
    );
    assert_eq!(
        run("loose.toml", Some(Expect::Reversal), Output::Text).0,
        Err(1)
    );

    let none = Options {
        rules: Some(at("tight.toml")),
        against: None,
        expect: None,
        after: 5,
    };
    let empty = rules(&[at("tight.toml")], &none, Output::Text, &mut Vec::new());
    assert_eq!(
        empty.unwrap_err().code(),
        1,
        "a configuration is no recording"
    );
    let gone = rules(&[at("gone")], &none, Output::Text, &mut Vec::new());
    assert_eq!(gone.unwrap_err().code(), 1);
}
