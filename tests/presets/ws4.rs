//! R3: a chat and voice platform, canary by the clock.

use switchback::rehearsal::What;

use super::*;

#[test]
fn the_good_days_come_to_their_end() {
    good_weeks("ws4", 1000.0);
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
