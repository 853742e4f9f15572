//! What is to be played: who calls, how both backends do, what goes wrong and when.
//!
//! Plain values, so that a test or a command line says a whole scenario in a few lines
//! and the seed brings it back.

use std::time::Duration;

use jiff::civil::date;
use jiff::tz::TimeZone;

use crate::calls::rescue::Mode;
use crate::config::Config;
use crate::model::{Backend, PerBackend, Percentage, TenantKey, Wall};
use crate::split::tenants::Names;

/// Monday, 5 January 2026, 00:00 UTC: where a play begins if nobody says otherwise, so
/// that the same command gives the same answer next year. With a plan it is 00:00 of that
/// day in the plan's time zone: see [`monday_in`].
pub const MONDAY: Wall = Wall(1_767_571_200_000);

const HOUR: Duration = Duration::from_secs(3600);

/// Tenants that are invented where no directory and no list names any.
pub const INVENTED: usize = 60;

/// Most tenants of a directory that call.
const TENANTS_MAX: usize = 10_000;

/// The midnight with which that Monday begins in this time zone.
pub fn monday_in(zone: &TimeZone) -> Wall {
    let began = date(2026, 1, 5).to_zoned(zone.clone());
    // The calendar has that day in every zone.
    began.map_or(MONDAY, |began| Wall(began.timestamp().as_millisecond()))
}

/// One play.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Brings all chance back.
    pub seed: u64,
    /// When it begins, by the calendar.
    pub start: Wall,
    /// So long only legacy is watched, before the first step toward new.
    pub before: Duration,
    /// It is over after so long, whatever happens.
    pub lasts: Duration,
    /// And so long after the rollout is complete, or stopped and nobody resumes it; None:
    /// it goes on.
    pub after: Option<Duration>,
    /// How many call.
    pub traffic: Traffic,
    /// Who calls.
    pub callers: Callers,
    /// How both backends do while nothing is wrong.
    pub habits: PerBackend<Habits>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// What a person does.
    pub operator: Operator,
    /// What the proxy's edge does with a webhook.
    pub edge: Edge,
    /// Webhooks of a call, from 1; its first minute holds them all.
    pub webhooks: u8,
    /// Luck is dealt in turns and not drawn: of any hundred calls 5 % are five, give or
    /// take one. For tests at a threshold.
    pub dealt: bool,
    /// How often the engine looks.
    pub cadence: Cadence,
}

impl Scenario {
    /// A configuration's own day: its directory and lists, its plan's time zone and traffic
    /// (else 120 calls an hour), two backends that do well, and an operator who takes each step
    /// as soon as it is allowed. Without a plan, the share that the file wishes for.
    pub fn of(config: &Config) -> Self {
        let plan = config.plan.as_deref();
        let hourly = plan.and_then(|plan| plan.calls_per_hour);
        let directory = config.proxy.directory.as_deref();
        let wishes = &config.wishes;
        let listed = wishes.tenants.keys().map(String::as_str);
        let picked = plan
            .iter()
            .flat_map(|plan| &plan.stages)
            .flat_map(|stage| &stage.tenants);
        let mut tenants: Vec<&str> = directory
            .into_iter()
            .flat_map(|directory| directory.tenants())
            .chain(listed)
            .chain(picked.map(String::as_str))
            .collect();
        tenants.sort_unstable();
        tenants.dedup();
        tenants.truncate(TENANTS_MAX);
        let callers = match directory {
            Some(_) => Callers::uneven(tenants),
            None => Callers::invented(INVENTED, tenants),
        };
        Self {
            start: plan.map_or(MONDAY, |plan| monday_in(&plan.calendar.zone)),
            // Volumes are known after a day, and so is how legacy is without new.
            before: if plan.is_some() { 26 * HOUR } else { HOUR },
            traffic: Traffic::Flat(hourly.unwrap_or(120.0)),
            callers,
            operator: Operator {
                sets: plan.is_none().then_some(wishes.percentage),
                ..Operator::default()
            },
            edge: Edge::of(config),
            // A little better than legacy, as whoever moves to it hopes: what ends a plan
            // asks for nothing worse, and of two equals one is worse by chance.
            habits: PerBackend {
                legacy: Habits::default(),
                new: Habits {
                    errors: 0.001,
                    abandonment: 0.04,
                    duration_s: 140.0,
                    ..Habits::default()
                },
            },
            ..Self::default()
        }
    }
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            seed: 1,
            start: MONDAY,
            before: HOUR,
            lasts: 24 * HOUR,
            after: None,
            traffic: Traffic::Flat(120.0),
            callers: Callers::invented(INVENTED, []),
            habits: PerBackend::from_fn(|_| Habits::default()),
            faults: Vec::new(),
            operator: Operator::default(),
            edge: Edge::default(),
            webhooks: 3,
            dealt: false,
            cadence: Cadence::default(),
        }
    }
}

