//! What an end-of-call report tells of how it went: who spoke, whether the call
//! met its purpose, how long it took.

use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, SeqAccess};

use super::message::Message;
use super::shape::{self, Maybe, Shape, Text};
use crate::protocol::Facts;

/// What a report tells besides how the call ended. `is_over` is false where the
/// call failed or was handed over: then nothing was finished here.
///
/// Vapi's evaluation is a language model's opinion of the transcript; it has been
/// seen to praise calls in which the caller never said a word. So a call counts as
/// served only if both agree.
pub(super) fn facts(message: &Message<'_>, is_over: bool) -> Facts {
    let talk = talk(message);
    let evaluation = message.analysis.0.as_ref();
    let is_success = evaluation.is_some_and(|analysis| analysis.success_evaluation.0);
    Facts {
        connected: is_over && is_success && talk.person,
        speech: match talk {
            Talk { person: true, .. } => Some(true),
            Talk { assistant, .. } => assistant.then_some(false),
        },
        ..Facts::default()
    }
}

fn talk(message: &Message<'_>) -> Talk {
    let artifact = message
        .artifact
        .0
        .as_ref()
        .map(|artifact| artifact.messages);
    artifact
        .filter(|talk| *talk != Talk::default())
        .unwrap_or(message.messages)
}

/// Seconds the call lasted: by its times, else by the number that some reports
/// carry. None if neither is there or the end comes first.
pub(super) fn duration_s(message: &Message<'_>) -> Option<u32> {
    let call = message.call.0.as_ref();
    let between = |started: &Text<'_>, ended: &Text<'_>| {
        let time = |text: &Text<'_>| text.as_str().parse::<Timestamp>().ok();
        let millis = time(ended)?.as_millisecond() - time(started)?.as_millisecond();
        u32::try_from(millis.div_euclid(1000)).ok()
    };
    between(&message.started_at, &message.ended_at)
        .or_else(|| call.and_then(|call| between(&call.started_at, &call.ended_at)))
        .or_else(|| whole(message.duration_seconds.0?))
}

fn whole(seconds: f64) -> Option<u32> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "out of range it saturates, and is not taken"
    )]
    (0.0..=f64::from(u32::MAX))
        .contains(&seconds)
        .then_some(seconds as u32)
}

/// Who said something, of a list of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Talk {
    /// The person on the line.
    pub person: bool,
    /// The assistant.
    pub assistant: bool,
}

impl<'de> Deserialize<'de> for Talk {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        shape::read(from)
    }
}

#[derive(serde::Deserialize)]
struct Said<'a> {
    #[serde(borrow, default)]
    role: Text<'a>,
}

impl<'de> Shape<'de> for Talk {
    fn of_list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut talk = Self::default();
        while let Some(said) = list.next_element::<Maybe<Said<'de>>>()? {
            match said.0.as_ref().map(|said| said.role.as_str()) {
                Some("user") => talk.person = true,
                Some("bot" | "assistant") => talk.assistant = true,
                _ => {}
            }
        }
        Ok(talk)
    }
}

/// Does the evaluation say that the call met its purpose?
///
/// The operator chooses among Vapi's rubrics: pass or fail, words from poor to
/// excellent, agreement, a percentage, a number out of ten.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Evaluation(pub bool);

impl<'de> Deserialize<'de> for Evaluation {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        shape::read(from)
    }
}

impl Shape<'_> for Evaluation {
    fn of_bool(is_success: bool) -> Self {
        Self(is_success)
    }

    fn of_number(number: f64) -> Self {
        Self(is_above_half(number))
    }

    fn of_text(text: &str) -> Self {
        Self(is_success(text.trim()))
    }
}

fn is_success(text: &str) -> bool {
    const WORDS: [&str; 11] = [
        "true",
        "pass",
        "passed",
        "success",
        "successful",
        "yes",
        "good",
        "very good",
        "excellent",
        "agree",
        "strongly agree",
    ];
    if WORDS.iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return true;
    }
    let number = |text: &str| text.trim().parse::<f64>().ok();
    if let Some(percent) = text.strip_suffix('%') {
        return number(percent).is_some_and(|percent| percent > 50.0);
    }
    if let Some((part, of)) = text.split_once('/') {
        return number(part)
            .zip(number(of))
            .is_some_and(|(part, of)| part > of / 2.0);
    }
    number(text).is_some_and(is_above_half)
}

/// Out of ten, or, above ten, out of a hundred.
fn is_above_half(number: f64) -> bool {
    number.is_finite() && (number > 50.0 || (number > 5.0 && number <= 10.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_evaluation_of_any_rubric_is_understood() {
        for (evaluation, expected) in [
            ("true", true),
            ("false", false),
            ("\"true\"", true),
            ("\" True \"", true),
            ("\"false\"", false),
            ("\"pass\"", true),
            ("\"fail\"", false),
            ("\"Excellent\"", true),
            ("\"good\"", true),
            ("\"fair\"", false),
            ("\"poor\"", false),
            ("\"Strongly agree\"", true),
            ("\"neutral\"", false),
            ("\"51%\"", true),
            ("\"50%\"", false),
            ("\"6/10\"", true),
            ("\"5/10\"", false),
            ("\"1/\"", false),
            ("\"6\"", true),
            ("\"5\"", false),
            ("\"20\"", false),
            ("\"80\"", true),
            ("6", true),
            ("5", false),
            ("20", false),
            ("80", true),
            ("5.5", true),
            ("-6", false),
            ("\"inf\"", false),
            ("\"NaN\"", false),
            ("\"\"", false),
            ("null", false),
            ("{\"score\":9}", false),
            ("[true]", false),
        ] {
            let read: Evaluation = serde_json::from_str(evaluation).unwrap();
            assert_eq!(read.0, expected, "{evaluation}");
        }
    }

    #[test]
    fn who_spoke_is_told_by_roles() {
        let talk = |person, assistant| Talk { person, assistant };
        for (list, expected) in [
            ("[]", talk(false, false)),
            ("null", talk(false, false)),
            ("\"user\"", talk(false, false)),
            (
                r#"[{"role":"system"},{"role":"tool_calls"}]"#,
                talk(false, false),
            ),
            (r#"[{"role":"bot","message":"hi"}]"#, talk(false, true)),
            (r#"[{"role":"assistant"}]"#, talk(false, true)),
            (
                r#"[7,null,[{"role":"user"}],{"role":7},{"role":"user"}]"#,
                talk(true, false),
            ),
        ] {
            assert_eq!(
                serde_json::from_str::<Talk>(list).unwrap(),
                expected,
                "{list}"
            );
        }
    }

    #[test]
    fn a_number_of_seconds_that_no_call_lasts_is_none() {
        for (seconds, expected) in [
            (0.0, Some(0)),
            (41.9, Some(41)),
            (-1.0, None),
            (1e12, None),
            (f64::NAN, None),
        ] {
            assert_eq!(whole(seconds), expected, "{seconds}");
        }
    }
}
