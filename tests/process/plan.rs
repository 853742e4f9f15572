//! A rollout by plan as its operator lives it: one that goes by itself and one that is
//! advanced by hand, the calendar, what lies outside, a crash on the way, and the story
//! that the journal tells of it.

use serde_json::{Value, json};

use super::lab::{FAR, Lab, NEAR};

/// Stages in the order of the plan: name, percentage, further lines.
pub(crate) type Stages<'a> = &'a [(&'a str, u32, &'a str)];

/// Short enough for a test, and left to calls and gates.
const QUICK: &str = "soak = \"1s\"\ncalls_min = 3\n\
    gates = [{ measure = \"error_rate\", below = \"1%\", over = \"stage\", calls_min = 3 }]";

/// Nothing begins by itself within a test.
pub(crate) const LONG: &str = "soak = \"1h\"\ncalls_min = 20";

/// Every day of this century.
const FROZEN: &str =
    "freezes = [{ from = \"2000-01-01\", to = \"2099-12-31\", reason = \"holidays\" }]";

fn plan(lines: &str, stages: Stages<'_>) -> String {
    let mut plan = format!("[plan]\n{lines}\n");
    for (name, percentage, more) in stages {
        plan.push_str(&format!(
            "[[plan.stage]]\nname = \"{name}\"\npercentage = {percentage}\n{more}\n"
        ));
    }
    plan
}

impl Lab {
    /// Everything but the process: the file says 0 %, the plan says the rest.
    pub(crate) fn planned(lines: &str, stages: Stages<'_>) -> Self {
        Self::prepared(|file| {
            file.percentage = 0;
            file.sections = plan(lines, stages);
        })
    }

    pub(crate) fn up(mut self) -> Self {
        self.start();
        self
    }

    /// The name of the stage that runs.
    pub(crate) fn stage(&self) -> String {
        let plan = self.status()["plan"].clone();
        let number = plan["number"].as_u64().expect("status has the number");
        let stages = plan["stages"].as_array().expect("status has the stages");
        let stage = usize::try_from(number)
            .ok()
            .and_then(|it| it.checked_sub(1));
        let stage = stage.and_then(|at| stages.get(at));
        stage.map_or_else(String::new, |it| word(&it["name"]))
    }

    fn waits_for(&self) -> Vec<String> {
        let waits = self.status()["plan"]["waits_for"].clone();
        serde_json::from_value(waits).expect("a list of points")
    }

    /// A command that must be refused: what it says to whoever typed it.
    pub(crate) fn refused(&self, args: &[&str]) -> String {
        let said = self.cli(args);
        assert_eq!(said.code, 1, "{args:?}: {}{}", said.out, said.err);
        said.err
    }

    /// What `replay` tells of the state directory.
    pub(crate) fn story(&self) -> String {
        let state = self.state().display().to_string();
        self.order(&["replay", &state]).out
    }

    /// Actors and actions of the journal, without hours and what the file wished for.
    pub(crate) fn done(&self) -> Vec<(String, String)> {
        let journal = self.journal();
        let told = journal.iter().filter(|line| {
            !["totals", "file", "verification"].contains(&word(&line["action"]).as_str())
        });
        told.map(|line| (word(&line["actor"]), word(&line["action"])))
            .collect()
    }
}

fn word(of: &Value) -> String {
    of.as_str().expect("it is a word").to_owned()
}

