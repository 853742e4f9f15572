//! `switchback check`.

mod forecast;

use std::io::Write;
use std::path::PathBuf;

use super::{Failure, failure};

/// What to check.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  switchback check --config switchback.toml
  switchback check --config switchback.toml --calls-per-minute 4

Of a plan with `calls_per_hour` it shows for each stage how soon each row that acts would notice a \
fault, after how many calls on new, and how many callers that would cost; a stage in which no row would notice a \
total outage is an error. Secrets are read from where the file says, so run it with the environment of the service. Of a file \
that is well it says how each route tells genuine webhooks, what its callers hear when a backend \
fails, when each backend is not asked, and which certificates are shown. The running service takes a changed file \
with `switchback reload`; `reload --dry-run` says what would change.")]
pub struct Args {
    /// The configuration file
    #[arg(long, short, value_name = "FILE")]
    pub config: PathBuf,
    /// Calls a minute on both backends together: says which rows would be blind then, and is
    /// taken in place of the plan's calls_per_hour
    #[arg(long, value_name = "N", value_parser = calls_per_minute)]
    pub calls_per_minute: Option<f64>,
}

/// A configuration that was taken.
#[derive(Debug, Default)]
pub struct Checked {
    /// What is allowed and perhaps not meant, as one report; empty for nothing.
    pub warnings: String,
    /// For each route, how genuine webhooks are told, and what is done when new fails; then
    /// when each backend is not asked, and what TLS shows.
    pub routes: Vec<String>,
    /// How soon a fault would be noticed in each stage of the plan.
    pub stages: Vec<String>,
}

/// Reads the file and shows every problem in it.
pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    show(args, load(args), out)
}

/// The configuration, or the whole report on what is wrong with it. Colours in a
/// report are taken out where nobody sees them.
fn load(args: &Args) -> Result<Checked, String> {
    let file = args.config.as_path();
    let read = match args.calls_per_minute {
        Some(calls) => crate::config::load_at(file, calls * 60.0),
        None => crate::config::load(file),
    };
    let mut loaded = read.map_err(|report| report.render(true))?;
    if let Some(calls) = args.calls_per_minute {
        loaded.warnings.extend(loaded.config.blind_rows(calls));
    }
    let warnings = if loaded.warnings.is_empty() {
        String::new()
    } else {
        loaded.warnings.render(true)
    };
    let mut routes = loaded.config.verification();
    routes.extend(loaded.config.rescues());
    routes.extend(loaded.config.guards());
    routes.extend(loaded.config.encryption());
    Ok(Checked {
        warnings,
        routes,
        stages: forecast::lines(&loaded.config),
    })
}

fn show(args: &Args, read: Result<Checked, String>, out: &mut dyn Write) -> Result<(), Failure> {
    let checked = read.map_err(Failure::Configuration)?;
    let file = args.config.display();
    if checked.warnings.is_empty() {
        writeln!(out, "{file}: well")?;
    } else {
        failure::note(checked.warnings.trim_end());
        writeln!(out, "{file}: well, with warnings")?;
    }
    for line in checked.routes.iter().chain(&checked.stages) {
        writeln!(out, "  {line}")?;
    }
    Ok(())
}

fn calls_per_minute(text: &str) -> Result<f64, String> {
    let calls = text.parse().ok();
    let calls = calls.filter(|calls: &f64| calls.is_finite() && *calls > 0.0);
    calls.ok_or_else(|| "a number of calls above 0".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> Args {
        Args {
            config: "s.toml".into(),
            calls_per_minute: None,
        }
    }

    #[test]
    fn a_good_file_is_said_to_be_well_with_its_warnings_and_what_is_verified() {
        for (warnings, said) in [
            ("", "s.toml: well\n  /ivr: not verified\n"),
            (
                "two rows are blind\n",
                "s.toml: well, with warnings\n  /ivr: not verified\n",
            ),
        ] {
            let checked = Checked {
                warnings: warnings.to_owned(),
                routes: vec!["/ivr: not verified".to_owned()],
                stages: Vec::new(),
            };
            let mut out = Vec::new();
            show(&args(), Ok(checked), &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), said);
        }
    }

    // With a plan the option changed nothing, and nobody was told.
    #[test]
    fn so_many_calls_a_minute_take_the_place_of_the_plans() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("s.toml");
        let text = "backend.legacy.url = \"http://127.0.0.1:3001\"\n\
                    backend.new.url = \"http://127.0.0.1:3002\"\n\
                    [[route]]\npath = \"/ivr\"\nprotocol = \"twilio\"\n\
                    [[reversal]]\nmeasure = \"error_rate\"\nabove = \"10%\"\nover = \"5m\"\n\
                    action = \"reverse\"\n\
                    [plan]\ncalls_per_hour = 60\n\
                    [[plan.stage]]\nname = \"a\"\npercentage = 10\nsoak = \"1d\"\n";
        std::fs::write(&config, text).unwrap();
        let stages = |calls_per_minute| {
            let args = Args {
                config: config.clone(),
                calls_per_minute,
            };
            load(&args).map(|checked| checked.stages[0].clone())
        };
        assert_eq!(
            stages(None).unwrap(),
            "stage a: 10 % of 60 calls an hour: about 6 on new"
        );
        assert_eq!(
            stages(Some(10.0)).unwrap(),
            "stage a: 10 % of 600 calls an hour: about 60 on new"
        );
        let blind = stages(Some(0.001)).unwrap_err();
        assert!(blind.contains("the stage is blind"), "{blind}");
    }

    #[test]
    fn a_wrong_file_is_exit_78_and_nothing_on_stdout() {
        let mut out = Vec::new();
        let failure = show(&args(), Err("carets".to_owned()), &mut out).unwrap_err();
        assert_eq!((failure.code(), out.len()), (78, 0));
        assert_eq!(failure.to_string(), "carets");
    }
}
