//! Results of tool calls: one for each call that was made, by its id.
//!
//! The request lists its calls up to three times over, in older and newer shapes:
//! `toolCallList`, `toolCalls`, and `toolWithToolCallList` with the tool beside each.
//! The older `function-call` makes one call without an id and is answered by one
//! `result`.
//!
//! **Bounds**: of more than [`MAX_CALLS`] calls or results the rest is not looked at.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::Flaw;
use super::{Answer, is_text};

/// The most tool calls of one message, and results of one answer, that are compared.
const MAX_CALLS: usize = 256;

#[derive(Deserialize)]
struct Posted<'a> {
    #[serde(borrow)]
    message: Message<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    #[serde(borrow, default)]
    tool_call_list: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_with_tool_call_list: Option<&'a RawValue>,
    #[serde(borrow, default)]
    function_call: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow, default)]
    id: Id<'a>,
}

/// A call beside its tool.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WithTool<'a> {
    #[serde(rename = "async", default)]
    is_async: Option<bool>,
    #[serde(borrow)]
    tool_call: Call<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolResult<'a> {
    #[serde(borrow, default)]
    tool_call_id: Id<'a>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// An id; empty if there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct Id<'a>(#[serde(borrow)] Cow<'a, str>);

/// The calls that a request makes.
#[derive(Default)]
pub(super) struct Calls<'a> {
    ids: Vec<Id<'a>>,
    /// Those of them that Vapi does not wait for.
    async_ids: Vec<Id<'a>>,
    /// One call without an id: the older shape.
    is_function_call: bool,
    /// There were more than are compared.
    is_cut: bool,
}

impl<'a> Calls<'a> {
    /// Of a request that cannot be read: no calls.
    pub(super) fn of(request: &'a [u8]) -> Self {
        let Ok(Posted { message }) = serde_json::from_slice(request) else {
            return Self::default();
        };
        let with_tools: Vec<WithTool<'a>> = list(message.tool_with_tool_call_list);
        let mut ids: Vec<Id<'a>> = [message.tool_call_list, message.tool_calls]
            .into_iter()
            .map(list::<Call<'a>>)
            .find(|calls| !calls.is_empty())
            .map(|calls| calls.into_iter().map(|call| call.id).collect())
            .unwrap_or_else(|| {
                with_tools
                    .iter()
                    .map(|it| it.tool_call.id.clone())
                    .collect()
            });
        let is_cut = ids.len() > MAX_CALLS;
        ids.truncate(MAX_CALLS);
        ids.retain(|id| !id.0.is_empty());
        Self {
            async_ids: with_tools
                .into_iter()
                .filter(|it| it.is_async == Some(true))
                .map(|it| it.tool_call.id)
                .collect(),
            is_function_call: ids.is_empty() && message.function_call.is_some(),
            is_cut,
            ids,
        }
    }

    /// Does Vapi wait for an answer at all? Not where every tool is asynchronous.
    pub(super) fn is_awaited(&self) -> bool {
        self.ids.is_empty() || self.ids.iter().any(|id| self.is_due(id))
    }

    fn is_due(&self, id: &Id<'_>) -> bool {
        !self.async_ids.contains(id)
    }
}

/// What is wrong with the results.
pub(super) fn flaw(calls: &Calls<'_>, answer: &Answer<'_>) -> Option<Flaw> {
    let Some(results) = answer.results else {
        return match answer.result {
            Some(_) if calls.ids.is_empty() => (!is_text(answer.result)).then_some(Flaw::BadResult),
            _ => Some(Flaw::NoResult),
        };
    };
    let Ok(results) = serde_json::from_str::<Vec<&RawValue>>(results.get()) else {
        return Some(Flaw::NoResult);
    };
    let mut answered = Vec::new();
    for result in results.iter().take(MAX_CALLS) {
        match one(result, calls) {
            Ok(id) => answered.push(id),
            Err(flaw) => return Some(flaw),
        }
    }
    if results.is_empty() && calls.is_function_call {
        return Some(Flaw::NoResult);
    }
    let is_missing = |id: &Id<'_>| calls.is_due(id) && !answered.contains(id);
    (results.len() <= MAX_CALLS && !calls.is_cut && calls.ids.iter().any(is_missing))
        .then_some(Flaw::NoResult)
}

/// The id of a sound result.
fn one<'a>(result: &'a RawValue, calls: &Calls<'_>) -> Result<Id<'a>, Flaw> {
    let object = result.get().starts_with('{').then_some(result.get());
    let Some(result) = object.and_then(|it| serde_json::from_str::<ToolResult<'a>>(it).ok()) else {
        return Err(Flaw::BadResult);
    };
    let is_asked = calls.ids.is_empty() || calls.is_cut || calls.ids.contains(&result.tool_call_id);
    match (result.result, result.error) {
        (_, Some(error)) if !is_text(Some(error)) => Err(Flaw::BadResult),
        (_, Some(error)) if error.get() != "\"\"" => Err(Flaw::SaysError),
        (Some(_), _) if is_text(result.result) && is_asked => Ok(result.tool_call_id),
        _ => Err(Flaw::BadResult),
    }
}

/// A list's items; none if one of them is of another kind, or there is no list.
fn list<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Vec<T> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default()
}
