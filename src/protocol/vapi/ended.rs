//! Why a Vapi call ended: from its `endedReason` to a class, and from the class to
//! who is to blame.
//!
//! Vapi lists 571 reasons and adds more as it takes on suppliers. They are built
//! from a few beginnings and middles, so those are what is looked for; a reason
//! nobody has seen yet falls into the class its words point to.

use crate::measure::Fault;
use crate::protocol::FinalStatus;

/// What kind of end it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// The person on the line hung up, during a transfer as well.
    HungUp,
    /// The assistant ended the call.
    AssistantEnded,
    /// The call was handed over to somebody else.
    Transferred,
    /// It was to be handed over and was not.
    TransferFailed,
    /// Nobody spoke any more, or the call's time was up.
    Limit,
    /// The called party was busy, did not answer or took no call.
    NotReached,
    /// Our answer to `assistant-request` did not come or was of no use.
    Webhook,
    /// The call could not start: the account, its money, its resources.
    Start,
    /// The line or the platform's machines gave way.
    Transport,
    /// The carrier says that it is over, not by whose doing.
    CarrierCompleted,
    /// A supplier failed on Vapi's account.
    VapiFault,
    /// A supplier failed by its own fault.
    ProviderFault,
    /// A supplier failed on the operator's own account, or in an older wording.
    Pipeline,
    /// Ended on purpose from outside, or nobody knows.
    Other,
}

/// Who hung up, without regard to which side called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// The person on the line.
    Person,
    /// The assistant, and so the application.
    Application,
}

impl Class {
    /// The status a call of this class ended with.
    ///
    /// A failed transfer is the application's: the number came from the backend or
    /// from the assistant that the backend chose. What fails at Vapi or at its
    /// suppliers fails for both backends alike, and is the provider's.
    pub(super) const fn status(self) -> FinalStatus {
        match self {
            Self::HungUp
            | Self::AssistantEnded
            | Self::Limit
            | Self::CarrierCompleted
            | Self::Other => FinalStatus::Completed,
            Self::Transferred => FinalStatus::Transferred,
            Self::NotReached => FinalStatus::NotReached,
            Self::TransferFailed | Self::Webhook => FinalStatus::Failed(Fault::Backend),
            Self::Start
            | Self::Transport
            | Self::VapiFault
            | Self::ProviderFault
            | Self::Pipeline => FinalStatus::Failed(Fault::Provider),
        }
    }

    /// Who hung up, where the class tells.
    pub(super) const fn who(self) -> Option<Who> {
        match self {
            Self::HungUp => Some(Who::Person),
            Self::AssistantEnded => Some(Who::Application),
            _ => None,
        }
    }
}

/// The class of a reason. Never fails: see [`Class::Other`].
pub(super) fn class(reason: &str) -> Class {
    RULES
        .iter()
        .find(|(how, words, _)| match how {
            How::Is => reason == *words,
            How::Starts => reason.starts_with(words),
            How::Has => reason.contains(words),
        })
        .map_or_else(|| guess(reason), |(_, _, class)| *class)
}

enum How {
    Is,
    Starts,
    Has,
}

/// The first that fits counts.
const RULES: &[(How, &str, Class)] = &[
    (How::Starts, "customer-ended-call", Class::HungUp),
    (How::Has, "caller-hungup", Class::HungUp),
    (How::Starts, "assistant-ended", Class::AssistantEnded),
    (How::Starts, "assistant-said-", Class::AssistantEnded),
    (How::Starts, "assistant-forwarded", Class::Transferred),
    (How::Has, "returned-forwarding", Class::Transferred),
    (How::Has, "hook-executed-transfer", Class::Transferred),
    (How::Starts, "assistant-request-", Class::Webhook),
    (How::Starts, "assistant-not-", Class::Webhook),
    (How::Starts, "assistant-join-", Class::Webhook),
    (How::Has, "neither-assistant-nor-server", Class::Webhook),
    (How::Starts, "silence-", Class::Limit),
    (How::Starts, "exceeded-", Class::Limit),
    // Before the suppliers' faults, where Vapi puts these and where they are none.
    (How::Has, "outbound-sip-408", Class::NotReached),
    (How::Has, "outbound-sip-48", Class::NotReached),
    (How::Has, "outbound-sip-60", Class::NotReached),
    (How::Is, "call.forwarding.operator-busy", Class::NotReached),
    (How::Is, "voicemail", Class::NotReached),
    (How::Starts, "customer-", Class::NotReached),
    (How::Has, "customer-misdialed", Class::NotReached),
    (How::Has, "failed-to-connect-call", Class::NotReached),
    (How::Is, "vonage-rejected", Class::NotReached),
    // Before Vapi's own faults: a start may fail by one.
    (How::Starts, "call.start.error-", Class::Start),
    (How::Starts, "call-start-error-", Class::Start),
    (How::Starts, "pipeline-", Class::Pipeline),
    (How::Has, "error-pipeline-", Class::Pipeline),
    (How::Has, "vapifault", Class::VapiFault),
    (How::Has, "providerfault", Class::ProviderFault),
    (How::Has, "error-transfer-", Class::TransferFailed),
    (How::Has, "error-warm-transfer-", Class::TransferFailed),
    (How::Starts, "call.forwarding.", Class::TransferFailed),
    (How::Has, "completed-call", Class::CarrierCompleted),
    (How::Is, "vonage-completed", Class::CarrierCompleted),
    (How::Starts, "worker-", Class::Transport),
    (How::Starts, "phone-call-provider-", Class::Transport),
    (How::Is, "vonage-disconnected", Class::Transport),
];