/// Every one of these words is in the text.
pub(crate) fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` is missing in: {text}");
    }
}

#[test]
fn a_plan_goes_by_itself_to_its_end_and_the_journal_tells_the_story() {
    let lab = Lab::planned(
        "advance = \"auto\"",
        &[("pilot", 5, QUICK), ("all", 100, QUICK)],
    );
    let lab = lab.up();
    let mut far = Vec::new();
    lab.until("the plan is complete", || {
        lab.begin(NEAR, "/ivr/welcome");
        far.push(lab.begin(FAR, "/ivr/welcome").side().to_owned());
        lab.status()["phase"] == "complete"
    });
    assert_eq!(
        far.first().map(String::as_str),
        Some("legacy"),
        "5 % are others"
    );
    assert_eq!(far.last().map(String::as_str), Some("new"));
    assert!(far.is_sorted(), "once on new it stays there: {far:?}");
    let call = lab.fresh();
    lab.webhook(FAR, "/ivr/welcome", &call, "&CallStatus=ringing");
    lab.webhook(FAR, "/ivr/menu", &call, "&Digits=1");
    let explained = || lab.order(&["explain", "--call", &call]).out;
    lab.until("both webhooks are told", || {
        explained().matches("/ivr  new").count() == 2
    });
    says(&explained(), &["hashed", "pinned", "then: 100 % on new"]);
    lab.until("that is on disk", || {
        lab.done()
            == ["advance", "advance", "complete"].map(|it| ("plan".to_owned(), it.to_owned()))
    });
    says(
        &lab.story(),
        &[
            "Stage pilot begins; the share of new is 5 %.",
            "Stage all begins; the share of new is 100 %.",
            "the plan begins",
            "stage pilot was soaked for",
            "of 3 calls; gate error_rate below 1 % over the stage: met",
            "The plan is complete; the share of new is 100 %.",
            "phase         complete since",
            "stage         all (2), since",
        ],
    );
    says(&lab.order(&["status"]).out, &["complete", "100 %"]);
    assert_eq!(lab.metric("switchback_journal_matches_state"), Some(1.0));
}

#[test]
fn an_advance_names_everything_that_is_missing_and_each_word_passes_over_its_own() {
    let gate =
        format!("{LONG}\ngates = [{{ measure = \"error_rate\", below = \"1%\", over = \"1h\" }}]");
    let lab = Lab::planned(FROZEN, &[("pilot", 5, &gate), ("all", 100, LONG)]).up();
    let advance = |more: &[&'static str]| [&["advance", "--reason", "ok by Ana"], more].concat();
    let shut = lab.refused(&advance(&[]));
    says(
        &shut,
        &["stage pilot cannot begin", "holidays", "`--hotfix`"],
    );
    assert!(
        !shut.contains("`--insist`"),
        "no evidence is asked for: {shut}"
    );
    assert_eq!(lab.stage(), "");
    says(
        &lab.order(&advance(&["--hotfix"])).out,
        &[
            "Stage pilot begins; the share of new is 5 %.",
            "Passed over: ",
            "holidays",
        ],
    );

    // The gate is judged.
    lab.next_look();
    let all = lab.post("/api/v1/advance", &json!({ "reason": "ok by Ana" }));
    assert_eq!(all.status(), 409);
    says(
        all.text(),
        &[
            "stage all cannot begin yet. Missing: soak: ",
            " of 1 h",
            "calls: 0 of 20",
            "gate error_rate below 1 % over 1 h: inconclusive, 0 of ",
            "holidays",
            "`--insist` passes over evidence, `--hotfix` over the calendar",
        ],
    );
    let insisting = lab.refused(&advance(&["--insist"]));
    says(&insisting, &["holidays"]);
    assert!(!insisting.contains("soak"), "{insisting}");
    let hotfix = lab.refused(&advance(&["--hotfix"]));
    says(&hotfix, &["soak", "calls", "gate"]);
    assert!(!hotfix.contains("holidays"), "{hotfix}");
    assert_eq!(lab.stage(), "pilot", "a refusal changes nothing");

    lab.order(&advance(&["--hotfix", "--insist"]));
    assert_eq!(lab.begin(FAR, "/ivr/welcome").side(), "new");
    says(
        &lab.story(),
        &[
            "Passed over: soak: ",
            "Passed over: calls: 0 of 20",
            "ok by Ana",
        ],
    );
}

#[test]
fn a_freeze_stops_every_raise_and_no_step_toward_legacy() {
    let mut lab = Lab::planned(FROZEN, &[("pilot", 60, LONG)]).up();
    lab.order(&["advance", "--hotfix", "--reason", "a fix"]);
    let set = ["set", "70", "--reason", "onward"];
    says(&lab.refused(&set), &["holidays", "--hotfix"]);
    says(
        &lab.refused(&["tenant", "enable", "acme", "--reason", "onward"]),
        &["holidays", "--hotfix"],
    );
    lab.rewrite(|file| file.percentage = 80);
    lab.hangup();
    lab.until("the file's raise is refused", || {
        lab.log()
            .contains("`percentage = 80` in the file is refused")
    });
    says(&lab.log(), &["by the plan's calendar", "holidays"]);
    assert_eq!(lab.status()["percentage"], 60);

    lab.order(&[
        "rollback",
        "partial",
        "--percentage",
        "50",
        "--reason",
        "slower",
    ]);
    lab.rewrite(|file| file.percentage = 20);
    lab.hangup();
    lab.until("the file lowers", || lab.status()["percentage"] == 20);
    lab.order(&["set", "10", "--reason", "slower"]);
    lab.order(&["rollback", "tenant", NEAR, "--reason", "silence"]);
    lab.order(&["rollback", "total", "--reason", "silence"]);
    let resume = ["resume", "--percentage", "10", "--reason", "mended"];
    says(&lab.refused(&resume), &["holidays", "--hotfix"]);
    assert_eq!(lab.status()["latched"], true);
    lab.order(&[&resume[..], &["--hotfix"]].concat());
    assert_eq!(lab.status()["percentage"], 10);
}

#[test]
fn a_hold_stops_a_plan_that_would_go_and_a_crash_forgets_nothing_of_the_stage() {
    let stages: Stages<'_> = &[
        ("pilot", 5, "soak = \"1s\"\ncalls_min = 0"),
        ("all", 100, "soak = \"1h\"\ncalls_min = 0\napproval = true"),
    ];
    let mut lab = Lab::planned("advance = \"auto\"", stages).up();
    lab.until("only a person is waited for", || {
        lab.waits_for() == ["an operator's advance (approval)"]
    });
    lab.order(&["hold", "--reason", "lunch"]);
    let held = lab.refused(&["advance", "--insist", "--reason", "ok by Ana"]);
    says(&held, &["held", "lunch", "switchback resume"]);

    let since = lab.status()["plan"]["since"].clone();
    lab.kill();
    lab.start();
    let status = lab.status();
    assert_eq!(
        (&status["phase"], lab.stage().as_str()),
        (&json!("held"), "pilot")
    );
    assert_eq!(
        status["plan"]["since"], since,
        "the soak goes on from where it began"
    );
    assert!(
        status["plan"]["soaked_s"].as_u64() >= Some(1),
        "{}",
        status["plan"]
    );
    lab.order(&["resume", "--reason", "back"]);
    lab.order(&["advance", "--reason", "ok by Ana"]);
    assert_eq!(lab.begin(FAR, "/ivr/welcome").side(), "new");

    lab.kill();
    lab.start();
    assert_eq!(
        (lab.stage().as_str(), &lab.status()["percentage"]),
        ("all", &json!(100))
    );
    says(&lab.waits_for().join("; "), &["soak: ", " of 1 h"]);
    says(
        &lab.story(),
        &["Held at 5 %", "lunch", "The hold is lifted", "ok by Ana"],
    );
}

/// A line for each moment into a file; no room for the last stage.
const OUTSIDE: &str = "echo \"$SWITCHBACK_MOMENT $SWITCHBACK_STAGE $SWITCHBACK_PERCENTAGE\" >> told\n\
    [ \"$SWITCHBACK_STAGE/$SWITCHBACK_MOMENT\" != all/before-stage ] || { echo 'no room'; exit 3; }\n";

#[test]
fn what_lies_outside_is_asked_before_a_stage_and_told_of_the_rest() {
    let stages: Stages<'_> = &[
        ("pilot", 5, "soak = \"0s\"\ncalls_min = 0"),
        ("all", 100, LONG),
    ];
    let mut lab = Lab::planned("advance = \"auto\"", stages);
    lab.write("outside.sh", OUTSIDE);
    lab.rewrite(|file| {
        for moment in ["before-stage", "rollback", "emergency-stop"] {
            file.sections.push_str(&format!(
                "[[hook]]\non = \"{moment}\"\nrun = [\"/bin/sh\", \"outside.sh\"]\n"
            ));
        }
    });
    let lab = lab.up();
    lab.until("a hook that fails holds the plan", || {
        lab.status()["phase"] == "held"
    });
    let status = lab.status();
    assert_eq!(
        (lab.stage().as_str(), &status["percentage"]),
        ("pilot", &json!(5))
    );
    says(
        status["because"].as_str().unwrap(),
        &["stage all does not begin", "no room"],
    );
    lab.order(&["resume", "--reason", "there is room"]);
    let again = lab.refused(&["advance", "--insist", "--reason", "there is room"]);
    says(&again, &["stage all does not begin", "no room"]);

    lab.order(&[
        "rollback",
        "partial",
        "--percentage",
        "1",
        "--reason",
        "slower",
    ]);
    lab.order(&["emergency-stop", "--reason", "silence"]);
    let told = || std::fs::read_to_string(lab.dir.path().join("told")).unwrap_or_default();
    lab.until("everything was told", || {
        ["emergency-stop", "rollback"]
            .iter()
            .all(|moment| told().contains(moment))
    });
    let told = told();
    let mut lines: Vec<_> = told.lines().collect();
    // No moment waits for another kind, so the last two may come either way.
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(
        lines,
        [
            "before-stage all 100",
            "before-stage pilot 5",
            "emergency-stop pilot 0",
            "rollback pilot 1",
        ]
    );
}
