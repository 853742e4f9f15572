//! Telnyx TeXML: what its webhooks say beyond what `protocol/kind.rs` reads.
//!
//! - Call ids are opaque (`v3:…`, a UUID), hold colons, and their case matters. The
//!   legacy form, where it differs, is an alias of the same call.
//! - A dial's action repeats the call's own id as its parent: that is no child. The
//!   dialled leg (`DialCallSid`) becomes a call when it speaks for itself.
//! - `HangupSource` is relative to the leg, as [`HungUp`] is. A call cancelled by
//!   its originator was ended by the caller.
//! - No direction is documented. A leg with a parent went out; a call that the
//!   application started itself looks like an inbound one.
//! - A first fetch may already be `in-progress`, so nothing tells it from a
//!   redirect's.

use jiff::Timestamp;

use super::fields::{Fields, Wanted};
use super::{CallEvent, EventKind, Head, HungUp, kind};

/// Reads a webhook. None: it names no call.
pub fn recognize<'a>(head: &Head<'a>, body: &'a [u8]) -> Option<CallEvent<'a>> {
    let fields = Fields::read(head, body);
    let mut event = kind::event(&fields)?;
    if let EventKind::Final(end) = &mut event.kind {
        end.by = hung_up(&fields);
        end.duration_s = end.duration_s.or_else(|| talked(&fields));
    }
    Some(event)
}

fn hung_up(fields: &Fields<'_>) -> Option<HungUp> {
    match fields.text(Wanted::HangupSource).as_deref() {
        Some("caller") => return Some(HungUp::Caller),
        Some("callee") => return Some(HungUp::Callee),
        _ => {}
    }
    let cause = fields.text(Wanted::HangupCause);
    (cause.as_deref() == Some("originator_cancel")).then_some(HungUp::Caller)
}

