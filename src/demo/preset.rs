//! `switchback demo --preset NAME`: a shipped preset's plan, weeks in half a minute.
//!
//! The callers and the time are simulated; the engine, the tables, the plan and its
//! calendar are the real ones, and the screen is that of `switchback status --watch`.
//! With a fault one sees its table act: which row, on what evidence, how soon after the
//! first caller who met it, at what cost, and that everything is on legacy then.

mod show;

use std::time::Duration;

use anyhow::Context as _;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::{Fault, StateDir};
use crate::config::Config;
use crate::model::{Backend, PerBackend};
use crate::rehearsal::{self, Acts, Outcome, Scenario, Traffic, What, When};
use crate::rules::words::span;
use show::Show;

/// The presets that are shipped.
const SHIPPED: [Preset; 4] = [
    Preset {
        name: "ivr-texml",
        text: include_str!("../../config/presets/ivr-texml.toml"),
        tenants: None,
    },
    Preset {
        name: "voice-agent-v2",
        text: include_str!("../../config/presets/voice-agent-v2.toml"),
        tenants: Some(include_str!(
            "../../config/presets/voice-agent-v2.tenants.csv"
        )),
    },
    Preset {
        name: "ws4",
        text: include_str!("../../config/presets/ws4.toml"),
        tenants: None,
    },
    Preset {
        name: "fincafacil",
        text: include_str!("../../config/presets/fincafacil.toml"),
        tenants: Some(include_str!("../../config/presets/fincafacil.tenants.csv")),
    },
];

/// A shipped preset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    name: &'static str,
    text: &'static str,
    /// The tenant directory that lies beside it.
    tenants: Option<&'static str>,
}

impl Preset {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        SHIPPED.into_iter()
    }

    /// What it is called on the command line.
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// Its configuration.
    ///
    /// # Errors
    ///
    /// There is no room for a temporary file, or the preset does not stand its own check.
    pub fn config(self) -> anyhow::Result<Config> {
        let dir = StateDir::new()?;
        let name = self.name;
        let file = dir.0.join(format!("{name}.toml"));
        std::fs::write(&file, self.text)?;
        if let Some(tenants) = self.tenants {
            std::fs::write(dir.0.join(format!("{name}.tenants.csv")), tenants)?;
        }
        crate::config::load(&file)
            .map(|loaded| loaded.config)
            .map_err(|report| anyhow::anyhow!("{}", report.render(false)))
            .with_context(|| format!("the shipped preset {name} is broken"))
    }
}

/// A preset by its name, on a command line; who completes it is offered all of them.
pub fn parser() -> impl TypedValueParser<Value = Preset> {
    PossibleValuesParser::new(Preset::all().map(Preset::name)).try_map(|name| known(&name))
}

/// The preset of that name.
///
/// # Errors
///
/// There is none; says which there are.
pub fn known(name: &str) -> Result<Preset, String> {
    Preset::all()
        .find(|preset| preset.name == name)
        .ok_or_else(|| {
            let names: Vec<_> = Preset::all().map(Preset::name).collect();
            format!("the presets are {}", names.join(", "))
        })
}

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Where a preset states no traffic, as busy as a clinic's line: an outage shows within
/// minutes and five weeks take no long time to play.
const CALLS_AN_HOUR: f64 = 240.0;

/// What is watched after a reversal: until its verification is done, and a little more.
const AFTERMATH: Duration = Duration::from_secs(600);

/// The share of calls that a fault of the demo hits.
const HIT: f64 = 0.6;

/// Plays it on this terminal. False: it did not go as it should.
pub fn run(preset: Preset, fault: Fault) -> anyhow::Result<bool> {
    let config = preset.config()?;
    let settings = rehearsal::settings(&config);
    let scenario = scenario(&config, fault);
    let mut show = Show::new(preset.name, &config, &scenario, fault);
    show.opening()?;
    let outcome = rehearsal::play(&settings, &scenario, &mut show);
    show.finish()?;
    let well = went_well(&outcome, fault, config.plan.is_some());
    show.ending(&outcome, fault, well)?;
    Ok(well)
}

/// The preset's own day, and in its middle stage a fault.
fn scenario(config: &Config, fault: Fault) -> Scenario {
    let mut scenario = Scenario::of(config);
    let plan = config.plan.as_deref();
    if plan.is_none_or(|plan| plan.calls_per_hour.is_none()) {
        scenario.traffic = Traffic::Flat(CALLS_AN_HOUR);
    }
    let stages = plan.map_or(&[][..], |plan| plan.stages.as_slice());
    // A stage may wait a week for its window.
    let longest = stages.iter().map(|stage| stage.soak + 9 * DAY).sum();
    scenario.lasts = DAY.max(longest);
    scenario.after = Some(AFTERMATH);
    let at = match stages.get(stages.len() / 2) {
        Some(stage) => When::Stage(stage.name.clone(), (stage.soak / 3).min(DAY)),
        None => When::After(HOUR),
    };
    if let Some(what) = what(fault) {
        scenario.faults = vec![rehearsal::Fault {
            lasts: Some(2 * DAY),
            on: PerBackend::from_fn(|backend| backend == Backend::New || fault == Fault::Both),
            ..rehearsal::Fault::of_new(at, what)
        }];
    }
    if fault == Fault::Both {
        // Nothing is to be seen of it but what does not happen.
        scenario.lasts = longest.min(scenario.lasts);
        scenario
            .faults
            .iter_mut()
            .for_each(|fault| fault.lasts = Some(HOUR));
    }
    scenario
}

const fn what(fault: Fault) -> Option<What> {
    Some(match fault {
        Fault::Errors | Fault::Both => What::Errors(HIT),
        Fault::Documents => What::Documents(HIT),
        Fault::Slow => What::Slow(8000.0),
        Fault::Down => What::Down,
        Fault::None => return None,
    })
}

/// Did a rule act on the fault and on nothing else? Without a fault: did none, and is
/// the plan complete?
fn went_well(outcome: &Outcome, fault: Fault, planned: bool) -> bool {
    let (acts, early) = (outcome.acts(), outcome.false_acts());
    let none = Acts::default();
    let acted = match fault {
        Fault::None => acts == none && (outcome.is_complete() || !planned),
        // Going back would help nobody.
        Fault::Both => acts.reversals == 0,
        Fault::Errors | Fault::Documents | Fault::Down => acts.reversals > 0,
        Fault::Slow => acts.reversals + acts.steps_back > 0,
    };
    early == none && acted && outcome.counts.after_latch == 0
}

/// How long a plan is at least, in words.
fn length(config: &Config) -> String {
    let plan = config.plan.as_deref();
    let soaks = plan.into_iter().flat_map(|plan| &plan.stages);
    let whole: Duration = soaks.map(|stage| stage.soak).sum();
    match whole.as_secs() / 86_400 {
        0 => span(whole),
        days => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_known_by_its_name_and_stands_its_own_check() {
        for preset in Preset::all() {
            assert_eq!(known(preset.name()), Ok(preset));
            let config = preset.config();
            assert!(config.is_ok(), "{config:?}");
        }
        let told = known("ivr").unwrap_err();
        assert!(told.contains("ivr-texml"), "{told}");
    }
}
