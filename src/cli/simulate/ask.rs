//! What the command line asks for, made into a scenario.

use std::path::Path;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::Args;
use crate::cli::Failure;
use crate::config::Config;
use crate::model::{Backend, PerBackend, Wall};
use crate::rehearsal::{Fault, Operator, Scenario, Traffic, What, When};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// How long it is watched after everything is decided.
const AFTERMATH: Duration = Duration::from_secs(900);
/// Of a crash loop: for so long the backend is gone.
const GONE: Duration = Duration::from_secs(120);
/// A week's windows may make a stage wait so long.
const WAITS: Duration = Duration::from_secs(9 * 86_400);
/// The longest play: two years.
const LONGEST: Duration = Duration::from_secs(730 * 86_400);

/// Where it goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Where {
    /// In new
    #[default]
    New,
    /// In legacy
    Legacy,
    /// In both
    Both,
}

/// What is to be played.
pub(super) fn scenario(args: &Args, config: &Config) -> Result<Scenario, Failure> {
    let mut scenario = Scenario::of(config);
    let plan = config.plan.as_deref();
    let zone = plan.map_or(TimeZone::UTC, |plan| plan.calendar.zone.clone());
    scenario.seed = args.seed;
    if let Some(start) = args.start {
        let at = zone.to_timestamp(start).map_err(|error| {
            Failure::Usage(format!("there is no such moment as --start: {error}"))
        })?;
        scenario.start = Wall(at.as_millisecond());
    }
    if let Some(rate) = args.calls_per_hour {
        scenario.traffic = Traffic::Flat(rate);
    }
    if let Some(file) = &args.traffic {
        scenario.traffic = traffic(file)?;
    }
    if let Some(errors) = args.errors {
        for backend in Backend::ALL {
            scenario.habits[backend].errors = errors;
        }
    }
    if let Some(share) = args.percentage {
        if plan.is_some() {
            let why = "a plan says the percentages itself; leave out --percentage".to_owned();
            return Err(Failure::Usage(why));
        }
        scenario.operator.sets = Some(share);
    }
    let nobody = scenario
        .operator
        .sets
        .is_some_and(|share| share.basis_points() == 0);
    if nobody {
        let why = "nothing would be on new: there is no plan and the file's percentage is 0; say \
                   --percentage N";
        return Err(Failure::Usage(why.to_owned()));
    }
    let stages = plan.into_iter().flat_map(|plan| &plan.stages);
    if let Some(When::Stage(name, _)) = &args.at
        && !stages.clone().any(|stage| stage.name == *name)
    {
        let why = format!("--at: the plan has no stage `{name}`");
        return Err(Failure::Usage(why));
    }
    let longest = stages.fold(DAY, |sum, stage| sum + stage.soak + WAITS);
    scenario.lasts = match args.days {
        Some(days) => DAY * days,
        None => longest.min(LONGEST),
    };
    scenario.after = args.days.is_none().then_some(AFTERMATH);
    if args.days.is_some() {
        // Who watches for so long goes on after a hold as well.
        scenario.operator = Operator {
            resumes: Some(DAY),
            ..scenario.operator
        };
    }
    let known = |id: &&String| !scenario.callers.ids().any(|tenant| tenant == id.as_str());
    if let Some(stranger) = args.tenant.iter().find(known) {
        let why = match &config.proxy.directory {
            Some(_) => format!("the tenant directory does not list `{stranger}`"),
            None => format!(
                "`{stranger}` is on no list of the file; those invented are `tenant-1` to \
                 `tenant-{}`, the first with most calls",
                crate::rehearsal::scenario::INVENTED
            ),
        };
        return Err(Failure::Usage(why));
    }
    scenario.faults = faults(args, config);
    Ok(scenario)
}

fn faults(args: &Args, config: &Config) -> Vec<Fault> {
    let first = config.plan.as_deref().and_then(|plan| plan.stages.first());
    let usual = match first {
        Some(stage) => When::Stage(stage.name.clone(), HOUR.min(stage.soak / 2)),
        None => When::After(HOUR),
    };
    let fault = |what: &What| Fault {
        at: args.at.clone().unwrap_or_else(|| usual.clone()),
        lasts: args.lasting,
        what: *what,
        tenants: args.tenant.clone(),
        on: PerBackend {
            legacy: args.on != Where::New,
            new: args.on != Where::Legacy,
        },
    };
    args.fault.iter().map(fault).collect()
}