/// Calls that begin in an hour, in all.
#[derive(Clone, Debug, PartialEq)]
pub enum Traffic {
    /// The same at all times.
    Flat(f64),
    /// By the hour of the day, from midnight in the plan's zone.
    Day([f64; 24]),
    /// By the hour of the week, from Monday's midnight in the plan's zone.
    Week(Box<[f64; 168]>),
}

impl Traffic {
    /// In this hour of the week, from 0.
    pub fn at(&self, hour: usize) -> f64 {
        match self {
            Self::Flat(calls) => *calls,
            Self::Day(hours) => hours[hour % 24],
            Self::Week(hours) => hours[hour % 168],
        }
    }
}

/// Who calls: tenants with their shares of all calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Callers {
    /// Tenant, its key, and the share of calls up to and with it.
    all: Vec<(String, TenantKey, f64)>,
}

impl Callers {
    /// These, the first with most calls: the second has about half as many, the tenth a
    /// sixth.
    pub fn uneven<'a>(tenants: impl IntoIterator<Item = &'a str>) -> Self {
        Self::weighed(tenants, |place| 1.0 / (1.0 + place as f64).powf(0.8))
    }

    /// These, all with as many calls.
    pub fn even<'a>(tenants: impl IntoIterator<Item = &'a str>) -> Self {
        Self::weighed(tenants, |_| 1.0)
    }

    /// So many invented ones with uneven shares, and these among them, who call as the
    /// middle does.
    pub fn invented<'a>(count: usize, named: impl IntoIterator<Item = &'a str>) -> Self {
        let invented: Vec<String> = (1..=count)
            .map(|number| format!("tenant-{number}"))
            .collect();
        let middle = count / 2;
        let (often, seldom) = invented.split_at(middle);
        let named = named.into_iter().map(str::to_owned);
        let all: Vec<String> = (often.iter().cloned())
            .chain(named)
            .chain(seldom.iter().cloned())
            .collect();
        Self::uneven(all.iter().map(String::as_str))
    }

    fn weighed<'a>(
        tenants: impl IntoIterator<Item = &'a str>,
        weigh: impl Fn(usize) -> f64,
    ) -> Self {
        let mut sum = 0.0;
        let mut all: Vec<(String, TenantKey, f64)> = tenants
            .into_iter()
            .enumerate()
            .map(|(place, id)| {
                sum += weigh(place);
                (id.to_owned(), TenantKey::new(id), sum)
            })
            .collect();
        if all.is_empty() {
            all.push(("tenant-1".to_owned(), TenantKey::new("tenant-1"), 1.0));
            sum = 1.0;
        }
        for (_, _, share) in &mut all {
            *share /= sum;
        }
        Self { all }
    }

    /// The tenant of a number from 0 to 1.
    pub(super) fn drawn(&self, unit: f64) -> usize {
        let place = self.all.partition_point(|(_, _, share)| *share <= unit);
        place.min(self.all.len() - 1)
    }

    /// A tenant's id and key.
    pub(super) fn get(&self, place: usize) -> (&str, TenantKey) {
        let (id, key, _) = &self.all[place];
        (id, *key)
    }

    /// Every tenant.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|(id, _, _)| id.as_str())
    }
}

impl Names for Callers {
    fn name(&self, key: TenantKey) -> Option<String> {
        let found = self.all.iter().find(|(_, of, _)| *of == key);
        found.map(|(id, _, _)| id.clone())
    }
}

