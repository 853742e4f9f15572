//! The levels of going back, in the real process: one tenant or one stage by a row,
//! everything at once by an emergency stop, and data.

use serde_json::json;

use super::lab::{FAR, Lab, NEAR};
use super::plan::{LONG, says};

/// Rows that act on a part: back one stage, and one tenant alone.
const PARTS: &str = "[[reversal]]\nname = \"one back\"\nmeasure = \"critical_errors\"\nabove = 0\n\
    over = \"stage\"\naction = \"step-back\"\n\
    [[reversal]]\nname = \"one tenant\"\nscope = \"tenant\"\nmeasure = \"error_rate\"\n\
    above = \"50%\"\nover = \"1m\"\ncalls_min = 5\naction = \"disable-tenant\"\n";

#[test]
fn a_row_takes_one_tenant_off_and_another_goes_back_one_stage_and_holds() {
    let mut lab = Lab::planned("", &[("pilot", 5, LONG), ("all", 100, LONG)]);
    lab.rewrite(|file| file.rules = PARTS);
    let lab = lab.up();
    let insist = ["advance", "--insist", "--reason", "a test"];
    lab.order(&insist);
    lab.order(&insist);
    lab.begin_many(20, FAR, "/ivr/welcome");
    lab.begin_many(8, NEAR, "/ivr/welcome?new=500");
    lab.until("its tenant is off", || {
        lab.status()["tenants"]["disabled"] == json!([NEAR])
    });
    let status = lab.status();
    assert_eq!(
        (&status["percentage"], &status["latched"]),
        (&json!(100), &json!(false))
    );
    assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "legacy");
    assert_eq!(
        lab.begin(FAR, "/ivr/welcome").side(),
        "new",
        "nobody else flips"
    );

    assert_eq!(lab.report("critical_error", &json!({})).status(), 200);
    lab.until("it is back and held", || lab.status()["phase"] == "held");
    assert_eq!(
        (lab.stage().as_str(), &lab.status()["percentage"]),
        ("pilot", &json!(5))
    );
    assert_eq!(lab.begin(FAR, "/ivr/welcome").side(), "legacy");
    says(
        &lab.refused(&insist),
        &["held", "one back", "switchback resume"],
    );
    lab.until("both are on disk", || {
        let rows = lab.done();
        let acted = rows.iter().filter(|(actor, _)| actor.starts_with("rule "));
        acted
            .map(|(actor, action)| (actor.as_str(), action.as_str()))
            .collect::<Vec<_>>()
            == [
                ("rule one tenant", "disable-tenant"),
                ("rule one back", "step-back"),
            ]
    });
    let story = lab.story();
    says(
        &story,
        &[
            "Rule one tenant tripped",
            "Rule one back tripped",
            "critical_errors over the stage",
            "stage         pilot (1)",
        ],
    );
    assert!(!story.contains(NEAR), "numbers are masked: {story}");

    lab.order(&["tenant", "clear", NEAR, "--reason", "mended"]);
    assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "new");
    lab.order(&["resume", "--reason", "mended"]);
    lab.next_look();
    assert_eq!(
        (lab.stage().as_str(), &lab.status()["phase"]),
        ("pilot", &json!("soaking"))
    );
}