/// 168 numbers, however they are parted.
fn traffic(file: &Path) -> Result<Traffic, Failure> {
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::Failed(format!("could not read {shown}: {error}")))?;
    let parts = text.split(|c: char| c.is_whitespace() || c == ',' || c == ';');
    let numbers: Result<Vec<f64>, _> = parts.filter(|part| !part.is_empty()).map(rate).collect();
    let numbers = numbers.map_err(|why| Failure::Failed(format!("{shown}: {why}")))?;
    let count = numbers.len();
    let hours: [f64; 168] = numbers.try_into().map_err(|_| {
        Failure::Failed(format!(
            "{shown}: a week has 168 hours, and here are {count} numbers"
        ))
    })?;
    Ok(Traffic::Week(Box::new(hours)))
}

/// Calls an hour.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let calls = text.parse().ok();
    let calls = calls.filter(|calls: &f64| (0.0..=1e6).contains(calls));
    calls.ok_or_else(|| format!("`{text}` is no number of calls an hour, 0 to 1000000"))
}

/// A share: `5%`.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let number = text
        .strip_suffix('%')
        .and_then(|number| number.trim().parse().ok());
    let share = number.filter(|share: &f64| (0.0..=100.0).contains(share));
    let share = share.map(|share| share / 100.0);
    share.ok_or_else(|| "a share is 0% to 100%: 5%, 0.5%".to_owned())
}

/// A span: `90s`, `1h 30m`, `2d`.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let wrong = || "a span is written 90s, 10m, 1h 30m, 2d".to_owned();
    let mut sum = Duration::ZERO;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, after) = rest.split_at_checked(digits).ok_or_else(wrong)?;
        let letters = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(letters).ok_or_else(wrong)?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            "w" => 7 * 86_400,
            _ => return Err(wrong()),
        };
        let number: u32 = number.parse().map_err(|_| wrong())?;
        sum = sum.saturating_add(Duration::from_secs(seconds).saturating_mul(number));
        rest = after.trim_start();
    }
    if sum == Duration::ZERO || sum > LONGEST {
        return Err("a span is longer than nothing and at most two years".to_owned());
    }
    Ok(sum)
}

/// A moment of the play: `2h`, `stage pilot`, `stage pilot + 2h`.
pub(super) fn when(text: &str) -> Result<When, String> {
    let Some(stage) = text.trim().strip_prefix("stage ") else {
        return span(text).map(When::After);
    };
    let (name, after) = match stage.rsplit_once('+') {
        Some((name, after)) => (name, span(after)?),
        None => (stage, Duration::ZERO),
    };
    Ok(When::Stage(name.trim().to_owned(), after))
}

/// A day, or a day and a time.
pub(super) fn moment(text: &str) -> Result<DateTime, String> {
    text.trim()
        .parse()
        .map_err(|_| "a moment is written 2026-12-01 or 2026-12-01T08:00".to_owned())
}

