//! R2: a voice agent for many tenants.

use switchback::rehearsal::{Callers, What};

use super::*;

#[test]
fn the_good_weeks_come_to_their_end() {
    good_weeks("voice-agent-v2", 120.0);
}

#[test]
fn every_row_acts_and_its_neighbour_is_spared() {
    use Does::{Alert, DisableTenant, Reverse, StepBack};
    let quiet = What::Cpu(0.3);
    every_row(
        "voice-agent-v2",
        &[
            row(
                "errors over 5 %",
                Reverse,
                What::Errors(0.5),
                What::Errors(0.03),
            ),
            row(
                "p95 over 1200 ms",
                Reverse,
                What::Slow(1300.0),
                What::Slow(1100.0),
            )
            .but(exact),
            row(
                "failed calls over 10 %",
                Reverse,
                What::Errors(0.5),
                What::Errors(0.05),
            ),
            row(
                "breaker opened more than twice",
                Reverse,
                What::CrashLoop(6 * MINUTE, MINUTE),
                What::Errors(0.01),
            )
            .but(|scenario| scenario.traffic = Traffic::Flat(1500.0)),
            row(
                "more than three complaints",
                Reverse,
                What::Complaints(4),
                What::Complaints(3),
            ),
            row("critical failure", Reverse, What::CriticalErrors(1), quiet),
            row(
                "errors over 2 %",
                StepBack,
                What::Errors(0.06),
                What::Errors(0.01),
            ),
            row(
                "p95 over 800 ms",
                StepBack,
                What::Slow(900.0),
                What::Slow(700.0),
            )
            .but(exact),
            row(
                "a tenant complains",
                DisableTenant,
                What::Complaints(1),
                What::Complaints(0),
            )
            .but(one_tenant),
            row(
                "errors in one tenant",
                DisableTenant,
                What::Errors(1.0),
                What::Errors(0.01),
            )
            .but(one_tenant),
            row(
                "error rate warning",
                Alert,
                What::Errors(0.04),
                What::Errors(0.01),
            ),
            row(
                "error rate critical",
                Alert,
                What::Errors(0.08),
                What::Errors(0.03),
            ),
            row("p95 warning", Alert, What::Slow(900.0), What::Slow(700.0)).but(exact),
            row(
                "p95 critical",
                Alert,
                What::Slow(1300.0),
                What::Slow(1100.0),
            )
            .but(exact),
            row("breaker opened once", Alert, What::Down, What::Errors(0.01)),
            row(
                "breaker opened three times",
                Alert,
                What::CrashLoop(6 * MINUTE, MINUTE),
                What::Down,
            ),
        ],
    );
}

/// Response times that are all the same, and nobody rescued for being late.
fn exact(scenario: &mut Scenario) {
    scenario.habits.new.spread = 0.0;
    scenario.edge.rescue_after = HOUR;
}

fn one_tenant(scenario: &mut Scenario) {
    for fault in &mut scenario.faults {
        fault.tenants = vec!["clinica-norte".to_owned()];
    }
}

#[test]
fn one_broken_tenant_is_rolled_back_alone_under_the_whole_table() {
    let (mut settings, usual) = settings("voice-agent-v2");
    settings.plan = None;
    let mut scenario = Scenario {
        before: 2 * MINUTE,
        lasts: 95 * MINUTE,
        traffic: Traffic::Flat(1200.0),
        operator: Operator {
            sets: Some(Percentage::FULL),
            ..Operator::default()
        },
        faults: vec![Fault::of_new(When::After(30 * MINUTE), What::Errors(1.0))],
        // With fewer than four nobody could tell one tenant's fault from new's.
        callers: Callers::uneven(["a", "b", "c", "d", "clinica-norte", "e", "f", "g"]),
        ..usual
    };
    one_tenant(&mut scenario);
    let outcome = play(&settings, &scenario, &mut ());
    let acts = outcome.acts();
    assert_eq!(
        (acts.tenants, acts.reversals, acts.steps_back),
        (1, 0, 0),
        "{}",
        told(&outcome)
    );
}

#[test]
fn every_gate_keeps_its_stage_and_its_neighbour_passes() {
    let quiet = What::Cpu(0.3);
    every_gate(
        "voice-agent-v2",
        &[
            gate(
                "canary",
                "error_rate",
                What::Errors(0.03),
                What::Errors(0.005),
            ),
            gate(
                "canary",
                "response_time_p95",
                What::Slow(700.0),
                What::Slow(300.0),
            ),
            gate(
                "canary",
                "critical_errors",
                What::CriticalErrors(120),
                quiet,
            ),
            gate(
                "canary",
                "failed_call_rate",
                What::Errors(0.06),
                What::Errors(0.005),
            ),
            gate("canary", "complaints", What::Complaints(3), quiet),
            gate("half", "error_rate", What::Errors(0.04), What::Errors(0.01)),
            gate(
                "half",
                "breaker_opens",
                What::CrashLoop(10 * MINUTE, 5 * MINUTE),
                quiet,
            ),
        ],
    );
}
