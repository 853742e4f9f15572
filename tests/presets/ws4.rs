//! R3: a chat and voice platform, canary by the clock.

use switchback::rehearsal::What;

use super::*;

// The play began at midnight in London, so its first stage, "day 1, 08:00", on a Monday at 20:00.
#[test]
fn the_good_days_come_to_their_end_by_the_timetable_of_the_first_lines() {
    let outcome = good_weeks("ws4", 1000.0);
    let moments: Vec<jiff::Zoned> = (outcome.stages.iter())
        .map(|stage| {
            let at = jiff::Timestamp::from_millisecond(stage.wall.0).expect("a moment");
            at.in_tz("America/Mexico_City").expect("a zone")
        })
        .collect();
    let first = moments[0].date();
    let table: Vec<(i32, i8)> = (moments.iter())
        .map(|at| {
            let days = at.date().since(first).expect("a few days");
            (days.get_days() + 1, at.hour())
        })
        .collect();
    assert_eq!(
        table,
        [(1, 8), (1, 12), (1, 18), (2, 0), (3, 0), (4, 0)],
        "{moments:?}"
    );
}

#[test]
fn every_row_acts_and_its_neighbour_is_spared() {
    use Does::{Alert, Reverse};
    every_row(
        "ws4",
        &[
            row(
                "errors over 5 %",
                Reverse,
                What::Errors(0.2),
                What::Errors(0.03),
            ),
            row(
                "p99 over twice the baseline",
                Reverse,
                What::Slow(800.0),
                What::Slow(350.0),
            )
            .but(baseline),
            row(
                "memory over 90 %",
                Reverse,
                What::Memory(0.91),
                What::Memory(0.9),
            ),
            row("a P1 incident", Reverse, What::Incidents(1), What::Cpu(0.3)),
            row(
                "heartbeat missed",
                Alert,
                What::Unhealthy(0.6),
                What::Unhealthy(0.01),
            ),
            row("system down", Alert, What::Down, What::Errors(0.07)),
        ],
    );
}

/// A little more than an hour on legacy before the first stage.
fn baseline(scenario: &mut Scenario) {
    scenario.before = 65 * MINUTE;
    scenario.lasts = 160 * MINUTE;
}

#[test]
fn every_gate_keeps_its_stage_and_its_neighbour_passes() {
    let quiet = What::Cpu(0.3);
    every_gate(
        "ws4",
        &[
            gate("day 2", "incidents", What::Incidents(200), quiet),
            gate(
                "day 1, 12:00",
                "response_time_p99",
                What::Slow(900.0),
                What::Slow(260.0),
            ),
            gate(
                "day 1, 12:00",
                "health_error_rate",
                What::Unhealthy(0.1),
                quiet,
            ),
        ],
    );
}