/// A fault with its size.
pub(super) fn fault(text: &str) -> Result<What, String> {
    let (kind, size) = match text.split_once('=') {
        Some((kind, size)) => (kind, Some(size)),
        None => (text, None),
    };
    let part = |usual: f64| size.map_or(Ok(usual), share);
    let long = |usual: u64| size.map_or_else(|| Ok(Duration::from_secs(usual)), span);
    let many = |usual: u32| match size.map(str::parse) {
        None => Ok(usual),
        Some(Ok(count @ 1..=1000)) => Ok(count),
        Some(_) => Err("so many reports: 1 to 1000".to_owned()),
    };
    let millis = || match size.and_then(|size| size.strip_suffix("ms")) {
        Some(number) => match number.parse::<u32>() {
            Ok(number @ 1..) => Ok(f64::from(number)),
            _ => Err("a response time is written 800ms or 8s".to_owned()),
        },
        None => Ok(long(8)?.as_secs_f64() * 1000.0),
    };
    Ok(match kind.trim() {
        "errors" => What::Errors(part(0.3)?),
        "documents" => What::Documents(part(0.3)?),
        "slow" => What::Slow(millis()?),
        "down" if size.is_some() => {
            return Err("down takes no size: nothing is answered at all".to_owned());
        }
        "down" => What::Down,
        "crash-loop" => What::CrashLoop(long(1200)?, GONE),
        "abandonment" => What::Abandonment(part(0.4)?),
        "speech" => What::Speech(part(0.5)?),
        "duration" => What::Lasting(long(360)?.as_secs_f64()),
        "transactions" => What::Transactions(part(0.2)?),
        "memory" => What::Memory(part(0.95)?),
        "cpu" => What::Cpu(part(0.95)?),
        "health" => What::Unhealthy(part(0.5)?),
        "critical" => What::CriticalErrors(many(1)?),
        "complaints" => What::Complaints(many(4)?),
        "incidents" => What::Incidents(many(1)?),
        _ => {
            return Err(
                "the kinds are errors, documents, slow, down, crash-loop, abandonment, \
                        speech, duration, transactions, memory, cpu, health, critical, \
                        complaints, incidents"
                    .to_owned(),
            );
        }
    })
}

/// What a fault is, in words.
pub(super) fn said(what: What) -> String {
    let percent = |share: f64| format!("{} %", (share * 1000.0).round() / 10.0);
    let span = crate::rules::words::span;
    match what {
        What::Errors(share) => format!("{} of calls fail", percent(share)),
        What::Documents(share) => format!("{} of calls get a broken document", percent(share)),
        What::Slow(mean) => format!("answers take {} s in the mean", mean / 1000.0),
        What::Down => "no answer at all".to_owned(),
        What::CrashLoop(up, gone) => format!("up for {}, gone for {}", span(up), span(gone)),
        What::Abandonment(share) => format!("{} of callers hang up", percent(share)),
        What::Speech(share) => format!("{} of what is said is understood", percent(share)),
        What::Lasting(mean) => format!(
            "calls last {} in the mean",
            crate::rules::words::lasting(mean)
        ),
        What::Transactions(share) => format!("{} of the transactions are lost", percent(share)),
        What::Memory(share) => format!("{} of memory in use", percent(share)),
        What::Cpu(share) => format!("{} of the processor in use", percent(share)),
        What::Unhealthy(share) => format!("{} of health checks are bad", percent(share)),
        What::CriticalErrors(count) => crate::rules::words::many(count.into(), "critical error"),
        What::Complaints(count) => crate::rules::words::many(count.into(), "complaint"),
        What::Incidents(count) => crate::rules::words::many(count.into(), "incident"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_moments_and_spans_are_read_as_they_are_written() {
        for (text, what) in [
            ("errors", What::Errors(0.3)),
            ("errors=12.5%", What::Errors(0.125)),
            ("slow=800ms", What::Slow(800.0)),
            ("slow=6s", What::Slow(6000.0)),
            ("down", What::Down),
            (
                "crash-loop=25m",
                What::CrashLoop(Duration::from_secs(1500), GONE),
            ),
            ("complaints=2", What::Complaints(2)),
        ] {
            assert_eq!(fault(text), Ok(what), "{text}");
        }
        for text in [
            "",
            "down=3",
            "errors=3",
            "errors=101%",
            "slow=x",
            "complaints=0",
            "rain",
        ] {
            assert!(fault(text).is_err(), "{text}");
        }
        assert_eq!(
            fault("down=3").unwrap_err(),
            "down takes no size: nothing is answered at all"
        );
        assert_eq!(when("1h 30m"), Ok(When::After(Duration::from_secs(5400))));
        let pilot = |after| Ok(When::Stage("pilot".to_owned(), after));
        assert_eq!(when("stage pilot"), pilot(Duration::ZERO));
        assert_eq!(when("stage pilot + 2d"), pilot(2 * DAY));
        for text in [
            "",
            "2",
            "h",
            "2y",
            "0s",
            "-1h",
            "9999d",
            "stage pilot + x",
            "ä",
        ] {
            assert!(when(text).is_err(), "{text}");
        }
    }
}
