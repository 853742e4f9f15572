//! R1: an IVR on TeXML.

use switchback::rehearsal::What;

use super::*;

#[test]
fn the_good_weeks_come_to_their_end() {
    good_weeks("ivr-texml", 30.0);
}

#[test]
fn every_row_acts_and_its_neighbour_is_spared() {
    use Does::{Alert, Reverse};
    let quiet = What::Cpu(0.3);
    every_row(
        "ivr-texml",
        &[
            row(
                "errors-5-15m",
                Alert,
                What::Errors(0.06),
                What::Errors(0.04),
            ),
            row(
                "errors-10-5m",
                Reverse,
                What::Errors(0.2),
                What::Errors(0.05),
            ),
            row(
                "response-time-mean-3s-10m",
                Alert,
                What::Slow(3100.0),
                What::Slow(2900.0),
            )
            .but(exact),
            row(
                "response-time-mean-5s-5m",
                Reverse,
                What::Slow(5100.0),
                What::Slow(4900.0),
            )
            .but(exact),
            row(
                "abandonment-15-30m",
                Alert,
                What::Abandonment(0.2),
                What::Abandonment(0.13),
            ),
            row(
                "abandonment-25-15m",
                Reverse,
                What::Abandonment(0.4),
                What::Abandonment(0.2),
            ),
            row(
                "critical-errors-0-1h",
                Reverse,
                What::CriticalErrors(1),
                quiet,
            ),
            row(
                "error rate high",
                Alert,
                What::Errors(0.08),
                What::Errors(0.03),
            ),
            row(
                "response time degraded",
                Alert,
                What::Slow(2100.0),
                What::Slow(1900.0),
            )
            .but(exact),
            row(
                "memory usage high",
                Alert,
                What::Memory(0.81),
                What::Memory(0.8),
            ),
            row(
                "call abandonment high",
                Alert,
                What::Abandonment(0.22),
                What::Abandonment(0.12),
            ),
            row(
                "speech recognition low",
                Alert,
                What::Speech(0.68),
                What::Speech(0.82),
            ),
            row("system down", Alert, What::Down, What::Errors(0.05)),
            row(
                "concurrent calls high",
                Alert,
                What::Lasting(240.0),
                What::Lasting(60.0),
            )
            .but(|scenario| {
                // 400 calls begin an hour: of a minute each, seven go on at once.
                scenario.traffic = Traffic::Flat(400.0);
                scenario.habits.new.duration_s = 60.0;
            }),
        ],
    );
}

/// Response times that are all the same, and nobody rescued for being late.
fn exact(scenario: &mut Scenario) {
    scenario.habits.new.spread = 0.0;
    scenario.edge.rescue_after = HOUR;
}

#[test]
fn every_gate_keeps_its_stage_and_its_neighbour_passes() {
    let quiet = What::Cpu(0.3);
    every_gate(
        "ivr-texml",
        &[
            gate(
                "pilot",
                "response_time_mean",
                What::Slow(1600.0),
                What::Slow(1400.0),
            ),
            gate(
                "pilot",
                "error_rate",
                What::Errors(0.02),
                What::Errors(0.005),
            ),
            gate(
                "pilot",
                "memory_used",
                What::Memory(0.85),
                What::Memory(0.75),
            ),
            gate("pilot", "cpu_used", What::Cpu(0.85), What::Cpu(0.75)),
            gate("pilot", "abandonment_rate", What::Abandonment(0.2), quiet),
            gate(
                "pilot",
                "speech_recognition_rate",
                What::Speech(0.78),
                quiet,
            ),
            gate(
                "pilot",
                "call_duration_mean",
                What::Lasting(220.0),
                What::Lasting(120.0),
            ),
            gate("pilot", "critical_errors", What::CriticalErrors(200), quiet),
            gate(
                "expansion-10",
                "error_rate",
                What::Errors(0.08),
                What::Errors(0.03),
            ),
            gate(
                "expansion-10",
                "abandonment_rate",
                What::Abandonment(0.2),
                What::Abandonment(0.1),
            ),
            gate(
                "expansion-10",
                "speech_recognition_rate",
                What::Speech(0.68),
                What::Speech(0.82),
            ),
            gate("everything", "failed_call_rate", What::Errors(0.05), quiet),
            gate(
                "everything",
                "error_rate",
                What::Errors(0.05),
                What::Errors(0.001),
            ),
        ],
    );
}
