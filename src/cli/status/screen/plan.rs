//! The plan: how far it is, what the next step waits for, and how soon a fault would
//! be noticed where it stands.

use anstyle::Style;

use super::{BOLD, DIM, GREEN, INDENT, WIDTH, YELLOW, beside, count, cut, paint, span, wrapped};
use crate::admin::shapes::{Forecast, Plan, Status};
use crate::rollout::forecast::Beyond;

/// Cells of the bar that shows how far a soak is.
const BAR: u64 = 20;

/// Stages named in one line; of a longer plan those around the one that runs.
const NAMED: usize = 7;

/// Draws it, if there is one.
pub(super) fn plan(status: &Status, lines: &mut Vec<String>) {
    let Some(plan) = &status.plan else { return };
    lines.extend(beside("plan", &standing(plan), BOLD));
    lines.push(format!("{:INDENT$}{}", "", stages(plan)));
    if plan.number > 0 && !over(status) {
        lines.push(format!("{:INDENT$}{}", "soak", soak(plan)));
    }
    if !over(status) {
        waits(plan, lines);
        let noticed = noticed(&plan.forecast);
        if !noticed.is_empty() {
            lines.extend(beside("notices", &noticed.join("; "), DIM));
        }
    }
}

/// Nothing of the plan is ahead: it is complete, or somebody has to resume first.
fn over(status: &Status) -> bool {
    status.phase == "complete" || status.latched
}

fn standing(plan: &Plan) -> String {
    let by = match plan.advance.as_str() {
        "auto" => "it advances by itself",
        _ => "an operator advances it",
    };
    let of = plan.stages.len();
    match (&plan.stage, plan.number) {
        (Some(stage), 0) => format!("stage {stage}, which is in the plan no more; {by}"),
        (Some(stage), number) => format!("stage {number} of {of}, {stage}; {by}"),
        (None, _) => format!("none of {of} stages has begun; {by}"),
    }
}

/// `5  [10]  25  50  75  100 %`: what is passed green, what runs in brackets.
fn stages(plan: &Plan) -> String {
    let runs = usize::from(plan.number);
    let from = runs
        .saturating_sub(NAMED / 2 + 1)
        .min(plan.stages.len().saturating_sub(NAMED));
    let mut text = String::new();
    if from > 0 {
        text.push_str("… ");
    }
    for (i, stage) in plan.stages.iter().enumerate().skip(from).take(NAMED) {
        let share = stage.percentage.to_string();
        text.push_str(&match (i + 1).cmp(&runs) {
            std::cmp::Ordering::Less => paint(GREEN, &share),
            std::cmp::Ordering::Equal => paint(BOLD, &format!("[{share}]")),
            std::cmp::Ordering::Greater => paint(DIM, &share),
        });
        text.push(' ');
    }
    if from + NAMED < plan.stages.len() {
        text.push_str("… ");
    }
    text.push('%');
    text
}

fn soak(plan: &Plan) -> String {
    let full = match plan.soak_s {
        0 => BAR,
        soak => (plan.soaked_s.min(soak) * BAR) / soak,
    };
    let cell = |i: u64| if i < full { '#' } else { '-' };
    let bar: String = (0..BAR).map(cell).collect();
    let style = if full == BAR { GREEN } else { Style::new() };
    let mut text = format!(
        "{} {} of {}",
        paint(style, &format!("[{bar}]")),
        span(plan.soaked_s),
        asked(plan.soak_s)
    );
    if plan.calls_min > 0 {
        let calls = format!(", {} of {} calls", count(plan.calls), count(plan.calls_min));
        text.push_str(&calls);
    }
    text
}

/// A span as a file says it: `7 d`, not `7 d 0 h`.
fn asked(seconds: u64) -> String {
    let said = span(seconds);
    match said.split_once(" 0 ") {
        Some((whole, _)) => whole.to_owned(),
        None => said,
    }
}

