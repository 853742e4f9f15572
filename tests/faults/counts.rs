//! What is counted: line by line in the access log, and as a whole in the metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::sleep;

use crate::case::{Case, Moment};
use crate::expected::{Counted, Expected, Side, expected};
use crate::fault::Legacy;
use crate::lab::{Lab, Line};
use crate::table::{Row, before};

/// Waits until everything is counted, and says which rows went otherwise.
pub(crate) async fn settled(lab: &Lab, rows: &[Row]) -> Vec<String> {
    let keys: Vec<_> = rows
        .iter()
        .map(|row| [lab.key(&row.call.id), lab.key(&row.call.child())])
        .collect();
    let mut wrong = Vec::new();
    for _ in 0..20 {
        let mut lines: BTreeMap<String, Vec<Line>> = BTreeMap::new();
        for line in lab.access() {
            lines.entry(line.call.clone()).or_default().push(line);
        }
        let of_call = |keys: &[String; 2]| -> Vec<Line> {
            let both = keys.iter().filter_map(|key| lines.get(key));
            both.flatten().cloned().collect()
        };
        wrong = rows
            .iter()
            .zip(&keys)
            .filter_map(|(row, keys)| otherwise(lab, row, of_call(keys)))
            .collect();
        if wrong.is_empty() {
            break;
        }
        sleep(Duration::from_millis(500)).await;
    }
    wrong
}

/// How a row went otherwise than the rules say; None: it did not.
fn otherwise(lab: &Lab, row: &Row, lines: Vec<Line>) -> Option<String> {
    let expected = expected(row.case);
    let mut wrong: Vec<String> = row.trouble.iter().cloned().collect();
    if row.got != Some(expected.got) {
        wrong.push(format!(
            "the provider got {:?}, not {:?} ({})",
            row.got, expected.got, row.shown
        ));
    }
    if row.next != expected.next.name() {
        wrong.push(format!("its next webhook landed on {}", row.next));
    }
    if let Some(counts) = miscounted(row, &expected, lines) {
        wrong.push(counts);
    }
    for (side, backend) in [(Side::New, &lab.new), (Side::Legacy, &lab.legacy)] {
        let heard = expected.counted.iter().filter(|it| it.side == side);
        // Who refuses or closes is asked without hearing of it.
        let heard = heard.filter(|_| !is_shut(row.case, side)).count();
        let times = backend.times(&row.number.to_string());
        if times != heard {
            wrong.push(format!("{} heard it {times} times", side.name()));
        }
    }
    let Case {
        wire,
        mode,
        moment,
        fault,
        legacy,
    } = row.case;
    (!wrong.is_empty()).then(|| {
        let wrong = wrong.join("; ");
        format!("{wire:?} {mode:?} {moment:?}, new {fault:?}, legacy {legacy:?}: {wrong}")
    })
}

fn is_shut(case: Case, side: Side) -> bool {
    match side {
        Side::New => case.fault.is_whole(),
        Side::Legacy => case.legacy == Legacy::Refuses,
    }
}

/// What is counted for a row's call, all its webhooks together.
fn miscounted(row: &Row, expected: &Expected, mut lines: Vec<Line>) -> Option<String> {
    let all = lines.clone();
    let kind = match row.case.moment {
        Moment::Status | Moment::Report => "event",
        _ => "voice",
    };
    let earlier = before(row.case.moment).iter();
    let earlier = earlier.flat_map(|(_, query, side)| match (query.is_empty(), *side) {
        (true, side) => vec![(side, "served")],
        (false, "legacy") => vec![("new", "status"), ("legacy", "served")],
        (false, _) => vec![("new", "status")],
    });
    let own = expected.counted.iter();
    let own = own.map(|Counted { side, outcome }| (side.name(), *outcome, kind));
    let last = (expected.next.name(), "served", "voice");
    let due = earlier.map(|(side, outcome)| (side, outcome, "voice"));
    let mut missing = Vec::new();
    for (side, outcome, kind) in due.chain(own).chain([last]) {
        let is_it = |line: &Line| {
            line.backend == side
                && line.kind == kind
                && line.route == row.call.route
                && outcome.split('|').any(|one| one == line.outcome)
        };
        match lines.iter().position(is_it) {
            Some(at) => drop(lines.remove(at)),
            None => missing.push((side, outcome, kind)),
        }
    }
    (!missing.is_empty() || !lines.is_empty()).then(|| {
        let all = all.iter();
        let all: Vec<_> = all
            .map(|line| format!("{} {} {}", line.backend, line.outcome, line.kind))
            .collect();
        format!("not counted: {missing:?} in {all:?}")
    })
}