/// Seconds from answer to end. None if either is missing, is no time, or the end
/// comes first.
fn talked(fields: &Fields<'_>) -> Option<u32> {
    let time = |wanted| fields.text(wanted)?.parse::<Timestamp>().ok();
    let seconds = time(Wanted::EndedAt)?.as_second() - time(Wanted::AnsweredAt)?.as_second();
    u32::try_from(seconds).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::measure::Fault;
    use crate::protocol::{Final, FinalStatus};

    const CALL: &str = "v3:Qw9eRt7yUi5oPa3sDf1gHj_kL-zXcVbNm";
    const WHO: &str = "AccountSid=3f1d&CallSid=v3%3AQw9eRt7yUi5oPa3sDf1gHj_kL-zXcVbNm\
        &CallSidLegacy=v3%3AQw9eRt7yUi5oPa3sDf1gHj_kL-zXcVbNm&ConnectionId=900";
    const NUMBERS: &str = "&From=%2B12025550111&To=%2B12025550199";
    const STATUS: &str = "&CallbackSource=call-progress-events&SequenceNumber=3\
        &Timestamp=2026-03-04T05%3A06%3A07Z";

    fn head(query: &str) -> Head<'_> {
        Head {
            query,
            content_type: Some("application/x-www-form-urlencoded"),
            encoded: false,
        }
    }

    fn kind_of(rest: &str) -> EventKind {
        let body = format!("{WHO}{rest}");
        recognize(&head(""), body.as_bytes()).unwrap().kind
    }

    fn ended(status: FinalStatus, by: Option<HungUp>, duration_s: Option<u32>) -> EventKind {
        EventKind::Final(Final {
            status,
            by,
            duration_s,
            report_follows: false,
        })
    }

    #[test]
    fn every_shape_of_webhook_has_its_kind() {
        use EventKind::{Progress, Report, Start, Step};
        use FinalStatus::{Canceled, Completed, Failed, NotReached};
        let fetch = "&CallerId=%2B12025550111&CallingPartyType=pstn&FromSipUri=%2B1202%40192.0.2.1&ToSipUri=a&ApiVersion=2010-04-01";
        for (shape, rest, expected) in [
            ("first fetch", format!("{NUMBERS}{fetch}&CallStatus=ringing"), Start),
            ("first fetch, answered", format!("{NUMBERS}{fetch}&CallStatus=in-progress"), Start),
            ("first fetch, as now documented", format!("{NUMBERS}{fetch}"), Start),
            ("first fetch after machine detection", format!("{NUMBERS}{fetch}&AnsweredBy=human"), Start),
            ("bare", String::new(), Start),
            ("digits", format!("{NUMBERS}&Digits=1"), Step),
            ("no input", format!("{NUMBERS}&Digits=&SpeechResult=&Confidence=0"), Step),
            ("speech", format!("{NUMBERS}&SpeechResult=billing+please&Confidence=0.9"), Step),
            ("record's action", format!("{NUMBERS}&RecordingUrl=https%3A%2F%2Fr.example.com%2F1&RecordingDuration=9"), Step),
            ("dial's action", format!("{NUMBERS}&DialCallSid=v3%3Achild&DialCallStatus=completed&DialCallDuration=12&HangupCause=normal_clearing&HangupSource=callee&RecordingUrl=x"), Step),
            ("dial's action, recorded", format!("{NUMBERS}&DialCallStatus=completed&RecordingStatus=completed"), Step),
            ("dial's action, caller gone", format!("{NUMBERS}&DialCallStatus=completed&CallStatus=completed"), Step),
            ("queue's wait", format!("{NUMBERS}&QueueSid=q&QueuePosition=2&QueueTime=30&AvgQueueTime=45&CurrentQueueSize=3"), Step),
            ("enqueue's action", format!("{NUMBERS}&QueueResult=hangup&QueueSid=q&QueueTime=8"), Step),
            ("refer's action", format!("{NUMBERS}&ReferCallStatus=failed&CallStatus=in-progress"), Step),
            ("conference's wait", format!("{NUMBERS}&ConferenceSid=c&CallStatus=in-progress"), Step),
            ("queue's whisper", format!("{NUMBERS}&QueueSid=q&QueueTime=9&DequeingCallSid=v3%3Aa"), Step),
            ("whisper to a dialled leg", format!("{NUMBERS}&ParentCallSid=v3%3Aother&CallStatus=in-progress"), Start),
            ("fallback fetch", format!("{NUMBERS}{fetch}&ErrorCode=11200&ErrorUrl=https%3A%2F%2Fa.example.com%2F"), Start),
            ("fallback fetch of an action", format!("{NUMBERS}&Digits=1&ErrorCode=11200&ErrorUrl=u"), Step),
            ("fallback fetch of a dial's action, caller gone", format!("{NUMBERS}&DialCallStatus=busy&CallStatus=completed&ErrorCode=11205&ErrorUrl=u"), Step),
            ("initiated", format!("{NUMBERS}{STATUS}&CallStatus=initiated"), Progress),
            ("initiated, with the reference's error", format!("{NUMBERS}{STATUS}&CallStatus=initiated&ErrorCode=10001"), Progress),
            ("a dialled leg rings", format!("{NUMBERS}{STATUS}&ParentCallSid=v3%3Aother&CallStatus=ringing"), Progress),
            ("a dialled leg ended", format!("{NUMBERS}{STATUS}&ParentCallSid=v3%3Aother&CallStatus=busy&HangupSource=callee"), ended(NotReached, Some(HungUp::Callee), None)),
            ("a dialled leg was refused", format!("{NUMBERS}{STATUS}&ParentCallSid=v3%3Aother&CallStatus=failed&HangupCause=not_found&SipHangupCause=404"), ended(Failed(Fault::Provider), None, None)),
            ("a dialled leg failed, nobody knows why", format!("{NUMBERS}{STATUS}&ParentCallSid=v3%3Aother&CallStatus=failed&SipHangupCause=unspecified"), ended(Failed(Fault::Backend), None, None)),
            ("failed, and we told the caller's side", format!("{NUMBERS}{STATUS}&CallStatus=failed&SipHangupCause=503"), ended(Failed(Fault::Backend), None, None)),
            ("completed with everything", format!("{NUMBERS}{STATUS}&CallStatus=completed&CallDuration=8&CallControlId=x&CallLegId=y&CallSessionId=z&CallQualityStats=%7B%22mos%22%3A4%7D&SipHangupCause=200&HangupSource=callee"), ended(Completed, Some(HungUp::Callee), Some(8))),
            ("ringing", format!("{NUMBERS}{STATUS}&CallStatus=ringing"), Progress),
            ("answered", format!("{NUMBERS}{STATUS}&CallStatus=in-progress&Codec=PCMU"), Progress),
            ("unknown status", format!("{NUMBERS}{STATUS}&CallStatus=levitating"), Progress),
            ("no status", format!("{NUMBERS}{STATUS}"), Progress),
            ("ringing, source not said", format!("{NUMBERS}&CallStatus=ringing&SequenceNumber=1&Timestamp=x"), Progress),
            ("caller hung up", format!("{NUMBERS}{STATUS}&CallStatus=completed&CallDuration=45&HangupCause=normal_clearing&HangupSource=caller"), ended(Completed, Some(HungUp::Caller), Some(45))),
            ("application hung up", format!("{NUMBERS}{STATUS}&CallStatus=completed&CallDuration=3&HangupSource=callee"), ended(Completed, Some(HungUp::Callee), Some(3))),
            ("nobody knows who", format!("{NUMBERS}{STATUS}&CallStatus=completed&HangupSource=unknown"), ended(Completed, None, None)),
            ("with a dial in it", format!("{NUMBERS}{STATUS}&CallStatus=completed&DialCallSid=v3%3Ac&DialCallStatus=completed"), ended(Completed, None, None)),
            ("only times", format!("{NUMBERS}{STATUS}&CallStatus=completed&AnsweredTime=2026-03-04T05%3A06%3A07Z&EndTime=2026-03-04T05%3A07%3A00Z"), ended(Completed, None, Some(53))),
            ("older times", format!("{NUMBERS}{STATUS}&CallStatus=completed&AnsweredTime=2021-04-28+21%3A51%3A18.731479Z&EndTime=2021-04-28+21%3A51%3A28.1Z"), ended(Completed, None, Some(10))),
            ("times the wrong way round", format!("{NUMBERS}{STATUS}&CallStatus=completed&AnsweredTime=2026-03-04T05%3A07%3A00Z&EndTime=2026-03-04T05%3A06%3A07Z"), ended(Completed, None, None)),
            ("odd duration", format!("{NUMBERS}{STATUS}&CallStatus=completed&CallDuration=-1"), ended(Completed, None, None)),
            ("gave up", format!("{NUMBERS}{STATUS}&CallStatus=canceled&HangupCause=originator_cancel"), ended(Canceled, Some(HungUp::Caller), None)),
            ("busy", format!("{NUMBERS}{STATUS}&CallStatus=busy&HangupCause=user_busy&HangupSource=callee"), ended(NotReached, Some(HungUp::Callee), None)),
            ("no answer", format!("{NUMBERS}{STATUS}&CallStatus=no-answer"), ended(NotReached, None, None)),
            ("failed", format!("{NUMBERS}{STATUS}&CallStatus=failed&ErrorCode=10001&ErrorMessage=Call+failed"), ended(Failed(Fault::Backend), None, None)),
            ("completed with an error", format!("{NUMBERS}{STATUS}&CallStatus=completed&ErrorCode=10001"), ended(Failed(Fault::Backend), None, None)),
            ("completed with no error", format!("{NUMBERS}{STATUS}&CallStatus=completed&ErrorCode="), ended(Completed, None, None)),
            ("unknown end", format!("{NUMBERS}{STATUS}&CallStatus=screened&CallDuration=0&HangupSource=caller"), ended(Completed, Some(HungUp::Caller), Some(0))),
            ("final, source not said", format!("{NUMBERS}&CallStatus=completed&SequenceNumber=0&HangupSource=caller"), ended(Completed, Some(HungUp::Caller), None)),
            ("final and nothing else", "&CallStatus=completed".to_owned(), ended(Completed, None, None)),
            ("recording", "&RecordingSid=r&RecordingSource=DialVerb&RecordingStatus=completed&RecordingUrl=u&RecordingDuration=5".to_owned(), Report),
            ("machine detection", "&AnsweredBy=human&MachineDetectionDuration=2500".to_owned(), Report),
            ("recording begins", "&RecordingSid=r&RecordingSource=StartCallRecordingAPI&RecordingStatus=in-progress&RecordingChannels=2&Timestamp=t".to_owned(), Report),
            ("machine detection after a beep", "&AnsweredBy=machine_end_beep&CallSidLegacy=v3%3Aold".to_owned(), Report),
            ("stream started", "&StreamEvent=stream-started&StreamSid=s&StreamName=n".to_owned(), Report),
            ("stream, as the reference has it", "&StreamEvent=stream-error&StreamSid=s&StreamError=e".to_owned(), Report),
            ("siprec", "&SiprecSid=s&SiprecEvent=siprec-stopped&CallStatus=in-progress".to_owned(), Report),
            ("deepfake detection", "&DeepfakeDetectionResult=real&DeepfakeDetectionScore=0.1".to_owned(), Report),
            ("stream", "&StreamEvent=stream-failed&StreamSid=s&StreamError=e&Timestamp=t".to_owned(), Report),
            ("transcription", "&TranscriptionEvent=transcription-content&TranscriptionData=x".to_owned(), Report),
            ("conference", "&ConferenceSid=c&StatusCallbackEvent=participant-leave&SequenceNumber=4".to_owned(), Report),
            ("partial speech", format!("{NUMBERS}&UnstableSpeechResult=bil&CallStatus=in-progress"), Report),
            ("another source", format!("{NUMBERS}&CallbackSource=call-cost-events&CallStatus=completed"), Report),
        ] {
            assert_eq!(kind_of(&rest), expected, "{shape}: {rest}");
        }
    }

    #[test]
    fn a_webhook_is_the_same_in_query_and_body() {
        let form = format!("{WHO}{NUMBERS}&CallStatus=ringing");
        let in_body = recognize(&head("tenant=acme"), form.as_bytes()).unwrap();
        let query = format!("tenant=acme&{form}");
        let without_body = Head {
            content_type: None,
            ..head(&query)
        };
        let in_query = recognize(&without_body, b"").unwrap();
        assert_eq!(in_query, in_body);
        assert_eq!(
            in_query.call.as_deref(),
            Some(CALL),
            "colon decoded, case kept"
        );
        assert_eq!(in_query.keys.to.as_deref(), Some("+12025550199"));
        assert_eq!(in_query.keys.from.as_deref(), Some("+12025550111"));
        assert_eq!(in_query.keys.connection.as_deref(), Some("900"));
        assert_eq!(in_query.keys.account.as_deref(), Some("3f1d"));
        assert!(!in_query.outbound && !in_query.ambiguous);
    }

    #[test]
    fn only_another_id_is_an_alias_and_only_another_call_a_parent() {
        for (form, call, alias, parent) in [
            ("CallSid=a", "a", None, None),
            ("CallSid=v3%3Aa&CallSidLegacy=v3:a", "v3:a", None, None),
            ("CallSid=a&CallSidLegacy=b", "a", Some("b"), None),
            ("CallSidLegacy=b", "b", None, None),
            ("CallSid=a&ParentCallSid=a&DialCallSid=c", "a", None, None),
            (
                "CallSid=a&CallSidLegacy=b&ParentCallSid=b",
                "a",
                Some("b"),
                None,
            ),
            ("CallSid=a&ParentCallSid=", "a", None, None),
            ("CallSid=a&ParentCallSid=A", "a", None, Some("A")),
            (
                "CallSid=c&ParentCallSid=a&DialCallSid=d",
                "c",
                None,
                Some("a"),
            ),
        ] {
            let event = recognize(&head(""), form.as_bytes()).unwrap();
            assert_eq!(event.call.as_deref().unwrap(), call, "{form}");
            assert_eq!(event.alias.as_deref(), alias, "{form}");
            assert_eq!(event.parent.as_deref(), parent, "{form}");
            assert_eq!(
                event.outbound,
                parent.is_some(),
                "{form}: legs with a parent went out"
            );
        }
    }

    #[test]
    fn what_names_no_call_is_no_event() {
        let form = b"CallSid=a";
        for (what, query, content_type, encoded, body) in [
            ("nothing", "", None, false, &b""[..]),
            (
                "no id",
                "",
                head("").content_type,
                false,
                b"From=1&To=2&DialCallSid=c",
            ),
            ("an empty id", "CallSid=", None, false, b""),
            (
                "JSON",
                "",
                Some("application/json"),
                false,
                b"{\"CallSid\":\"a\"}",
            ),
            (
                "a form not said to be one",
                "",
                Some("text/plain"),
                false,
                form,
            ),
            ("an encoded body", "", head("").content_type, true, form),
        ] {
            let head = Head {
                query,
                content_type,
                encoded,
            };
            assert_eq!(recognize(&head, body), None, "{what}");
        }
        let head = Head {
            encoded: true,
            ..head("CallSid=q")
        };
        assert_eq!(
            recognize(&head, form).unwrap().call.unwrap(),
            "q",
            "the query is read all the same"
        );
    }

    #[test]
    fn speech_failed_only_when_nothing_was_said_or_pressed() {
        for (rest, expected) in [
            ("&SpeechResult=yes&Confidence=0.1", Some(true)),
            ("&SpeechResult=yes&Digits=1", Some(true)),
            ("&SpeechResult=&Digits=", Some(false)),
            ("&SpeechResult=+", Some(false)),
            ("&SpeechResult=&Digits=4", None),
            ("&Digits=4", None),
            ("&Digits=", None),
            ("&SpeechResult=ye&StableSpeechResult=", None),
            ("", None),
        ] {
            let form = format!("{WHO}{rest}");
            let event = recognize(&head(""), form.as_bytes()).unwrap();
            assert_eq!(event.facts.speech, expected, "{rest}");
        }
    }

    #[test]
    fn a_caller_who_got_through_was_connected() {
        for (rest, expected) in [
            ("&DialCallStatus=completed&DialCallDuration=9", true),
            ("&DialCallStatus=answered", true),
            ("&DialCallStatus=completed&DialBridged=true", true),
            ("&DialCallStatus=completed&DialBridged=false", false),
            ("&DialBridged=true", true),
            ("&DialCallStatus=no-answer", false),
            ("&DialCallStatus=busy&DialBridged=false", false),
            ("&DialCallStatus=canceled", false),
            ("&DialCallSid=c", false),
            ("&QueueResult=bridged&QueueTime=4", true),
            ("&QueueResult=redirected-from-bridged", true),
            ("&QueueResult=bridging-in-process", false),
            ("&QueueResult=hangup", false),
            ("&QueueSid=q&QueuePosition=1", false),
            ("&ReferCallStatus=completed", true),
            ("&ReferCallStatus=failed", false),
            ("&CallStatus=completed", false),
            ("&CallStatus=in-progress", false),
        ] {
            let form = format!("{WHO}{rest}");
            let event = recognize(&head(""), form.as_bytes()).unwrap();
            assert_eq!(event.facts.connected, expected, "{rest}");
        }
        let end = format!("{WHO}{STATUS}&CallStatus=completed&DialCallStatus=completed");
        let event = recognize(&head(""), end.as_bytes()).unwrap();
        assert!(event.facts.connected, "the end of a call tells it as well");
    }

    #[test]
    fn one_key_is_a_choice_and_more_are_never_looked_at() {
        for (rest, expected) in [
            ("&Digits=1", Some(b'1')),
            ("&Digits=0&SpeechResult=zero", Some(b'0')),
            ("&Digits=%2A", Some(b'*')),
            ("&Digits=%23&FinishedOnKey=", Some(b'#')),
            ("&Digits=*", Some(b'*')),
            ("&Digits=", None),
            ("&Digits=12", None),
            ("&Digits=%31%32", None),
            ("&Digits=4111111111111111", None),
            ("&Digits=hangup&RecordingUrl=u", None),
            ("&Digits=A", None),
            ("&Digits=%20", None),
            ("&Digits=\u{661}", None),
            ("&Digits=1&CallbackSource=call-progress-events", None),
            ("&Digit=1", None),
        ] {
            let form = format!("{WHO}{rest}");
            let event = recognize(&head(""), form.as_bytes()).unwrap();
            assert_eq!(event.facts.choice, expected, "{rest}");
        }
    }

    /// Every byte of names and values escaped.
    fn escaped(form: &str) -> String {
        let escape = |text: &str| -> String {
            form_bytes(text)
                .map(|byte| format!("%{byte:02X}"))
                .collect()
        };
        let fields = form.split('&').map(|field| match field.split_once('=') {
            Some((name, value)) => format!("{}={}", escape(name), escape(value)),
            None => escape(field),
        });
        fields.collect::<Vec<_>>().join("&")
    }

    fn form_bytes(text: &str) -> impl Iterator<Item = u8> {
        crate::protocol::form::decode(text.as_bytes())
            .into_owned()
            .into_bytes()
            .into_iter()
    }

    proptest! {
        #[test]
        fn how_a_form_is_escaped_changes_nothing(
            rest in prop::sample::subsequence(vec![
                "CallStatus=completed", "CallStatus=in-progress", "Digits=*12%23", "SpeechResult=na%C3%AFve+caf",
                "DialCallStatus=busy", "CallbackSource=call-progress-events", "CallDuration=7",
                "HangupSource=caller", "ParentCallSid=x%3Ay", "RecordingStatus=completed", "AnsweredBy=human",
                "TranscriptionSid=t", "SequenceNumber=1", "Direction=outbound-api", "ErrorCode=1",
                "EndTime=2026-03-04T05%3A07%3A00Z", "AnsweredTime=2026-03-04T05%3A06%3A00Z", "Unknown=%25",
            ], 0..10).prop_shuffle(),
        ) {
            let form = format!("{WHO}{NUMBERS}&{}", rest.join("&"));
            let other = escaped(&form);
            prop_assert_eq!(
                recognize(&head(""), form.as_bytes()),
                recognize(&head(""), other.as_bytes())
            );
        }

        #[test]
        fn no_bytes_make_it_panic(
            query in ".{0,60}",
            body in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            recognize(&head(&query), &body);
            let mut named = b"CallSid=%C3&EndTime=x&AnsweredTime=%&CallbackSource=call-progress-events&CallStatus=completed&".to_vec();
            named.extend(body);
            prop_assert!(recognize(&head(&query), &named).is_some());
        }
    }
}