fn waits(plan: &Plan, lines: &mut Vec<String>) {
    // Not the one behind the stage that runs: more or less may be on new than that asks for.
    let next = |name: &String| plan.stages.iter().find(|stage| stage.name == *name);
    let next = match plan.next.as_ref().and_then(next) {
        Some(stage) => format!("stage {} ({} %)", stage.name, stage.percentage),
        None => "the end of the plan".to_owned(),
    };
    if plan.waits_for.is_empty() {
        let text = match plan.advance.as_str() {
            "auto" => format!("{next}: nothing is missing"),
            _ => format!("{next}: nothing is missing, `switchback advance --reason …`"),
        };
        lines.extend(beside("next", &text, GREEN));
        return;
    }
    lines.extend(beside("next", &format!("{next} waits for"), Style::new()));
    for what in &plan.waits_for {
        // Whole: the words that are cut off are those that help.
        for (nth, line) in wrapped(what, WIDTH - INDENT - 2).iter().enumerate() {
            let mark = if nth == 0 { "- " } else { "  " };
            let text = paint(YELLOW, &format!("{mark}{}", cut(line, WIDTH - INDENT - 2)));
            lines.push(format!("{:INDENT$}{text}", ""));
        }
    }
}

/// For each fault the row that notices it first.
fn noticed(forecast: &[Forecast]) -> Vec<String> {
    let mut faults: Vec<f64> = forecast.iter().map(|it| it.fault).collect();
    faults.sort_by(|a, b| b.total_cmp(a));
    faults.dedup();
    let first = |fault: f64| {
        forecast
            .iter()
            .filter(|it| it.fault == fault && it.minutes.is_some())
            .min_by(|a, b| {
                a.minutes
                    .partial_cmp(&b.minutes)
                    .unwrap_or(std::cmp::Ordering::Equal)
            })
    };
    // All rows are played as far.
    let beyond = |fault: f64| {
        let mut rows = forecast.iter().filter(|it| it.fault == fault);
        rows.find_map(|it| {
            it.beyond_minutes.map(|minutes| Beyond {
                calls: it.beyond_calls.unwrap_or_default(),
                minutes: Some(minutes),
            })
        })
    };
    faults
        .into_iter()
        .map(|fault| {
            let share = (fault * 100.0).round();
            match first(fault).map(|it| (it, it.calls, it.minutes)) {
                Some((it, Some(calls), Some(minutes))) => format!(
                    "{share} % failing after {} calls, {} ({})",
                    count(whole(calls)),
                    span(whole(minutes * 60.0)),
                    it.rule
                ),
                _ => match beyond(fault) {
                    Some(beyond) => format!("{share} % failing not within {}", beyond.said()),
                    None => format!("{share} % failing never"),
                },
            }
        })
        .collect()
}