/// How a backend does while nothing is wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Habits {
    /// The share of calls whose webhook fails by a status, 0..=1.
    pub errors: f64,
    /// The share of calls that get a broken document, 0..=1.
    pub documents: f64,
    /// The mean response time, in milliseconds.
    pub response_ms: f64,
    /// How far response times spread: the deviation of their logarithm; 0 for none.
    pub spread: f64,
    /// The share of callers who hang up before they are served, 0..=1.
    pub abandonment: f64,
    /// How long a call lasts in the mean, in seconds.
    pub duration_s: f64,
    /// The share of what callers say that is understood, 0..=1; None: nobody speaks.
    pub speech: Option<f64>,
    /// Business transactions a call; 0: none are reported.
    pub transactions: f64,
    /// Share of memory in use, 0..=1, reported every minute if it is.
    pub memory: Option<f64>,
    /// Share of processor in use, the same.
    pub cpu: Option<f64>,
    /// The share of health checks that are answered badly, 0..=1.
    pub unhealthy: f64,
    /// It does not answer at all.
    pub down: bool,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            errors: 0.002,
            documents: 0.0,
            response_ms: 250.0,
            spread: 0.4,
            abandonment: 0.05,
            duration_s: 150.0,
            speech: Some(0.92),
            transactions: 0.8,
            memory: Some(0.5),
            cpu: Some(0.3),
            unhealthy: 0.0,
            down: false,
        }
    }
}

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// When it begins.
    pub at: When,
    /// How long it lasts; None: to the end.
    pub lasts: Option<Duration>,
    /// What.
    pub what: What,
    /// Whose calls; empty: everybody's.
    pub tenants: Vec<String>,
    /// Where.
    pub on: PerBackend<bool>,
}

impl Fault {
    /// One of new, for everybody, to the end.
    pub const fn of_new(at: When, what: What) -> Self {
        Self {
            at,
            lasts: None,
            what,
            tenants: Vec::new(),
            on: PerBackend {
                legacy: false,
                new: true,
            },
        }
    }

    /// Is this backend hit for this tenant?
    pub fn hits(&self, backend: Backend, tenant: &str) -> bool {
        self.on[backend] && (self.tenants.is_empty() || self.tenants.iter().any(|id| id == tenant))
    }
}

/// When something happens.
#[derive(Clone, Debug, PartialEq)]
pub enum When {
    /// So long after the first step toward new was allowed ([`Scenario::before`]).
    After(Duration),
    /// So long after this stage began; never, if it does not.
    Stage(String, Duration),
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What {
    /// This share of calls fails.
    Errors(f64),
    /// This share of calls gets a broken document.
    Documents(f64),
    /// Answers take so many milliseconds in the mean.
    Slow(f64),
    /// No answer at all.
    Down,
    /// Up for so long and then gone for the second time, over and over.
    CrashLoop(Duration, Duration),
    /// This share of callers hangs up before being served.
    Abandonment(f64),
    /// This share of what callers say is understood.
    Speech(f64),
    /// Calls last so many seconds in the mean.
    Lasting(f64),
    /// This share of the transactions is lost.
    Transactions(f64),
    /// This share of memory is in use.
    Memory(f64),
    /// This share of the processor is in use.
    Cpu(f64),
    /// This share of health checks is answered badly.
    Unhealthy(f64),
    /// So many critical errors are reported, a minute apart.
    CriticalErrors(u32),
    /// So many complaints are.
    Complaints(u32),
    /// So many incidents are.
    Incidents(u32),
}

/// What a person does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operator {
    /// Sets this share as the first step.
    pub sets: Option<Percentage>,
    /// Tries `advance` so often, where a plan waits for a person.
    pub advances: Option<Duration>,
    /// Resumes so long after a hold or a step back.
    pub resumes: Option<Duration>,
}

impl Default for Operator {
    fn default() -> Self {
        Self {
            sets: None,
            advances: Some(Duration::from_secs(600)),
            resumes: None,
        }
    }
}

/// What the proxy's edge does with a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// When a backend has failed.
    pub timeout: Duration,
    /// When legacy is asked as well.
    pub rescue_after: Duration,
    /// Which webhooks legacy answers instead.
    pub rescue: Mode,
    /// A caller can be sent to legacy midway.
    pub entry: bool,
    /// A hang-up within this time says nothing.
    pub short: Duration,
}

impl Edge {
    /// That of a configuration's first route.
    fn of(config: &Config) -> Self {
        let proxy = &config.proxy;
        let Some(route) = proxy.routes.first() else {
            return Self::default();
        };
        Self {
            timeout: route.timeout,
            rescue_after: route.rescue.after,
            rescue: route.rescue.mode,
            entry: route.rescue.entry.is_some(),
            short: proxy.short,
        }
    }
}

impl Default for Edge {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            rescue_after: Duration::from_millis(1200),
            rescue: Mode::Off,
            entry: false,
            short: Duration::from_secs(5),
        }
    }
}

/// How often the engine looks. In production it is ten times a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cadence {
    /// At once when something bad was heard, within a second while a breaker is not
    /// closed, and else within half a minute or when sixteen things were heard. What is
    /// heard before a bad thing is told before it, in a look of its own: so every
    /// sequential test takes the same steps as if it had looked ten times a second.
    #[default]
    Lively,
    /// Ten times a second.
    Exact,
}
