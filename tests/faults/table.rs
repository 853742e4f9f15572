//! The whole table, played against one process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::backend::Door;
use crate::calls::{Call, Webhook};
use crate::case::{self, Case, Mode, Moment};
use crate::counts::{
    lost_calls_are_counted, metrics_agree_with_the_access_log, rescues_are_counted, settled,
};
use crate::expected::{Got, Side};
use crate::fault::{Fault, Legacy};
use crate::got::got;
use crate::http::Request;
use crate::lab::{Lab, RESCUE_AFTER, TIMEOUT, Text, story};

/// So many webhooks are sent every ten milliseconds: few enough that a sound answer of
/// new is never late because the machine is busy.
const PACE: usize = 10;

/// One row as it is played.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) case: Case,
    pub(crate) number: usize,
    pub(crate) call: Call,
    /// What went otherwise than it must before the fault.
    pub(crate) trouble: Option<String>,
    pub(crate) got: Option<Got>,
    /// How the answer began, for a report.
    pub(crate) shown: String,
    pub(crate) next: String,
}

#[test]
fn every_fault_at_every_moment_costs_what_the_rules_say() {
    story(async {
        let lab = Arc::new(Lab::started(&text()).await);
        let mut played = Vec::new();
        for (new, legacy) in DOORS {
            let rows = rows(new, legacy);
            let rows = in_step(&lab, rows, begin).await;
            lab.new.set(new).await;
            lab.legacy.set(legacy).await;
            let rows = in_step(&lab, rows, act).await;
            lab.new.set(Door::Open).await;
            lab.legacy.set(Door::Open).await;
            played.extend(in_step(&lab, rows, go_on).await);
        }
        let wrong = settled(&lab, &played).await;
        println!("{}", summary(&played));
        assert!(
            wrong.is_empty(),
            "{} of {} rows went otherwise:\n{}\n{}",
            wrong.len(),
            played.len(),
            wrong
                .iter()
                .take(40)
                .cloned()
                .collect::<Vec<_>>()
                .join("\n"),
            by_kind(&wrong),
        );
        no_caller_pays(&played);
        rescues_are_counted(&lab, &played).await;
        lost_calls_are_counted(&lab, &played).await;
        metrics_agree_with_the_access_log(&lab).await;
    });
}

/// How the backends stand while a row is played: most faults are one answer's, a few
/// the whole backend's.
const DOORS: [(Door, Door); 6] = [
    (Door::Open, Door::Open),
    (Door::Open, Door::Refuses),
    (Door::Refuses, Door::Open),
    (Door::Refuses, Door::Refuses),
    (Door::Closes, Door::Open),
    (Door::Closes, Door::Refuses),
];

fn rows(new: Door, legacy: Door) -> Vec<Row> {
    let stands = |case: &Case| {
        let its_new = match case.fault {
            Fault::Refuses => Door::Refuses,
            Fault::AcceptsAndCloses => Door::Closes,
            _ => Door::Open,
        };
        let its_legacy = match case.legacy {
            Legacy::Refuses => Door::Refuses,
            _ => Door::Open,
        };
        (its_new, its_legacy) == (new, legacy)
    };
    let numbered = case::all().into_iter().enumerate();
    numbered
        .filter(|(_, case)| stands(case))
        .map(|(number, case)| Row {
            case,
            number,
            call: Call {
                wire: case.wire,
                route: case.route(),
                id: format!("row-{number}"),
            },
            trouble: None,
            got: None,
            shown: String::new(),
            next: String::new(),
        })
        .collect()
}

/// Takes every row a step further, all of them at once, a few webhooks at a time.
async fn in_step<F: Future<Output = Row> + Send + 'static>(
    lab: &Arc<Lab>,
    rows: Vec<Row>,
    step: fn(Arc<Lab>, Row) -> F,
) -> Vec<Row> {
    let mut steps = JoinSet::new();
    for (number, row) in rows.into_iter().enumerate() {
        if number % PACE == 0 {
            sleep(Duration::from_millis(10)).await;
        }
        steps.spawn(step(Arc::clone(lab), row));
    }
    let mut rows = steps.join_all().await;
    rows.sort_by_key(|row| row.number);
    rows
}

/// What happened to the call before the fault.
pub(crate) fn before(moment: Moment) -> &'static [(Webhook, &'static str, &'static str)] {
    // Webhook, what its query asks for, who answers (`-`: the proxy itself).
    const BEGUN: (Webhook, &str, &str) = (Webhook::First, "", "new");
    const FAILING: &str = "new=page-500";
    match moment {
        Moment::First => &[],
        Moment::AfterRescue => &[(Webhook::First, FAILING, "legacy")],
        Moment::AfterMove => &[
            BEGUN,
            (Webhook::Gather, FAILING, "-"),
            (Webhook::Entry, "", "legacy"),
        ],
        _ => &[BEGUN],
    }
}

async fn begin(lab: Arc<Lab>, mut row: Row) -> Row {
    for (webhook, query, side) in before(row.case.moment) {
        let answer = lab.ask(&row.call.webhook(*webhook).with(query)).await;
        let came = (answer.status(), answer.side());
        if came != (200, *side) {
            row.trouble = Some(format!("{webhook:?} {query} was answered {came:?}"));
        }
    }
    row
}

