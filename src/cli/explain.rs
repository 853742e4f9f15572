//! `switchback explain`.

mod timeline;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::builder::NonEmptyStringValueParser as NonEmpty;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::client::Client;
use super::{Failure, Output};
use crate::config;
use crate::journal;
use crate::serve;

/// What to explain, and how to print it.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Whom.
    #[command(flatten)]
    pub subject: Subject,
    /// Ask nobody who runs: answer from this configuration and the journal of its state
    /// directory
    #[arg(long, value_name = "FILE", conflicts_with = "call")]
    pub config: Option<PathBuf>,
    /// The state directory, if it is another than the configuration's
    #[arg(long, value_name = "DIR", requires = "config")]
    pub state: Option<PathBuf>,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

const AFTER_HELP: &str = "\
Examples:
  switchback explain --tenant clinica-norte
  switchback explain --tenant clinica-norte --config config/switchback.toml
  switchback explain --call CA7a2f…

Because:
  pinned, inherited     the call, or its parent, is there already
  claimed, token        the mark of the backend that started it; our token in the URL
  latched, off          a reversal or total rollback is in force; the split is off
  disabled, enabled     the tenant is in that list; `listed` says since when, and by whom
  hashed                the tenant's bucket against the percentage
  unlisted, unplaced    the directory lacks the key; nothing to hash came: legacy
  late, orphan          of a call not seen before: its end, or the middle of it
  unrecognized          no webhook of the route's protocol: legacy
  rescued               legacy began it: new failed it, or was not asked because its
                        breaker was open or its cap reached
  moved                 it began on new and was sent to legacy's entry

A call is shown by a key made of its id, the `call` of the access log. Its words: leg: it
belongs to another call; provisional: known by events alone, no voice webhook yet;
started: a voice webhook has left. Below it stand its webhooks of the last hour (at most
200,000 are kept, of all calls): when, where and why, what became of each, and what the
rows that take calls from new said then. A webhook that is not known to be genuine pins
nothing, so a call known only by such is not known here.";

/// Whom to explain: one of the two.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Subject {
    /// Where this tenant's next call would go: its name, or a key as webhooks carry it
    #[arg(long, value_name = "ID", value_parser = NonEmpty::new())]
    pub tenant: Option<String>,
    /// Where the call is, by any id the provider has for it or one of its legs
    #[arg(long, value_name = "ID", value_parser = NonEmpty::new())]
    pub call: Option<String>,
}

/// Shows where it goes, and why.
pub(super) fn run(args: &Args, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
    show(args, &asked(args, client)?, out)
}

/// The same from the configuration and the journal: with `--config`.
pub(super) fn run_offline(args: &Args, config: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    // The command line is only taken with a tenant.
    let tenant = args.subject.tenant.as_deref().unwrap_or_default();
    show(args, &offline(config, args.state.as_deref(), tenant)?, out)
}

fn show(args: &Args, explanation: &Value, out: &mut dyn Write) -> Result<(), Failure> {
    match args.output {
        Output::Json => writeln!(out, "{explanation}")?,
        Output::Text => out.write_all(lines(explanation).as_bytes())?,
    }
    Ok(())
}

/// What the configuration and the journal say.
fn offline(config: &Path, state: Option<&Path>, tenant: &str) -> Result<Value, Failure> {
    let loaded = config::load(config);
    let config = loaded
        .map_err(|report| Failure::Configuration(report.render(true)))?
        .config;
    let dir = state.unwrap_or(&config.state.dir);
    let entries = journal::read_all(dir).map_err(|error| Failure::Failed(error.to_string()))?;
    let latched = journal::latched(dir);
    Ok(serve::explain::offline(
        tenant,
        &config,
        &entries,
        latched.as_deref(),
    ))
}

/// What the running process says.
fn asked(args: &Args, client: &Client) -> Result<Value, Failure> {
    let (word, id) = match (&args.subject.tenant, &args.subject.call) {
        (Some(tenant), _) => ("tenant", tenant),
        (None, Some(call)) => ("call", call),
        (None, None) => return Err(Failure::Usage("say --tenant or --call".to_owned())),
    };
    let id = utf8_percent_encode(id, NON_ALPHANUMERIC);
    client.get(&format!("/api/v1/explain?{word}={id}"))?.read()
}

/// What is no value of the answer, but a list of its own.
const APART: [&str; 3] = ["steps", "webhooks", "webhooks_before"];

