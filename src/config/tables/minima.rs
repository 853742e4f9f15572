//! How much evidence a row asks for, and whether it may be sure sooner.

use super::super::walk::{Section, Value};
use super::limit::Limit;
use crate::rules::{Action, Early, Measure, Rule};

/// None: wrong. Some(None): not said.
pub(super) fn count(section: &Section<'_>, key: &'static str) -> Option<Option<u32>> {
    match section.get(key) {
        Some(value) => {
            let count = value.integer(0..=1_000_000)?;
            Some(u32::try_from(count).ok())
        }
        None => Some(None),
    }
}

const fn is_rate(measure: Measure) -> bool {
    matches!(
        measure,
        Measure::ErrorRate
            | Measure::FailedCallRate
            | Measure::AbandonmentRate
            | Measure::SpeechRecognitionRate
    )
}

/// Reads `failed_min`.
pub(super) fn failed_min(
    section: &Section<'_>,
    measure: Option<Measure>,
    action: Option<Action>,
) -> Option<u32> {
    let said = count(section, "failed_min")?;
    let rate = measure.is_none_or(is_rate);
    if let (Some(value), false) = (section.get("failed_min"), rate) {
        value.refuse("means something only for rates", "remove the line");
        return None;
    }
    let usual = measure.zip(action).map_or(0, |(measure, action)| {
        Rule::default_failed_min(measure, action)
    });
    Some(said.unwrap_or(usual))
}

/// Reads `early`. None: wrong. Some(None): switched off.
pub(super) fn early(
    section: &Section<'_>,
    measure: Option<Measure>,
    limit: Option<&Limit<'_>>,
    action: Option<Action>,
) -> Option<Option<Early>> {
    // Of a hole there is nothing to complain about here.
    let can = match (measure, limit) {
        (Some(measure), Some(limit)) => measure.can_be_early(limit.side),
        _ => true,
    };
    let relative = limit.is_some_and(|limit| limit.against.is_some());
    let Some(value) = section.get("early") else {
        let row = measure.zip(limit).zip(action).filter(|_| !relative);
        return Some(row.and_then(|((measure, limit), action)| {
            Rule::default_early(measure, limit.side, action)
        }));
    };
    let early = said(&value)?;
    if early.is_some() && relative {
        value.refuse(
            "cannot be tested for against another value",
            "the sequential test needs a threshold that stands still: remove the line, or write \
             the threshold itself",
        );
        return None;
    }
    if early.is_some() && !can {
        value.refuse(
            "works for rates and response_time_mean only, on the side where they are bad",
            "remove the line",
        );
        return None;
    }
    Some(early)
}

fn said(value: &Value<'_>) -> Option<Option<Early>> {
    const SHAPE: &str = "write true, false, \"alone\" or { false_alarm = 100000 }";
    let given = Early::default();
    if value.is_table() {
        let table = value.table("`early`")?;
        let (alarm, alone) = (table.get("false_alarm"), table.get("alone"));
        table.finish(&[], &[]);
        if alarm.is_none() && alone.is_none() {
            value.refuse("needs `false_alarm`", SHAPE);
            return None;
        }
        // Fewer than a thousand calls to a false alarm is a reversal a day.
        #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
        let false_alarm = match alarm {
            Some(alarm) => alarm.integer(1_000..=1_000_000_000_000)? as f64,
            None => given.false_alarm,
        };
        let alone = match alone {
            Some(alone) => alone.boolean()?,
            None => given.alone,
        };
        return Some(Some(Early { false_alarm, alone }));
    }
    if value.as_str().is_some() {
        value.choice(&[("alone", ())])?;
        return Some(Some(Early {
            alone: true,
            ..given
        }));
    }
    Some(value.boolean()?.then_some(given))
}