fn request(row: &Row) -> Request {
    let Case { fault, legacy, .. } = row.case;
    let (new, legacy) = (fault.manner().word(), legacy.manner().word());
    let query = format!("new={new}&legacy={legacy}&t={}", row.number);
    let webhook = row.case.moment.webhook();
    row.call.webhook(webhook).with(&query)
}

async fn act(lab: Arc<Lab>, mut row: Row) -> Row {
    let request = request(&row);
    let answer = lab.ask(&request).await;
    row.shown = format!(
        "{} {} {}",
        answer.status(),
        answer.side(),
        answer.text().chars().take(60).collect::<String>()
    );
    row.got = got(row.case, &request, &answer);
    row
}

async fn go_on(lab: Arc<Lab>, mut row: Row) -> Row {
    let answer = lab.ask(&row.call.webhook(Webhook::Gather)).await;
    row.next = answer.side().to_owned();
    row
}

/// The promise, without a rule: while legacy is well, or new is only late, nobody who
/// waits hears an error of ours, and never a page of HTML.
fn no_caller_pays(rows: &[Row]) {
    let mut callers = 0;
    for row in rows {
        let Case {
            mode,
            moment,
            fault,
            legacy,
            ..
        } = row.case;
        let waits = row.case.is_read();
        let one_is_well = matches!(legacy, Legacy::Well | Legacy::Slow)
            || matches!(fault, Fault::Sound | Fault::SlowFirstByte | Fault::SlowBody)
                && !matches!(moment, Moment::AfterRescue | Moment::AfterMove);
        // Who switches the last resort off wants the provider's own.
        if !waits || !one_is_well || mode == Mode::Plain && fault != Fault::Sound {
            continue;
        }
        callers += 1;
        assert!(
            !matches!(row.got, None | Some(Got::Error(_) | Got::Broken(Side::New))),
            "a caller heard an error: {:?}: {}",
            row.case,
            row.shown
        );
        let page = row.shown.to_lowercase();
        assert!(!page.contains("<html"), "{:?}: {}", row.case, row.shown);
    }
    assert!(callers > 1000, "only {callers} rows were looked at");
}

/// How often each kind of difference came, so that one cause is seen as one.
fn by_kind(wrong: &[String]) -> String {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for row in wrong {
        let (head, _) = row.split_once(", new ").unwrap_or((row, ""));
        *kinds.entry(head).or_default() += 1;
    }
    let kinds = kinds.iter();
    kinds
        .map(|(head, count)| format!("{count:5} {head}\n"))
        .collect()
}

/// What became of each fault, in numbers of rows.
fn summary(rows: &[Row]) -> String {
    const COLUMNS: [&str; 8] = [
        "new", "legacy", "entry", "sorry", "silence", "flawed", "error", "?",
    ];
    let mut table: BTreeMap<Fault, [usize; 8]> = BTreeMap::new();
    for row in rows {
        let column = match row.got {
            Some(Got::Answer(Side::New)) => 0,
            Some(Got::Answer(Side::Legacy)) => 1,
            Some(Got::Entry) => 2,
            Some(Got::LastResort) => 3,
            Some(Got::Silence) => 4,
            Some(Got::Broken(_)) => 5,
            Some(Got::Error(_)) => 6,
            None => 7,
        };
        table.entry(row.case.fault).or_default()[column] += 1;
    }
    let head = COLUMNS.map(|name| format!("{name:>8}")).concat();
    let mut text = format!("{:18}{head}\n", "what new does");
    for (fault, counts) in table {
        let counts = counts.map(|count| format!("{count:8}")).concat();
        text.push_str(&format!("{:18}{counts}\n", format!("{fault:?}")));
    }
    text
}

/// The routes: one for each protocol and mode.
fn text() -> Text {
    let mut routes = String::new();
    for (path, protocol) in [
        ("texml", "telnyx-texml"),
        ("twilio", "twilio"),
        ("vapi", "vapi"),
        ("cc", "telnyx-call-control"),
    ] {
        for mode in Mode::ALL {
            let own = match mode {
                Mode::Off => "rescue = \"off\"".to_owned(),
                Mode::Start => String::new(),
                Mode::Every => "rescue = \"every\"".to_owned(),
                Mode::Plain => "last_resort = \"off\"".to_owned(),
                // Only a document can send a caller anywhere.
                Mode::Entry if matches!(path, "vapi" | "cc") => continue,
                Mode::Entry => {
                    format!("rescue = \"every\"\nentry = \"/{path}/entry/entry\"")
                }
            };
            // Where nobody is rescued nobody is late.
            let after = match mode {
                Mode::Off => String::new(),
                _ => format!("rescue_after = \"{RESCUE_AFTER}ms\"\n"),
            };
            routes.push_str(&format!(
                "[[route]]\npath = \"/{path}/{}\"\nprotocol = \"{protocol}\"\n\
                 {after}timeout = \"{TIMEOUT}ms\"\n{own}\n",
                mode.path()
            ));
        }
    }
    Text {
        // One failure must not change what comes of the next.
        legacy: "breaker = \"off\"",
        new: "breaker = \"off\"",
        routes,
        ..Text::default()
    }
}