#[test]
fn an_emergency_stop_goes_where_the_file_says_and_resume_takes_it_back() {
    let mut lab = Lab::started(|file| {
        file.percentage = 60;
        file.route = "rescue = \"off\"";
    });
    let call = lab.fresh();
    lab.webhook(NEAR, "/ivr/welcome", &call, "&CallStatus=ringing");
    let stop = ["emergency-stop", "--reason", "callers hear other callers"];
    for _ in 0..2 {
        says(&lab.order(&stop).out, &["Emergency stop: ", "legacy"]);
    }
    let status = lab.status();
    assert_eq!(
        (&status["latched"], &status["phase"]),
        (&json!(true), &json!("rolled-back"))
    );
    assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "legacy");
    let resume = ["resume", "--percentage", "60", "--reason", "mended"];
    lab.order(&resume);
    assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "new");

    lab.rewrite(|file| file.sections = "[emergency]\nto = \"last-resort\"\n".to_owned());
    lab.hangup();
    says(&lab.order(&stop).out, &["Emergency stop: ", "last resort"]);
    assert_eq!(lab.status()["stopped"], true);
    let nobody = lab.begin(NEAR, "/ivr/welcome");
    assert_eq!((nobody.status(), nobody.side()), (200, "-"));
    says(nobody.text(), &["<Response>"]);
    let menu = lab.webhook(NEAR, "/ivr/menu", &call, "&Digits=1");
    assert_eq!(menu.side(), "new", "a call that runs goes on");
    says(&lab.order(&["status"]).out, &["last resort"]);

    lab.kill();
    lab.start();
    assert_eq!(
        lab.begin(NEAR, "/ivr/welcome").side(),
        "-",
        "also over a crash"
    );
    lab.order(&resume);
    assert_eq!(lab.begin(NEAR, "/ivr/welcome").side(), "new");
    assert_eq!(lab.status()["stopped"], false);
}

/// Two backups; the second cannot be restored.
const LIST: &str = "echo 'b-2 2026-11-19 02:00, 4 GB'\necho 'b-1 2026-11-18 02:00, 4 GB'\n";
const RESTORE: &str = "echo \"restoring $1\"\n[ \"$1\" = b-1 ] || { echo 'it is torn' >&2; exit 4; }\n\
    echo done\n";

#[test]
fn data_is_listed_restored_on_the_word_and_journalled() {
    let mut lab = Lab::started(|file| {
        file.sections = "[rollback.data]\nlist = [\"/bin/sh\", \"list.sh\"]\n\
                         restore = [\"/bin/sh\", \"restore.sh\", \"{backup}\"]\n"
            .to_owned();
    });
    lab.write("list.sh", LIST);
    lab.write("restore.sh", RESTORE);
    let listed = lab.order(&["rollback", "data"]);
    says(&listed.out, &["b-2", "2026-11-19 02:00, 4 GB", "b-1"]);
    let restore = |backup: &'static str, word: &'static str| {
        let line = [
            "rollback",
            "data",
            "--backup",
            backup,
            "--reason",
            "doubled",
            "--confirm",
            word,
        ];
        lab.cli(&line)
    };
    assert_eq!(restore("b-1", "yes").code, 2);
    assert_eq!(
        lab.cli(&["rollback", "data", "--backup", "b-1", "--reason", "x"])
            .code,
        2
    );
    assert_eq!(
        lab.get("/api/v1/restore").status(),
        404,
        "nothing was begun"
    );

    let unknown = restore("nope", "CONFIRM");
    assert_eq!(unknown.code, 1, "{}{}", unknown.out, unknown.err);
    says(&unknown.err, &["no backup nope; it lists b-2, b-1"]);
    assert_eq!(lab.get("/api/v1/restore").status(), 404, "nor by a slip");

    let well = restore("b-1", "CONFIRM");
    assert_eq!(well.code, 0, "{}{}", well.out, well.err);
    says(
        &well.out,
        &[
            "Backup b-1 is restored",
            "its output is in the state directory's ",
        ],
    );
    let torn = restore("b-2", "CONFIRM");
    assert_eq!(torn.code, 1, "{}{}", torn.out, torn.err);
    says(&torn.err, &["the restore of b-2", "it is torn"]);
    let progress = lab.get("/api/v1/restore").json();
    assert_eq!(
        (&progress["ok"], &progress["running"]),
        (&json!(false), &json!(false))
    );
    let log = lab
        .state()
        .join(progress["log"].as_str().expect("its output is kept"));
    says(
        &std::fs::read_to_string(log).unwrap(),
        &["restoring b-2", "it is torn"],
    );

    lab.until("the end is on disk", || lab.done().len() == 4);
    says(
        &lab.story(),
        &[
            "Data is being restored from backup b-1.",
            "Data was restored from backup b-1.",
            "Data could not be restored from backup b-2.",
            "doubled",
        ],
    );
    lab.stop();
}
