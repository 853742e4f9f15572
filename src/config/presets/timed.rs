//! The presets that go by the clock: ws4 by hours and days, fincafacil by windows and modes.

use super::{DAY, HOUR, UNNAMED, acts, asks, gate, preset, row, stages};
use crate::model::Percentage;
use crate::rollout::Emergency;
use crate::rollout::plan::Advance;
use crate::rules::{Action, Base, How, Measure, Priority, STAGE, Side};

#[test]
fn ws4_has_its_schedule() {
    let config = preset("ws4");
    let plan = config.plan.as_ref().unwrap();
    assert_eq!(plan.advance, Advance::Auto);
    let moments: Vec<_> = stages(&config)
        .iter()
        .map(|stage| {
            let at = stage.not_before.expect("it goes by the clock");
            (at.day, at.at.hour(), stage.percentage.as_f64())
        })
        .collect();
    assert_eq!(
        moments,
        [
            (1, 8, 1.0),
            (1, 12, 5.0),
            (1, 18, 10.0),
            (2, 0, 25.0),
            (3, 0, 50.0),
            (4, 0, 100.0)
        ]
    );
    assert!(
        stages(&config).iter().all(|stage| stage.soak >= HOUR),
        "an hour of monitoring"
    );
}

#[test]
fn ws4_has_its_triggers() {
    use Action::Reverse;
    let config = preset("ws4");
    assert_eq!(
        acts(&config, Measure::ErrorRate, 0.05, Reverse),
        (Side::Above, UNNAMED.0)
    );
    let p99 = row(&config, Measure::ResponseTimeP99, 2.0, Reverse);
    let against = p99.against.expect("relative");
    assert_eq!((against.base, against.how), (Base::Baseline, How::Times));
    assert_eq!((p99.over, p99.calls_min), UNNAMED);
    assert_eq!(
        acts(&config, Measure::MemoryUsed, 0.9, Reverse).0,
        Side::Above
    );
    assert_eq!(
        acts(&config, Measure::Incidents, 0.0, Reverse).0,
        Side::Above,
        "any P1 incident"
    );
    assert_eq!(
        config.emergency,
        Emergency::LastResort,
        "all new traffic is blocked"
    );
}

#[test]
fn ws4_has_its_criteria() {
    let config = preset("ws4");
    for (index, stage) in stages(&config).iter().enumerate() {
        // Success above 95 %, and no rise in errors.
        asks(stage, Measure::ErrorRate, Side::Above, 0.05, None);
        asks(
            stage,
            Measure::ErrorRate,
            Side::Above,
            1.0,
            Some(Base::Legacy),
        );
        let incidents = gate(stage, Measure::Incidents);
        let span = if index < 3 { STAGE } else { DAY };
        assert_eq!(
            incidents,
            [(Side::Above, 1.0, None, span)],
            "{}",
            stage.name
        );
        // Less than 500 ms more at p99.
        let p99 = stage
            .gates
            .iter()
            .find(|gate| gate.measure == Measure::ResponseTimeP99);
        let against = p99.and_then(|gate| Some((gate.threshold, gate.against?)));
        let (more, against) = against.expect("p99 is held against legacy");
        assert_eq!(
            (more, against.base, against.how),
            (500.0, Base::Legacy, How::Plus)
        );
        // The heartbeat.
        assert_eq!(gate(stage, Measure::HealthErrorRate).len(), 1);
    }
    let health = config.proxy.backends.new.health.as_ref().unwrap();
    assert_eq!((health.path.as_str(), health.expect), ("/metrics", 200));
    assert_eq!(
        config.log.decisions.map(|it| it.sample),
        Some(1.0),
        "each decision is traced"
    );
}

#[test]
fn fincafacil_has_its_modes_inside_its_window() {
    let config = preset("fincafacil");
    let calendar = &config.plan.as_ref().unwrap().calendar;
    assert_eq!(calendar.zone.iana_name(), Some("America/Bogota"));
    let windows: Vec<String> = calendar.windows.iter().map(ToString::to_string).collect();
    assert_eq!(windows, ["Sunday 02:00-04:00"]);
    let [pilot, controlled, open] = stages(&config) else {
        panic!("three modes");
    };
    let names = [pilot, controlled, open].map(|stage| stage.name.as_str());
    assert_eq!(names, ["pilot", "controlled", "open"]);
    assert!((1..=3).contains(&pilot.tenants.len()), "one to three farms");
    let farms = pilot.tenants.len() + controlled.tenants.len();
    assert!((5..=20).contains(&farms), "five to twenty farms");
    assert_eq!(open.percentage, Percentage::FULL, "all farms");
    assert!(
        (14 * DAY..=28 * DAY).contains(&pilot.soak),
        "two to four weeks"
    );
    assert!(
        (28 * DAY..=84 * DAY).contains(&controlled.soak),
        "four to twelve weeks"
    );
    assert_eq!(pilot.alerts, [Priority::Critical], "only critical alerts");
    for priority in [Priority::Low, Priority::Medium, Priority::High] {
        assert!(controlled.alerts.contains(&priority), "{priority:?}");
        assert!(
            config
                .rules
                .iter()
                .any(|rule| rule.priority == Some(priority))
        );
    }
    // Uptime of 99.5 % or more.
    for stage in [pilot, controlled, open] {
        asks(stage, Measure::HealthErrorRate, Side::Above, 0.005, None);
    }
}

#[test]
fn fincafacil_has_its_automatic_rollback() {
    use Action::Reverse;
    let config = preset("fincafacil");
    assert_eq!(
        acts(&config, Measure::Uptime, 1800.0, Reverse).0,
        Side::Below
    );
    assert_eq!(
        acts(&config, Measure::HealthErrorRate, 0.05, Reverse),
        (Side::Above, UNNAMED.0)
    );
    let business = row(&config, Measure::Transactions, 0.9, Reverse);
    assert_eq!(business.side, Side::Below);
    assert_eq!(
        business.against.map(|it| (it.base, it.how)),
        Some((Base::Baseline, How::Times))
    );
    assert_eq!((business.over, business.calls_min), UNNAMED);
}