/// Up to the next whole number; what is not finite is none.
fn whole(number: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "cut to what a count can be"
    )]
    let whole = number.ceil().clamp(0.0, 1e15) as u64;
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::shapes::Stage;

    fn stage(name: &str, percentage: f64) -> Stage {
        Stage {
            name: name.to_owned(),
            percentage,
            soak_s: 604_800,
        }
    }

    fn drawn(status: &Status) -> Vec<String> {
        let mut lines = Vec::new();
        plan(status, &mut lines);
        let plain = |line: &String| anstream::adapter::strip_str(line).to_string();
        lines.iter().map(plain).collect()
    }

    fn soaking() -> Status {
        Status {
            phase: "soaking".to_owned(),
            plan: Some(Plan {
                advance: "auto".to_owned(),
                stages: vec![
                    stage("pilot", 5.0),
                    stage("tenth", 10.0),
                    stage("all", 100.0),
                ],
                number: 2,
                stage: Some("tenth".to_owned()),
                next: Some("all".to_owned()),
                soaked_s: 302_400,
                soak_s: 604_800,
                calls: 1_120,
                calls_min: 20,
                waits_for: vec!["soak: 3 d 12 h of 7 d".to_owned()],
                forecast: vec![
                    Forecast {
                        rule: "errors-10-5m".to_owned(),
                        fault: 1.0,
                        calls: Some(5.2),
                        minutes: Some(2.5),
                        callers: Some(5.2),
                        ..Forecast::default()
                    },
                    Forecast {
                        rule: "errors-10-5m".to_owned(),
                        fault: 0.3,
                        beyond_calls: Some(72.0),
                        beyond_minutes: Some(1440.0),
                        ..Forecast::default()
                    },
                    Forecast {
                        rule: "errors-10-5m".to_owned(),
                        fault: 0.05,
                        ..Forecast::default()
                    },
                ],
                ..Plan::default()
            }),
            ..Status::default()
        }
    }

    #[test]
    fn one_sees_how_far_it_is_and_what_it_waits_for() {
        assert_eq!(
            drawn(&soaking()),
            [
                "plan         stage 2 of 3, tenth; it advances by itself",
                "             5 [10] 100 %",
                "soak         [##########----------] 3 d 12 h of 7 d, 1,120 of 20 calls",
                "next         stage all (100 %) waits for",
                "             - soak: 3 d 12 h of 7 d",
                "notices      100 % failing after 6 calls, 2 min 30 s (errors-10-5m); 30 %",
                "             failing not within a day; 5 % failing never",
            ]
        );
    }

    #[test]
    fn what_is_missing_is_told_whole() {
        let mut status = soaking();
        let missing = "the stage begins only between 02:00 and 03:00 (America/Bogota); it opens \
                       Sunday 2026-12-27 02:00 (America/Bogota)";
        status.plan.as_mut().unwrap().waits_for = vec![missing.to_owned()];
        let drawn = drawn(&status);
        let at = drawn
            .iter()
            .position(|line| line.contains("- the stage begins only"));
        let lines: Vec<_> = drawn
            .iter()
            .skip(at.unwrap())
            .take(2)
            .map(|it| it.trim())
            .collect();
        assert_eq!(lines.join(" "), format!("- {missing}"));
    }

    #[test]
    fn where_nothing_is_missing_it_says_what_to_type() {
        let mut status = soaking();
        let plan = status.plan.as_mut().unwrap();
        (plan.number, plan.advance) = (0, "manual".to_owned());
        (plan.stage, plan.next) = (None, Some("pilot".to_owned()));
        plan.waits_for.clear();
        plan.forecast.clear();
        let drawn = drawn(&status);
        assert_eq!(
            drawn[0],
            "plan         none of 3 stages has begun; an operator advances it"
        );
        assert!(
            drawn[2].starts_with("next         stage pilot (5 %): nothing is missing"),
            "{drawn:?}"
        );
        assert!(
            drawn.join(" ").contains("switchback advance --reason"),
            "{drawn:?}"
        );
    }

    // A reload took stage ten away while it ran, and the screen showed the next as running
    // and the end of the plan as what comes.
    #[test]
    fn a_stage_that_is_gone_is_not_taken_for_another_nor_what_comes_next() {
        let mut status = soaking();
        let plan = status.plan.as_mut().unwrap();
        (plan.number, plan.stage) = (0, Some("ten".to_owned()));
        plan.next = Some("tenth".to_owned());
        let drawn = drawn(&status);
        assert_eq!(
            drawn[..3],
            [
                "plan         stage ten, which is in the plan no more; it advances by itself",
                "             5 10 100 %",
                "next         stage tenth (10 %) waits for",
            ]
        );
    }

    #[test]
    fn a_complete_plan_waits_for_nothing_and_none_is_drawn_without_one() {
        let mut status = soaking();
        status.phase = "complete".to_owned();
        assert_eq!(drawn(&status).len(), 2);
        status.plan = None;
        assert!(drawn(&status).is_empty());
    }

    #[test]
    fn of_a_long_plan_the_stages_around_are_shown() {
        let mut status = soaking();
        let plan = status.plan.as_mut().unwrap();
        plan.stages = (0..20).map(|i| stage("s", f64::from(i))).collect();
        plan.number = 10;
        assert_eq!(drawn(&status)[1], "             … 6 7 8 [9] 10 11 12 … %");
        status.plan.as_mut().unwrap().number = 20;
        assert_eq!(drawn(&status)[1], "             … 13 14 15 16 17 18 [19] %");
    }
}