/// A reason of no known beginning.
fn guess(reason: &str) -> Class {
    let failed = ["error", "fail", "invalid", "timed-out"]
        .iter()
        .any(|word| reason.contains(word));
    match (reason.starts_with("assistant-"), failed) {
        (true, true) => Class::Webhook,
        (true, false) => Class::AssistantEnded,
        (false, true) => Class::Transport,
        (false, false) => Class::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const KNOWN: &str = include_str!("ended_reasons.txt");

    fn named(name: &str) -> Class {
        match name {
            "hung-up" => Class::HungUp,
            "assistant-ended" => Class::AssistantEnded,
            "transferred" => Class::Transferred,
            "transfer-failed" => Class::TransferFailed,
            "limit" => Class::Limit,
            "not-reached" => Class::NotReached,
            "webhook" => Class::Webhook,
            "start" => Class::Start,
            "transport" => Class::Transport,
            "carrier-completed" => Class::CarrierCompleted,
            "other" => Class::Other,
            "vapi-fault" => Class::VapiFault,
            "provider-fault" => Class::ProviderFault,
            "pipeline" => Class::Pipeline,
            other => panic!("ended_reasons.txt has a class {other} that we do not know"),
        }
    }

    #[test]
    fn every_reason_that_vapi_lists_falls_into_its_class() {
        let mut expected = None;
        let mut seen = HashSet::new();
        for line in KNOWN.lines().filter(|line| !line.starts_with('#')) {
            if let Some(name) = line.strip_prefix('[') {
                expected = Some(named(name.trim_end_matches(']')));
            } else if !line.is_empty() {
                assert!(seen.insert(line), "{line} is listed twice");
                assert_eq!(Some(class(line)), expected, "{line}");
            }
        }
        assert_eq!(seen.len(), 571);
    }

    #[test]
    fn a_reason_not_listed_falls_where_its_words_point() {
        for (reason, expected) in [
            // Documented, yet in no list.
            ("call.start.error-get-org", Class::Start),
            ("call.start.error-get-subscription", Class::Start),
            ("pipeline-no-available-llm-model", Class::Pipeline),
            ("ended", Class::Other),
            // Invented.
            ("", Class::Other),
            ("pipeline-error-newcomer-voice-failed", Class::Pipeline),
            (
                "call.in-progress.error-vapifault-newcomer-llm-failed",
                Class::VapiFault,
            ),
            (
                "call.ringing.error-providerfault-newcomer",
                Class::ProviderFault,
            ),
            (
                "call.in-progress.error-providerfault-outbound-sip-486-busy-here",
                Class::NotReached,
            ),
            (
                "call.in-progress.error-providerfault-outbound-sip-500-oops",
                Class::ProviderFault,
            ),
            ("call.start.error-moon-phase", Class::Start),
            (
                "call.in-progress.error-warm-transfer-gone",
                Class::TransferFailed,
            ),
            ("call.forwarding.operator-asleep", Class::TransferFailed),
            ("call.ending.error-odd", Class::Transport),
            ("assistant-request-returned-poem", Class::Webhook),
            ("assistant-tool-failed", Class::Webhook),
            ("assistant-left", Class::AssistantEnded),
            ("customer-did-not-like-it", Class::NotReached),
            ("customer-ended-call-while-laughing", Class::HungUp),
            (
                "call.in-progress.newcarrier-completed-call",
                Class::CarrierCompleted,
            ),
            ("worker-tired", Class::Transport),
            ("something-else", Class::Other),
        ] {
            assert_eq!(class(reason), expected, "{reason}");
        }
    }

    #[test]
    fn only_our_own_doing_is_the_backends_fault() {
        for (reason, expected) in [
            (
                "assistant-request-failed",
                FinalStatus::Failed(Fault::Backend),
            ),
            (
                "call.in-progress.error-transfer-failed",
                FinalStatus::Failed(Fault::Backend),
            ),
            (
                "call.start.error-get-assistant",
                FinalStatus::Failed(Fault::Provider),
            ),
            (
                "pipeline-error-openai-llm-failed",
                FinalStatus::Failed(Fault::Provider),
            ),
            ("worker-shutdown", FinalStatus::Failed(Fault::Provider)),
            ("call.forwarding.operator-busy", FinalStatus::NotReached),
            ("assistant-forwarded-call", FinalStatus::Transferred),
            ("exceeded-max-duration", FinalStatus::Completed),
            ("manually-canceled", FinalStatus::Completed),
        ] {
            assert_eq!(class(reason).status(), expected, "{reason}");
        }
    }

    #[test]
    fn who_hung_up_is_told_of_two_classes_only() {
        assert_eq!(class("customer-ended-call").who(), Some(Who::Person));
        assert_eq!(class("assistant-ended-call").who(), Some(Who::Application));
        for reason in [
            "silence-timed-out",
            "vonage-completed",
            "call-deleted",
            "voicemail",
        ] {
            assert_eq!(class(reason).who(), None, "{reason}");
        }
    }

    proptest! {
        #[test]
        fn any_reason_has_a_class(reason in "\\PC{0,80}") {
            let class = class(&reason);
            prop_assert!(class.who().is_none() || class.status() == FinalStatus::Completed);
        }
    }
}
