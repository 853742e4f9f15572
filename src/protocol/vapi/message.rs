//! The parts of a Vapi server message that say something about a call.
//!
//! Only these are looked at; the transcript, the costs and whatever else makes up
//! a report of hundreds of kilobytes is stepped over where it lies. What is no JSON,
//! or names a part that we read twice, is no message.

use serde_json::value::RawValue;

use super::report::{Evaluation, Talk};
use super::shape::{Maybe, Number, Text};

/// What is posted.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Posted<'a> {
    #[serde(borrow)]
    pub message: Maybe<Message<'a>>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Message<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    #[serde(borrow, default)]
    pub status: Text<'a>,
    #[serde(borrow, default)]
    pub ended_reason: Text<'a>,
    #[serde(borrow, default)]
    pub started_at: Text<'a>,
    #[serde(borrow, default)]
    pub ended_at: Text<'a>,
    #[serde(default)]
    pub duration_seconds: Number,
    #[serde(borrow, default)]
    pub call: Maybe<Call<'a>>,
    #[serde(borrow, default)]
    pub phone_number: Maybe<Line<'a>>,
    #[serde(borrow, default)]
    pub customer: Maybe<Line<'a>>,
    #[serde(borrow, default)]
    pub assistant: Maybe<Assistant<'a>>,
    #[serde(borrow, default)]
    pub chat: Maybe<Thread<'a>>,
    #[serde(borrow, default)]
    pub session: Maybe<Thread<'a>>,
    #[serde(default)]
    pub analysis: Maybe<Analysis>,
    #[serde(default)]
    pub artifact: Maybe<Artifact>,
    /// Where older reports keep what was said.
    #[serde(default)]
    pub messages: Talk,
}

#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Call<'a> {
    #[serde(borrow)]
    pub id: Text<'a>,
    #[serde(borrow)]
    pub org_id: Text<'a>,
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    #[serde(borrow)]
    pub status: Text<'a>,
    #[serde(borrow)]
    pub ended_reason: Text<'a>,
    #[serde(borrow)]
    pub started_at: Text<'a>,
    #[serde(borrow)]
    pub ended_at: Text<'a>,
    #[serde(borrow)]
    pub phone_number_id: Text<'a>,
    #[serde(borrow)]
    pub phone_call_provider_id: Text<'a>,
    #[serde(borrow)]
    pub assistant_id: Text<'a>,
    #[serde(borrow)]
    pub customer: Maybe<Line<'a>>,
    #[serde(borrow)]
    pub assistant: Maybe<Assistant<'a>>,
    #[serde(borrow)]
    pub assistant_overrides: Maybe<Assistant<'a>>,
    #[serde(borrow)]
    pub transport: Maybe<Transport<'a>>,
    #[serde(borrow)]
    pub metadata: Option<&'a RawValue>,
}

/// One end of the line.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Line<'a> {
    #[serde(borrow)]
    pub id: Text<'a>,
    #[serde(borrow)]
    pub org_id: Text<'a>,
    #[serde(borrow)]
    pub number: Text<'a>,
    #[serde(borrow)]
    pub sip_uri: Text<'a>,
}

/// An assistant, or what is to be different about one.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Assistant<'a> {
    #[serde(borrow)]
    pub id: Text<'a>,
    #[serde(borrow)]
    pub org_id: Text<'a>,
    #[serde(borrow)]
    pub metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    pub variable_values: Option<&'a RawValue>,
}

#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Transport<'a> {
    #[serde(borrow)]
    pub call_sid: Text<'a>,
}

/// A chat or a session: it has an owner, but is no call.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Thread<'a> {
    #[serde(borrow)]
    pub org_id: Text<'a>,
    #[serde(borrow)]
    pub assistant_id: Text<'a>,
    #[serde(borrow)]
    pub phone_number_id: Text<'a>,
}

#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Analysis {
    pub success_evaluation: Evaluation,
}

#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Artifact {
    pub messages: Talk,
}
