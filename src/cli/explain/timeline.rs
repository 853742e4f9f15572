//! The webhooks of a call as people read them: one after the other, with what was known
//! then where that changed.

use serde_json::Value;

use crate::rules::{Measure, words};

/// How far what belongs to a webhook stands in.
const IN: &str = "                ";

/// Tells the webhooks; `before` are older ones that are not among them.
pub(super) fn tell(text: &mut String, webhooks: &[Value], before: u64) {
    let Some(first) = webhooks.first() else {
        text.push_str("\nwebhooks: none of the last hour is remembered\n");
        return;
    };
    let day = time(first).0;
    text.push_str(&format!("\nwebhooks since {day}, in UTC:\n"));
    if before > 0 {
        text.push_str(&format!("  … {before} before these\n"));
    }
    let route = webhooks.iter().map(|it| word(it, "route").chars().count());
    let route = route.max().unwrap_or_default();
    let (mut known, mut rules) = (String::new(), String::new());
    for webhook in webhooks {
        let line = format!(
            "  {:<14}{:<6} {:<route$}  {:<7} {:<10} {}",
            time(webhook).1,
            word(webhook, "kind"),
            word(webhook, "route"),
            word(webhook, "backend"),
            word(webhook, "because"),
            became(webhook)
        );
        text.push_str(line.trim_end());
        text.push('\n');
        if let Some(rescue) = rescue(webhook) {
            text.push_str(&format!("{IN}rescued: {rescue}\n"));
        }
        anew(text, &mut known, context(webhook));
        anew(text, &mut rules, said(webhook));
    }
}

/// Tells what is not what was told last.
fn anew(text: &mut String, last: &mut String, now: String) {
    if !now.is_empty() && *last != now {
        text.push_str(&format!("{IN}{now}\n"));
        *last = now;
    }
}

fn word<'a>(webhook: &'a Value, name: &str) -> &'a str {
    webhook[name].as_str().unwrap_or_default()
}

/// Day and time of day.
fn time(webhook: &Value) -> (&str, &str) {
    let time = word(webhook, "time");
    let (day, time) = time.split_once('T').unwrap_or(("", time));
    (day, time.trim_end_matches('Z'))
}

/// What became of it.
fn became(webhook: &Value) -> String {
    let latency = webhook["latency_ms"]
        .as_f64()
        .map(|ms| format!("{ms:.0} ms"));
    let mut told = match (word(webhook, "outcome"), latency) {
        ("", _) if webhook["rescue"].is_object() => return String::new(),
        ("", _) => return "no answer yet".to_owned(),
        ("served", Some(latency)) => format!("served in {latency}"),
        ("served", None) => "served".to_owned(),
        (cause, Some(latency)) => format!("failed: {cause} after {latency}"),
        (cause, None) => format!("failed: {cause}"),
    };
    match webhook["document"].as_str() {
        None | Some("sound") => {}
        Some(flaw) => told.push_str(&format!(", document {flaw}")),
    }
    if webhook["counted"].as_bool() == Some(false) {
        told.push_str(", counts nowhere");
    }
    if webhook["begins"].as_bool() == Some(true) {
        told.push_str(", the call begins");
    }
    told
}

fn rescue(webhook: &Value) -> Option<String> {
    let rescue = webhook.get("rescue")?;
    let why = match word(rescue, "why") {
        "failed" => "it failed",
        "late" => "it was late",
        "kept" => "it was not to be asked",
        "flip" => "everything went to legacy",
        why => why,
    };
    let result = match word(rescue, "result") {
        "served" => "legacy answered",
        "moved" => "the caller was sent to legacy's entry",
        "late" => "legacy failed too, and it answered after all",
        "last-resort" => "nobody answered, and the caller heard the last resort",
        "failed" => "nobody answered, and there was nothing else to say",
        result => result,
    };
    Some(format!("{why}; {result}"))
}

/// What was in force.
fn context(webhook: &Value) -> String {
    let Some(config) = webhook["config"].as_str() else {
        return String::new();
    };
    let share = webhook["percentage"].as_f64().unwrap_or_default();
    let placed = match webhook["generation"].as_u64() {
        Some(generation) => format!("; the call was placed under generation {generation}"),
        None => String::new(),
    };
    format!("then: {share} % on new, configuration {config}{placed}")
}

/// What the rows said.
fn said(webhook: &Value) -> String {
    let rows = webhook["rules"].as_array().map_or(&[][..], Vec::as_slice);
    let rows: Vec<String> = rows
        .iter()
        .map(|row| {
            let measure = Measure::from_name(word(row, "measure"));
            let amount = |name: &str| match (measure, row[name].as_f64()) {
                (Some(measure), Some(value)) => words::amount(measure, value),
                (None, Some(value)) => value.to_string(),
                (_, None) => "–".to_owned(),
            };
            let (value, threshold) = (amount("value"), amount("threshold"));
            format!("{} {value} ({threshold})", word(row, "rule"))
        })
        .collect();
    match rows.is_empty() {
        true => String::new(),
        false => format!("rows (threshold): {}", rows.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rescued_call_reads_like_its_story() {
        let webhook = |time: &str, value: f64| {
            json!({
                "time": format!("2026-11-20T{time}Z"), "route": "/ivr", "kind": "voice",
                "backend": "new", "because": "hashed", "outcome": "served", "document": "sound",
                "latency_ms": 212.4, "generation": 7, "percentage": 10.0, "config": "0123456789ab",
                "rules": [{ "rule": "errors", "measure": "error_rate", "value": value, "threshold": 0.1 }],
            })
        };
        let mut first = webhook("10:31:02.123", 0.012);
        first["begins"] = true.into();
        let mut failed = webhook("10:31:09.004", 0.012);
        failed["because"] = "pinned".into();
        failed["outcome"] = "document".into();
        failed["document"] = "html".into();
        failed["rescue"] = json!({ "why": "failed", "result": "served" });
        let mut legacy = webhook("10:31:09.060", 0.034);
        legacy["backend"] = "legacy".into();
        legacy["because"] = "rescued".into();
        let mut text = String::new();
        tell(&mut text, &[first, failed, legacy], 2);
        let expected = "
webhooks since 2026-11-20, in UTC:
  … 2 before these
  10:31:02.123  voice  /ivr  new     hashed     served in 212 ms, the call begins
                then: 10 % on new, configuration 0123456789ab; the call was placed under generation 7
                rows (threshold): errors 1.2 % (10 %)
  10:31:09.004  voice  /ivr  new     pinned     failed: document after 212 ms, document html
                rescued: it failed; legacy answered
  10:31:09.060  voice  /ivr  legacy  rescued    served in 212 ms
                rows (threshold): errors 3.4 % (10 %)
";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_is_not_known_is_not_made_up() {
        let mut text = String::new();
        tell(&mut text, &[], 0);
        assert_eq!(text, "\nwebhooks: none of the last hour is remembered\n");
        let moved = json!({
            "time": "2026-11-20T10:31:02.123Z", "route": "/ivr", "outcome": null,
            "rescue": { "why": "flip", "result": "moved" },
        });
        let waits = json!({ "time": "2026-11-20T10:31:03.000Z", "backend": "new" });
        let mut text = String::new();
        tell(&mut text, &[moved, waits], 0);
        assert!(
            text.contains("everything went to legacy; the caller was sent"),
            "{text}"
        );
        assert!(text.contains("no answer yet"), "{text}");
    }
}
