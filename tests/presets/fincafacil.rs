//! R4: a go-live by modes, inside deployment windows.

use switchback::rehearsal::What;

use super::*;

#[test]
fn the_good_weeks_come_to_their_end_and_every_mode_begins_inside_a_window() {
    let outcome = good_weeks("fincafacil", 30.0);
    let said: Vec<String> = (outcome.decisions.iter())
        .filter(|it| it.entry.action == Action::Advance)
        .map(|it| it.entry.sentence())
        .collect();
    assert_eq!(
        said[0],
        "Stage pilot begins; the share of new is 0 %, and 2 tenants picked by hand go there."
    );
    assert_eq!(
        said.last().map(String::as_str),
        Some("Stage open begins; the share of new is 100 %.")
    );
    for stage in &outcome.stages {
        let at = jiff::Timestamp::from_millisecond(stage.wall.0).expect("a moment");
        let here = at.in_tz("America/Bogota").expect("a zone");
        let (day, hour) = (here.weekday(), here.hour());
        assert_eq!(day, jiff::civil::Weekday::Sunday, "{here}");
        assert!((2..4).contains(&hour), "{here}");
    }
}

#[test]
fn every_row_acts_and_its_neighbour_is_spared() {
    use Does::{Alert, Reverse};
    let quiet = What::Cpu(0.3);
    every_row(
        "fincafacil",
        &[
            row(
                "up for less than 30 min",
                Reverse,
                What::CrashLoop(20 * MINUTE, 2 * MINUTE),
                What::CrashLoop(40 * MINUTE, 2 * MINUTE),
            ),
            row(
                "health checks over 5 %",
                Reverse,
                What::Unhealthy(0.1),
                What::Unhealthy(0.03),
            ),
            row(
                "transactions down by more than 10 %",
                Reverse,
                What::Transactions(0.3),
                What::Transactions(0.02),
            )
            .but(|scenario| {
                scenario.before = 65 * MINUTE;
                scenario.lasts = 160 * MINUTE;
                // Booked within seconds: what new callers still talk about is missing
                // from the transactions, and not from the calls.
                scenario.habits.legacy.duration_s = 15.0;
                scenario.habits.new.duration_s = 15.0;
            }),
            row("calls fail", Reverse, What::Errors(0.5), What::Errors(0.03)),
            row("system down", Alert, What::Down, What::Errors(0.03)),
            row("critical error", Alert, What::CriticalErrors(1), quiet),
            row(
                "error rate high",
                Alert,
                What::Errors(0.05),
                What::Errors(0.01),
            ),
            row(
                "response time degraded",
                Alert,
                What::Slow(2100.0),
                What::Slow(1900.0),
            )
            .but(|scenario| {
                scenario.habits.new.spread = 0.0;
                scenario.edge.rescue_after = HOUR;
            }),
            row(
                "memory usage high",
                Alert,
                What::Memory(0.81),
                What::Memory(0.8),
            ),
        ],
    );
}

#[test]
fn every_gate_keeps_its_stage_and_its_neighbour_passes() {
    let quiet = What::Cpu(0.3);
    every_gate(
        "fincafacil",
        &[
            gate("pilot", "health_error_rate", What::Unhealthy(0.05), quiet),
            gate("pilot", "critical_errors", What::CriticalErrors(200), quiet),
            gate("pilot", "incidents", What::Incidents(200), quiet),
            gate("open", "transactions", What::Transactions(0.4), quiet),
        ],
    );
}