/// The answer first, then how it came about, values aligned. A field nobody here
/// knows yet is shown as it came.
fn lines(explanation: &Value) -> String {
    let Value::Object(fields) = explanation else {
        return format!("{explanation}\n");
    };
    let width = fields.keys().map(|name| name.chars().count()).max();
    let width = width.unwrap_or_default() + 2;
    let first = ["tenant", "call", "backend", "because", "listed"];
    let known = first.iter().filter_map(|name| fields.get_key_value(*name));
    let rest = fields
        .iter()
        .filter(|(name, _)| !first.contains(&name.as_str()) && !APART.contains(&name.as_str()));
    let mut text = String::new();
    for (name, value) in known.chain(rest) {
        text.push_str(&format!(
            "{:width$}{}\n",
            name.replace("_secs_ago", "").replace('_', " "),
            said(name, value)
        ));
    }
    if let Some(Value::Array(steps)) = fields.get("steps") {
        text.push_str("\nasked, in this order:\n");
        for step in steps {
            let asked = step["asked"].as_str().unwrap_or("?");
            let answer = match step["answer"].as_bool() {
                Some(true) => "yes",
                Some(false) => "no",
                None => "?",
            };
            text.push_str(&format!("  {answer:<5}{asked}\n"));
        }
    }
    if let Some(Value::Array(webhooks)) = fields.get("webhooks") {
        let before = fields.get("webhooks_before").and_then(Value::as_u64);
        timeline::tell(&mut text, webhooks, before.unwrap_or(0));
    }
    text
}

/// A value as people say it.
fn said(name: &str, value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::Bool(true) if name == "offline" => {
            "yes: from the configuration and the journal; no running process was asked".to_owned()
        }
        Value::Object(place) if name == "after_a_start" => format!(
            "{}, {}: the file wishes for what is not in force",
            place["backend"].as_str().unwrap_or("?"),
            place["because"].as_str().unwrap_or("?")
        ),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(because) if name == "because" => match words(because) {
            Some(words) => format!("{because}: {words}"),
            None => because.clone(),
        },
        Value::String(value) => value.clone(),
        Value::Object(bucket) if name == "bucket" => {
            format!("{} of {}", bucket["number"], bucket["of"])
        }
        Value::Number(number) if name == "percentage" => {
            let percent = number.as_f64().unwrap_or_default();
            format!("{percent} %")
        }
        Value::Number(seconds) if name.ends_with("_secs_ago") => format!("{seconds} s ago"),
        value => value.to_string(),
    }
}

/// What a word means that nobody expects to read.
fn words(because: &str) -> Option<&'static str> {
    match because {
        "rescued" => Some("legacy began it, because new failed it or was not asked"),
        "moved" => Some("it began on new and was sent to legacy's entry"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_comes_first_and_its_questions_last() {
        let explanation = serde_json::json!({
            "backend": "legacy", "because": "hashed", "tenant": "acme",
            "bucket": { "number": 71, "of": 100 }, "percentage": 10.0, "pinned_since": null,
            "steps": [
                { "asked": "the split is enabled", "answer": true },
                { "asked": "the bucket is below the percentage", "answer": false },
            ],
        });
        let text = "\
tenant        acme
backend       legacy
because       hashed
bucket        71 of 100
percentage    10 %
pinned since  –

asked, in this order:
  yes  the split is enabled
  no   the bucket is below the percentage
";
        assert_eq!(lines(&explanation), text);
    }

    #[test]
    fn an_answer_without_a_process_says_so() {
        let text = lines(&serde_json::json!({
            "tenant": "acme", "backend": "legacy", "because": "hashed", "offline": true,
            "after_a_start": { "backend": "new", "because": "hashed" },
        }));
        assert!(text.contains("no running process was asked"), "{text}");
        assert!(text.contains("new, hashed: the file wishes"), "{text}");
    }

    #[test]
    fn a_call_is_told_in_words() {
        let explanation = serde_json::json!({
            "backend": "new", "because": "hashed", "ended": false, "began_secs_ago": 12,
        });
        let text = lines(&explanation);
        assert!(text.contains("ended           no\n"), "{text}");
        assert!(text.contains("began           12 s ago\n"), "{text}");
    }

    #[test]
    fn a_call_that_changed_hands_says_why_and_how_it_ended() {
        let text = lines(&serde_json::json!({
            "backend": "legacy", "because": "rescued", "ended_as": "served",
        }));
        assert!(
            text.contains("rescued: legacy began it, because new failed"),
            "{text}"
        );
        assert!(text.contains("served\n"), "{text}");
        let moved = lines(&serde_json::json!({ "because": "moved" }));
        assert!(moved.contains("moved: it began on new"), "{moved}");
    }
}
