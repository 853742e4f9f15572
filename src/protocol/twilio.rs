//! Twilio TwiML: what its webhooks say beyond what `protocol/kind.rs` reads.
//!
//! - Who hung up is never told.
//! - `Direction` tells the way: `inbound`, `outbound-api`, `outbound-dial`.
//! - The first document of an inbound call is fetched while it rings. A fetch
//!   for an inbound call that is `in-progress` is a later one, even where it
//!   carries no results (a redirect, a gather that fell through).
//! - `Duration` counts minutes; only `CallDuration` counts seconds.

use super::fields::{Fields, Wanted};
use super::{CallEvent, EventKind, Head, kind};

/// Reads a webhook. None: it names no call.
pub fn recognize<'a>(head: &Head<'a>, body: &'a [u8]) -> Option<CallEvent<'a>> {
    let fields = Fields::read(head, body);
    let mut event = kind::event(&fields)?;
    let is = |wanted, word: &str| fields.text(wanted).is_some_and(|it| it == word);
    if event.kind == EventKind::Start
        && is(Wanted::Direction, "inbound")
        && is(Wanted::Status, "in-progress")
    {
        event.kind = EventKind::Step;
    }
    Some(event)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::measure::Fault;
    use crate::protocol::{Final, FinalStatus};

    const BASE: &str = "Called=%2B12025550199&ToState=DC&CallerCountry=US&ToZip=\
        &CallSid=CA00112233445566778899aabbccddeeff&To=%2B12025550199&StirVerstat=TN-Validation-Passed-A\
        &CallToken=%7B%22parentCallInfoToken%22%3A%22e30%22%7D&ApiVersion=2010-04-01&From=%2B12025550111\
        &AccountSid=ACffeeddccbbaa99887766554433221100&FromCity=WASHINGTON+DC";
    const STATUS: &str = "&SequenceNumber=3&Timestamp=Wed%2C+04+Mar+2026+05%3A06%3A07+%2B0000&CallbackSource=call-progress-events";

    fn read<'a>(form: &'a str) -> CallEvent<'a> {
        let head = Head {
            query: "",
            content_type: Some("application/x-www-form-urlencoded; charset=UTF-8"),
            encoded: false,
        };
        recognize(&head, form.as_bytes()).unwrap()
    }

    #[test]
    fn every_shape_of_webhook_has_its_kind() {
        use EventKind::{Progress, Report, Start, Step};
        let ended = |status, duration_s| {
            EventKind::Final(Final {
                status,
                by: None,
                duration_s,
                report_follows: false,
            })
        };
        let inbound = "&Direction=inbound&CallStatus=in-progress";
        for (shape, rest, expected) in [
            ("first fetch", "&Direction=inbound&CallStatus=ringing".to_owned(), Start),
            ("first fetch of a call we made", "&Direction=outbound-api&CallStatus=in-progress".to_owned(), Start),
            ("the same after machine detection", "&Direction=outbound-api&CallStatus=in-progress&AnsweredBy=human".to_owned(), Start),
            ("whisper", "&Direction=outbound-dial&CallStatus=in-progress&ParentCallSid=CA1".to_owned(), Start),
            ("later fetch", inbound.to_owned(), Step),
            ("redirect", format!("{inbound}&msg=Redirect"), Step),
            ("digits", format!("{inbound}&msg=Gather+End&Digits=%2A12%23&FinishedOnKey="), Step),
            ("speech", format!("{inbound}&SpeechResult=Sales%2C+please.&Confidence=0.87&Language=en-US"), Step),
            ("dial's action", format!("{inbound}&DialCallSid=CA2&DialCallStatus=no-answer&DialBridged=false"), Step),
            ("dial's action, caller gone", "&Direction=inbound&CallStatus=completed&DialCallStatus=completed&DialCallDuration=9".to_owned(), Step),
            ("record's action, caller gone", "&Direction=inbound&CallStatus=completed&RecordingUrl=u&RecordingDuration=4&Digits=hangup".to_owned(), Step),
            ("queue's wait", format!("{inbound}&QueueSid=QU1&QueuePosition=1&QueueTime=3"), Step),
            ("conference's wait", format!("{inbound}&ConferenceSid=CF1&FriendlyName=r"), Step),
            ("refer's action", format!("{inbound}&ReferCallStatus=completed"), Step),
            ("enqueue's action", format!("{inbound}&QueueResult=queue-full&QueueSid=QU1&QueueTime=0"), Step),
            ("queue's whisper", format!("{inbound}&QueueSid=QU1&QueueTime=3&DequeingCallSid=CA3"), Step),
            ("payment's action", "&Direction=outbound-api&CallStatus=in-progress&Result=success&PaymentCardNumber=xxxx".to_owned(), Step),
            ("relay's action, caller gone", "&Direction=inbound&CallStatus=completed&SessionId=VX1&SessionStatus=ended&SessionDuration=9&HandoffData=%7B%7D".to_owned(), Step),
            ("fallback fetch", "&Direction=inbound&CallStatus=ringing&ErrorCode=11205&ErrorUrl=https%3A%2F%2Fa.example.com%2Fvoice".to_owned(), Start),
            ("fallback fetch, later", format!("{inbound}&ErrorCode=12100&ErrorUrl=u"), Step),
            ("fallback fetch of an action", format!("{inbound}&Digits=1&ErrorCode=11200&ErrorUrl=u"), Step),
            ("initiated", format!("&Direction=outbound-api&CallStatus=initiated{STATUS}"), Progress),
            ("answered", format!("{inbound}{STATUS}"), Progress),
            ("completed", format!("&Direction=inbound&CallStatus=completed&Duration=1&CallDuration=49&SipResponseCode=200{STATUS}"), ended(FinalStatus::Completed, Some(49))),
            ("completed, recorded", format!("&Direction=outbound-api&CallStatus=completed&CallDuration=49&RecordingUrl=u&RecordingSid=RE1{STATUS}"), ended(FinalStatus::Completed, Some(49))),
            ("completed, recorded, source not said", "&CallStatus=completed&CallDuration=49&RecordingUrl=u".to_owned(), ended(FinalStatus::Completed, Some(49))),
            ("minutes are no seconds", format!("&CallStatus=completed&Duration=1{STATUS}"), ended(FinalStatus::Completed, None)),
            ("busy", format!("&Direction=outbound-api&CallStatus=busy&CallDuration=0&SipResponseCode=486{STATUS}"), ended(FinalStatus::NotReached, Some(0))),
            ("no answer", format!("&CallStatus=no-answer{STATUS}"), ended(FinalStatus::NotReached, None)),
            ("canceled", format!("&CallStatus=canceled{STATUS}"), ended(FinalStatus::Canceled, None)),
            ("failed", format!("&CallStatus=failed{STATUS}"), ended(FinalStatus::Failed(Fault::Backend), None)),
            ("failed, inbound", format!("&Direction=inbound&CallStatus=failed&SipResponseCode=500{STATUS}"), ended(FinalStatus::Failed(Fault::Backend), None)),
            ("failed, refused far away", format!("&Direction=outbound-api&CallStatus=failed&SipResponseCode=404{STATUS}"), ended(FinalStatus::Failed(Fault::Provider), None)),
            ("failed, not refused", format!("&Direction=outbound-api&CallStatus=failed&SipResponseCode=200{STATUS}"), ended(FinalStatus::Failed(Fault::Backend), None)),
            ("failed before it was sent", format!("&Direction=outbound-api&CallStatus=failed&ErrorCode=13224{STATUS}"), ended(FinalStatus::Failed(Fault::Backend), None)),
            ("completed whatever the code", format!("&Direction=outbound-api&CallStatus=completed&SipResponseCode=603{STATUS}"), ended(FinalStatus::Completed, None)),
            ("dialled leg ended", format!("&Direction=outbound-dial&ParentCallSid=CA9&CallStatus=no-answer&SipResponseCode=487{STATUS}"), ended(FinalStatus::NotReached, None)),
            ("it never tells who", format!("&CallStatus=completed&HangupSource=caller{STATUS}"), ended(FinalStatus::Completed, None)),
            ("recording", "&RecordingStatus=completed&RecordingSource=RecordVerb&RecordingUrl=u".to_owned(), Report),
            ("transcription", "&CallStatus=completed&TranscriptionText=hi&TranscriptionStatus=completed&RecordingUrl=u".to_owned(), Report),
            ("recording begins", "&RecordingSid=RE1&RecordingStatus=in-progress&RecordingSource=StartCallRecordingAPI&RecordingTrack=both".to_owned(), Report),
            ("transcription goes on", "&TranscriptionSid=GT1&TranscriptionEvent=transcription-content&Final=false&SequenceId=2&Timestamp=t".to_owned(), Report),
            ("stream failed", "&StreamSid=MZ1&StreamEvent=stream-error&StreamError=e&Timestamp=t".to_owned(), Report),
            ("siprec", "&SiprecSid=SR1&SiprecEvent=siprec-error&Timestamp=t".to_owned(), Report),
            ("conference event", "&ConferenceSid=CF1&StatusCallbackEvent=participant-join&SequenceNumber=1&Timestamp=t".to_owned(), Report),
            ("stream event", "&StreamSid=MZ1&StreamEvent=stream-stopped&Timestamp=t".to_owned(), Report),
            ("partial speech", format!("{inbound}&StableSpeechResult=sal&UnstableSpeechResult=es&SequenceNumber=2"), Report),
        ] {
            let form = format!("{BASE}{rest}");
            assert_eq!(read(&form).kind, expected, "{shape}: {rest}");
        }
        let late =
            "CallSid=CA1&AccountSid=AC1&AnsweredBy=machine_start&MachineDetectionDuration=3000";
        assert_eq!(read(late).kind, Report, "machine detection after the fact");
    }

    #[test]
    fn identity_and_direction_are_read() {
        let form = format!("{BASE}&Direction=inbound&CallStatus=ringing");
        let event = read(&form);
        assert_eq!(
            event.call.as_deref().unwrap(),
            "CA00112233445566778899aabbccddeeff"
        );
        assert_eq!(event.keys.to.as_deref(), Some("+12025550199"));
        assert_eq!(
            event.keys.account.as_deref(),
            Some("ACffeeddccbbaa99887766554433221100")
        );
        assert_eq!(
            (event.alias, event.parent, event.outbound),
            (None, None, false)
        );

        let form = format!("{BASE}&Direction=outbound-dial&CallStatus=ringing&ParentCallSid=CA9");
        let event = read(&form);
        assert_eq!(
            (event.parent.as_deref(), event.outbound),
            (Some("CA9"), true)
        );
        let form = format!("{BASE}&Direction=outbound-api");
        assert!(read(&form).outbound);
    }

    #[test]
    fn a_callers_two_ids_are_ambiguous_and_the_first_counts() {
        let event = read("CallSid=CA1&Digits=5678&Digits=1234&Digits=1234&tag%5B%5D=a&CallSid=CA2");
        assert_eq!(event.call.as_deref().unwrap(), "CA1");
        assert!(event.ambiguous);
        assert!(!read("CallSid=CA1&Digits=5678&Digits=1234&CallSid=CA1").ambiguous);
    }

    proptest! {
        #[test]
        fn any_bytes_and_values_fall_into_a_class(
            name in prop::sample::select(vec![
                "CallStatus", "Direction", "DialCallStatus", "SipResponseCode", "CallDuration", "Digits", "Unheard",
            ]),
            value in prop::collection::vec(any::<u8>(), 0..12),
        ) {
            let mut form = format!("CallSid=CA1&{name}=").into_bytes();
            form.extend(value.into_iter().filter(|&byte| byte != b'&'));
            let head = Head {
                query: "",
                content_type: Some("application/x-www-form-urlencoded"),
                encoded: false,
            };
            let event = recognize(&head, &form).unwrap();
            prop_assert_eq!(event.call.as_deref(), Some("CA1"));
        }

        #[test]
        fn the_order_of_fields_changes_nothing(
            fields in prop::sample::subsequence(vec![
                "CallStatus=completed", "Digits=1", "CallbackSource=call-progress-events", "CallDuration=7",
                "RecordingStatus=completed", "AnsweredBy=human", "Direction=inbound", "From=1", "msg=Redirect",
                "SpeechResult=", "SequenceNumber=1", "CallSid=CA1",
            ], 1..12).prop_shuffle(),
        ) {
            let form = format!("CallSid=CA1&{}", fields.join("&"));
            let mut sorted = fields;
            sorted.sort_unstable();
            let other = format!("CallSid=CA1&{}", sorted.join("&"));
            prop_assert_eq!(read(&form), read(&other));
        }
    }
}
