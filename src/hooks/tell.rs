//! One moment told to everything outside that wants to hear of it.

use std::time::Duration;

use bytes::Bytes;

use super::kept::{Kept, clean};
use super::program::{Pipe, Program};
use super::{Call, Hook};
use crate::engine;
use crate::model::{Wall, mask_numbers};
use crate::post::{Address, Poster};
use crate::rollout::{Moment, shown};

/// Pauses between tries of a POST that is not waited for; so it is tried once more than
/// there are pauses.
pub(super) const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// Something that happened, as it is told outside.
#[derive(Debug)]
pub(super) struct Told<'a> {
    /// What.
    pub(super) what: &'a engine::Hook,
    /// When.
    pub(super) at: Wall,
    /// Between two tries.
    pub(super) pauses: &'a [Duration],
}

impl Told<'_> {
    /// Tells it to every hook that is meant, one after another; all are told, also
    /// after one of them failed.
    ///
    /// # Errors
    ///
    /// The first that failed, and why.
    pub(super) async fn tell(&self, hooks: &[Hook], poster: &Poster) -> Result<(), String> {
        let mut result = Ok(());
        for hook in hooks.iter().filter(|hook| self.is_meant(hook)) {
            let (moment, call) = (self.what.moment.name(), &hook.call);
            let told = match call {
                Call::Command(argv) => self.run(argv, hook).await,
                Call::Post { url } => self.post(url, hook.timeout, poster).await,
            };
            match told {
                Ok(()) => tracing::info!(moment, "Hook {call} was told."),
                Err(why) => {
                    tracing::warn!(moment, "Hook {call} failed: {why}");
                    let why = format!("{call}: {why}");
                    result = result.and(Err(why));
                }
            }
        }
        result
    }

    fn is_meant(&self, hook: &Hook) -> bool {
        let stage = hook.stage.as_ref();
        hook.on == self.what.moment
            && stage.is_none_or(|stage| self.what.stage.as_ref() == Some(stage))
    }

    async fn run(&self, argv: &[String], hook: &Hook) -> Result<(), String> {
        let what = self.what;
        let program = Program {
            argv,
            told: vec![
                ("SWITCHBACK_MOMENT", what.moment.name().to_owned()),
                ("SWITCHBACK_STAGE", what.stage.clone().unwrap_or_default()),
                // Whole: a program that acts on one tenant must know which.
                ("SWITCHBACK_TENANT", what.tenant.clone().unwrap_or_default()),
                (
                    "SWITCHBACK_PERCENTAGE",
                    what.percentage.as_f64().to_string(),
                ),
                ("SWITCHBACK_REASON", mask_numbers(&what.reason)),
            ],
            within: hook.timeout,
        };
        let (mut out, mut err) = (Kept::default(), Kept::default());
        let ended = program
            .run(&mut |pipe, bytes| match pipe {
                Pipe::Out => out.hear(bytes),
                Pipe::Err => err.hear(bytes),
            })
            .await;
        for (stream, kept) in [("stdout", &out), ("stderr", &err)] {
            for line in kept.lines() {
                tracing::info!(stream, "{}: {line}", hook.call);
            }
        }
        ended.map_err(|why| match err.last_line().or_else(|| out.last_line()) {
            Some(line) => format!("it {why}; it said: {line}"),
            None => format!("it {why}"),
        })
    }

    async fn post(&self, url: &str, within: Duration, poster: &Poster) -> Result<(), String> {
        let to = Address::new(url)?;
        let json = self.json();
        // Whether a stage begins is an operator's to try again.
        let is_waited_for = self.what.moment == Moment::BeforeStage;
        let mut pauses = self.pauses.iter().filter(|_| !is_waited_for);
        loop {
            let Err(untold) = poster.post(&to, json.clone(), within).await else {
                return Ok(());
            };
            let Some(pause) = pauses.next().filter(|_| untold.may_pass) else {
                return Err(untold.why);
            };
            tracing::info!("A hook is told again: {untold}");
            tokio::time::sleep(*pause).await;
        }
    }

    fn json(&self) -> Bytes {
        let at =
            jiff::Timestamp::from_millisecond(self.at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let json = serde_json::json!({
            "moment": self.what.moment.name(),
            "stage": self.what.stage,
            "tenant": self.what.tenant.as_deref().map(shown),
            "percentage": self.what.percentage.as_f64(),
            "reason": clean(&self.what.reason),
            "at": at.to_string(),
        });
        Bytes::from(json.to_string())
    }
}