/// `switchback_rescues_total`, by route and result.
pub(crate) async fn rescues_are_counted(lab: &Lab, rows: &[Row]) {
    let mut due: BTreeMap<(String, &str), u32> = BTreeMap::new();
    for row in rows {
        let earlier = match row.case.moment {
            Moment::AfterRescue => Some("served"),
            Moment::AfterMove => Some("moved"),
            _ => None,
        };
        for result in earlier.into_iter().chain(expected(row.case).rescue) {
            *due.entry((row.call.route.clone(), result)).or_default() += 1;
        }
    }
    let metrics = lab.metrics().await;
    let counted: BTreeMap<_, _> = due
        .keys()
        .map(|(route, result)| {
            let series =
                format!("switchback_rescues_total{{route=\"{route}\",result=\"{result}\"}} ");
            let line = metrics.lines().find_map(|line| line.strip_prefix(&series));
            let counted = line.and_then(|it| it.parse().ok()).unwrap_or(0);
            ((route.clone(), *result), counted)
        })
        .collect();
    assert_same(&counted, &due);
}

/// A call that legacy took from new before new had answered it, and that new really
/// failed, is one more call that new lost. One that was only late is not.
pub(crate) async fn lost_calls_are_counted(lab: &Lab, rows: &[Row]) {
    let is_lost = |case: Case| {
        let expected = expected(case);
        let of_new = expected.counted.iter().find(|it| it.side == Side::New);
        case.moment == Moment::AfterRescue
            || case.moment == Moment::First
                && expected.rescue == Some("served")
                && of_new.is_some_and(|it| it.outcome != "served")
    };
    let due = rows.iter().filter(|row| is_lost(row.case)).count();
    let lost = "switchback_calls_total{backend=\"new\",outcome=\"rescued\"} ";
    let metrics = lab.metrics().await;
    let counted = metrics.lines().find_map(|line| line.strip_prefix(lost));
    assert_eq!(counted, Some(due.to_string().as_str()));
}

/// `switchback_webhooks_total` is the same story, told by the sum.
pub(crate) async fn metrics_agree_with_the_access_log(lab: &Lab) {
    let mut due: BTreeMap<String, u32> = BTreeMap::new();
    for line in lab.access() {
        let Line {
            route,
            kind,
            backend,
            outcome,
            ..
        } = line;
        let labels = format!(
            "backend=\"{backend}\",route=\"{route}\",kind=\"{kind}\",outcome=\"{outcome}\""
        );
        *due.entry(labels).or_default() += 1;
    }
    let metrics = lab.metrics().await;
    let prefix = "switchback_webhooks_total{";
    let counted: BTreeMap<_, _> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix(prefix)?.split_once("} "))
        .filter_map(|(labels, number)| Some((labels.to_owned(), number.parse().ok()?)))
        .filter(|(_, number)| *number > 0)
        .collect();
    assert_same(&counted, &due);
}

/// Two counts of the same; what differs is shown, and nothing else.
fn assert_same<K: Ord + std::fmt::Debug>(counted: &BTreeMap<K, u32>, due: &BTreeMap<K, u32>) {
    let keys: BTreeSet<&K> = counted.keys().chain(due.keys()).collect();
    let differing: Vec<_> = keys
        .into_iter()
        .map(|key| (key, counted.get(key), due.get(key)))
        .filter(|(_, counted, due)| counted != due)
        .collect();
    assert!(differing.is_empty(), "counted and due: {differing:#?}");
}
