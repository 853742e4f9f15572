//! `[[hook]]`: what outside is told or asked at the moments of a rollout.

use std::ops::Range;
use std::time::Duration;

use super::check::Add;
use super::file::Draft as File;
use super::problem::Problem;
use super::walk::{Section, Value, shown};
use crate::hooks::{Call, HOOKS_MAX, Hook};
use crate::rollout::Moment;

/// How long one may take where the file does not say.
const TIMEOUT: Duration = Duration::from_secs(30);
/// A step that waits longer than this for a hook has failed anyway.
const TIMEOUT_MAX: Duration = Duration::from_secs(3600);
/// Most words of a command.
const WORDS_MAX: usize = 100;

/// One hook that could be read, and where its parts stand.
#[derive(Debug)]
pub(super) struct Draft {
    /// The hook.
    pub(super) hook: Hook,
    /// Where `on` stands.
    pub(super) on_span: Range<usize>,
    /// Where `stage` stands, if it is there.
    stage_span: Option<Range<usize>>,
}

/// Reads every row.
pub(super) fn read(root: &Section<'_>) -> Vec<Draft> {
    let rows = root.rows("hook");
    if let Some(row) = rows.get(HOOKS_MAX) {
        let message = format!("there are {} hooks", rows.len());
        root.problems.add(
            Problem::error(row.span.clone(), message).help(format!("at most {HOOKS_MAX} are told")),
        );
    }
    rows.iter().filter_map(hook).collect()
}

fn hook(section: &Section<'_>) -> Option<Draft> {
    let on = section.need("on", "\"before-stage\"");
    let moment = (on.as_ref())
        .and_then(|value| value.choice(&Moment::ALL.map(|moment| (moment.name(), moment))));
    let stage = section.get("stage");
    let named = (stage.as_ref()).map(|value| value.string("\"pilot\"").map(str::to_owned));
    let call = call(section);
    let timeout = match section.get("timeout") {
        Some(value) => value.duration(Duration::from_secs(1)..=TIMEOUT_MAX),
        None => Some(TIMEOUT),
    };
    section.finish(&[], &[]);
    let hook = Hook {
        on: moment?,
        stage: match named {
            Some(named) => Some(named?),
            None => None,
        },
        call: call?,
        timeout: timeout?,
    };
    Some(Draft {
        hook,
        on_span: on?.span(),
        stage_span: stage.map(|value| value.span()),
    })
}

fn call(section: &Section<'_>) -> Option<Call> {
    match (section.get("run"), section.get("url")) {
        (Some(run), None) => Some(Call::Command(command(&run)?)),
        (None, Some(url)) => {
            let url = url.read("\"https://hooks.example.com/switchback\"", address)?;
            Some(Call::Post { url })
        }
        (Some(_), Some(url)) => {
            url.refuse("and `run` cannot both be in a hook", "make two hooks of it");
            None
        }
        (None, None) => {
            let message = format!("{} needs `run` or `url`", section.name);
            section.problems.add(
                Problem::error(section.span.clone(), message)
                    .help("for example: run = [\"/usr/local/bin/scale-up\"]")
                    .follows(),
            );
            None
        }
    }
}

/// A program and its arguments. No shell reads them, so that nothing in them can mean
/// more than it says.
pub(super) fn command(value: &Value<'_>) -> Option<Vec<String>> {
    const EXAMPLE: &str = "[\"/usr/local/bin/scale-up\", \"new\"]";
    if value.as_str().is_some() {
        value.refuse(
            "is one string: no shell takes it apart",
            format!("write the program and each argument apart: {EXAMPLE}"),
        );
        return None;
    }
    let entries = value.one_or_more(
        &format!("a list: the program, then its arguments, for example {EXAMPLE}"),
        EXAMPLE,
    );
    if entries.is_empty() {
        return None;
    }
    if entries.len() > WORDS_MAX {
        let count = entries.len();
        value.refuse(
            format!("has {count} words"),
            format!("a command has at most {WORDS_MAX}: write a script"),
        );
        return None;
    }
    let words: Vec<_> = (entries.iter())
        .map(|entry| entry.string("\"new\"").map(str::to_owned))
        .collect();
    words.into_iter().collect()
}

/// An address that is posted to: as it is written, if it is one.
fn address(text: &str) -> Result<String, String> {
    const SHAPE: &str = "write a URL as \"https://host/path\"";
    let uri: http::Uri = text.parse().map_err(|_| SHAPE.to_owned())?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
        return Err(SHAPE.to_owned());
    }
    if uri.authority().is_some_and(|it| it.as_str().contains('@')) {
        return Err("a URL here carries no user name and password".to_owned());
    }
    Ok(text.to_owned())
}

/// A hook of a stage that is not there never comes.
pub(super) fn check(draft: &File, add: &Add<'_>) {
    let Some(plan) = &draft.plan else { return };
    let names: Vec<&str> = (plan.stages.iter())
        .map(|stage| stage.stage.name.as_str())
        .collect();
    for hook in &draft.hooks {
        let Some(stage) = &hook.hook.stage else {
            continue;
        };
        if names.contains(&stage.as_str()) || !plan.is_whole() {
            continue;
        }
        let message = format!("the plan has no stage `{}`", shown(stage));
        let problem = Problem::error(hook.stage_span.clone(), message);
        add(match super::problem::nearest(stage, &names) {
            Some(meant) => problem.help(format!("did you mean `{meant}`?")),
            None => problem.help(format!("it has {}", super::problem::listed(&names))),
        });
    }
}
