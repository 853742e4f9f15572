//! Results of tool calls: one for each call that was made, by its id.
//!
//! The request lists its calls up to three times over, in older and newer shapes:
//! `toolCallList`, `toolCalls`, and `toolWithToolCallList` with the tool beside each.
//! The older `function-call` makes one call without an id and is answered by one
//! `result`.
//!
//! **Bounds**: of more than [`MAX_CALLS`] calls or results the rest is not looked at, nor
//! kept: a request of three million empty calls costs no more than one of 256.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::super::Flaw;
use super::{Answer, is_text};

/// The most tool calls of one message, and results of one answer, that are compared.
const MAX_CALLS: usize = 256;

#[derive(serde::Deserialize)]
struct Posted<'a> {
    #[serde(borrow)]
    message: Message<'a>,
}

#[derive(serde::Deserialize)]
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

#[derive(serde::Deserialize)]
struct Call<'a> {
    #[serde(borrow, default)]
    id: Id<'a>,
}

/// A call beside its tool.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct WithTool<'a> {
    #[serde(rename = "async", default)]
    is_async: Option<bool>,
    #[serde(borrow)]
    tool_call: Call<'a>,
}

#[derive(serde::Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
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
        let with_tools: List<WithTool<'a>> = list(message.tool_with_tool_call_list);
        let calls = [message.tool_call_list, message.tool_calls]
            .into_iter()
            .map(list::<Call<'a>>)
            .find(|calls| !calls.items.is_empty());
        let is_cut = with_tools.is_cut || calls.as_ref().is_some_and(|calls| calls.is_cut);
        let with_tools = with_tools.items;
        let mut ids: Vec<Id<'a>> = match calls {
            Some(calls) => calls.items.into_iter().map(|call| call.id).collect(),
            None => with_tools
                .iter()
                .map(|it| it.tool_call.id.clone())
                .collect(),
        };
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

/// For each call that `request` makes a result that says why it failed, in the order
/// of the calls. None of a request that makes no call, or cannot be read.
pub(super) fn failed(request: &[u8], why: &str) -> Option<Vec<u8>> {
    let calls = Calls::of(request);
    let answer = if calls.is_function_call {
        // It has no id to answer by, and no place for an error: the model is told.
        serde_json::to_vec(&FunctionResult { result: why })
    } else {
        let failed = |id| Failed {
            tool_call_id: id,
            error: why,
        };
        let results: Vec<_> = calls.ids.iter().map(|id| failed(id.0.as_ref())).collect();
        if results.is_empty() {
            return None;
        }
        serde_json::to_vec(&FailedResults { results })
    };
    answer.ok()
}

#[derive(serde::Serialize)]
struct FunctionResult<'a> {
    result: &'a str,
}

#[derive(serde::Serialize)]
struct FailedResults<'a> {
    results: Vec<Failed<'a>>,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Failed<'a> {
    tool_call_id: &'a str,
    error: &'a str,
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
fn list<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> List<T> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default()
}

/// The first [`MAX_CALLS`] items of a list.
struct List<T> {
    items: Vec<T>,
    /// There were more.
    is_cut: bool,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            is_cut: false,
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OfList<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OfList<T> {
            type Value = List<T>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<List<T>, A::Error> {
                let mut found = List::default();
                while found.items.len() < MAX_CALLS {
                    match list.next_element()? {
                        Some(item) => found.items.push(item),
                        None => return Ok(found),
                    }
                }
                while list.next_element::<IgnoredAny>()?.is_some() {
                    found.is_cut = true;
                }
                Ok(found)
            }
        }
        from.deserialize_seq(OfList(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Found in a review: eight megabytes of empty calls took ten times their room.
    #[test]
    fn of_more_calls_than_are_compared_the_rest_is_not_kept() {
        let call = |n: usize| format!(r#"{{"id":"{n}"}}"#);
        let with_tool = |n: usize| format!(r#"{{"async":true,"toolCall":{}}}"#, call(n));
        for (count, is_cut) in [(MAX_CALLS, false), (MAX_CALLS + 1, true), (100_000, true)] {
            let join =
                |one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<Vec<_>>().join(",");
            let request = format!(
                r#"{{"message":{{"toolCallList":[{}],"toolWithToolCallList":[{}]}}}}"#,
                join(&call),
                join(&with_tool),
            );
            let calls = Calls::of(request.as_bytes());
            assert_eq!((calls.ids.len(), calls.is_cut), (MAX_CALLS, is_cut));
            assert_eq!(calls.async_ids.len(), MAX_CALLS);
            assert!(calls.ids.capacity() <= 2 * MAX_CALLS);
            assert!(!calls.is_awaited());
        }
    }
}
