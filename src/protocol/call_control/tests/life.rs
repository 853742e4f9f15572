//! What each event tells of a call's life, in tables: what is expected, the event
//! type, what its payload holds besides the ids.

use super::*;

/// The rows of a table: what is expected, the event type, the rest of its payload.
fn rows(table: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    table.lines().skip(1).map(|line| {
        let (expected, rest) = column(line);
        let (event_type, payload) = column(rest);
        (expected, event_type, payload)
    })
}

fn column(line: &str) -> (&str, &str) {
    let (column, rest) = line.split_once(' ').unwrap_or((line, ""));
    (column, rest.trim_start())
}

fn class_of(event: &CallEvent<'_>) -> &'static str {
    match event.kind {
        EventKind::Start => "Start",
        EventKind::Step => "Step",
        EventKind::Progress => "Progress",
        EventKind::Final(_) => "Final",
        EventKind::Report => "Report",
    }
}

const CLASSES: &str = r#"
Start    call.initiated "direction":"incoming","state":"parked"
Start    call.initiated "direction":"outgoing","state":"parked"
Progress call.initiated "direction":"outgoing","state":"bridging"
Progress call.initiated "direction":"outgoing"
Start    call.initiated "direction":"sideways"
Start    call.initiated
Step     call.answered "state":"answered"
Progress call.bridged
Progress call.hold
Progress call.unhold
Report   call.cost "total_cost":"0.004"
Step     call.enqueued "queue":"sales","current_position":1
Progress call.dequeued "reason":"bridged","wait_time_secs":20
Progress call.dequeued "reason":"bridging-in-process"
Report   call.dequeued "reason":"hangup"
Step     call.dequeued "reason":"leave"
Step     call.dequeued "reason":"timeout"
Step     call.dequeued "reason":"levitation"
Step     call.dtmf.received "digit":"5"
Step     call.gather.ended "digits":"1","status":"valid"
Step     call.gather.ended "digits":"9","status":"invalid"
Step     call.gather.ended "digits":"","status":"timeout"
Step     call.gather.ended "digits":"","status":"cancelled"
Step     call.gather.ended "digits":"","status":"cancelled_amd"
Report   call.gather.ended "digits":"","status":"call_hangup"
Step     call.ai_gather.ended "status":"valid","result":{"name":"x"}
Report   call.ai_gather.partial_results "partial_results":{}
Report   call.ai_gather.message_history_updated "message_history":[]
Progress call.speak.started
Step     call.speak.ended "status":"completed"
Step     call.speak.ended "status":"cancelled_amd"
Report   call.speak.ended "status":"call_hangup"
Progress call.playback.started
Step     call.playback.ended "status":"file_not_found"
Report   call.playback.ended "status":"call_hangup"
Report   call.recording.saved
Report   call.recording.error
Report   call.recording.transcription.saved
Step     call.machine.detection.ended "result":"human"
Step     call.machine.greeting.ended "result":"beep_detected"
Step     call.machine.premium.detection.ended "result":"human_residence"
Step     call.machine.premium.greeting.ended
Report   call.fork.started
Report   call.fork.stopped
Progress call.refer.started
Report   call.refer.completed
Step     call.refer.failed "sip_notify_response":503
Step     call.transcription "transcription_data":{"is_final":true,"transcript":"hi"}
Report   call.transcription "transcription_data":{"is_final":false,"transcript":"h"}
Report   call.conversation.ended "reason":"done","duration_sec":30
Report   call.conversation_insights.generated
Report   call.deepfake_detection.result
Report   call.deepfake_detection.error
Progress call.payment.progress
Step     call.payment.completed
Report   streaming.started
Report   streaming.stopped
Report   streaming.failed
Report   siprec.started
Report   siprec.stopped
Report   siprec.failed
Progress conference.created
Report   conference.ended
Progress conference.floor.changed
Progress conference.participant.joined
Report   conference.participant.left
Progress conference.speak.started
Progress conference.speak.ended
Progress conference.playback.started
Progress conference.playback.ended
Report   conference.recording.saved
Report   call.levitated
Report   Call.Hangup
Final    call.hangup"#;

#[test]
fn every_event_type_has_its_class() {
    for (class, event_type, rest) in rows(CLASSES) {
        let body = event(event_type, rest);
        let event = read(&body);
        assert_eq!(class_of(&event), class, "{event_type} {rest}");
        assert_eq!(event.asks, Asks::Nothing, "{event_type}");
    }
    let body = event("", "");
    assert_eq!(read(&body).kind, EventKind::Report, "no event type at all");
}

const FACTS: &str = r##"
none           call.initiated "direction":"incoming"
answered       call.answered
connected      call.bridged
connected      call.refer.completed
none           call.refer.failed
connected      call.dequeued "reason":"bridged"
none           call.dequeued "reason":"bridging-in-process"
none           call.dequeued "reason":"timeout"
key:#          call.gather.ended "digits":"#","status":"valid"
key:0          call.gather.ended "digits":"0"
none           call.gather.ended "digits":"12","status":"valid"
none           call.gather.ended "digits":"A","status":"valid"
none           call.gather.ended "digits":"","status":"valid"
none           call.gather.ended "digits":"1","status":"timeout"
none           call.gather.ended "digits":"1","status":"invalid"
none           call.gather.ended "digits":"1","status":"call_hangup"
none           call.dtmf.received "digit":"4"
understood     call.ai_gather.ended "status":"valid"
not-understood call.ai_gather.ended "status":"invalid"
none           call.ai_gather.ended "status":"call_hangup"
understood     call.transcription "transcription_data":{"confidence":0.9,"is_final":true,"transcript":"sí, mañana"}
understood     call.transcription "transcription_data":{"transcript":"a \"quoted\" word","transcription_track":"inbound"}
not-understood call.transcription "transcription_data":{"is_final":true,"transcript":" "}
none           call.transcription "transcription_data":{"is_final":false,"transcript":"s"}
none           call.transcription "transcription_data":{"is_final":true,"transcript":"Welcome!","transcription_track":"outbound"}
none           call.cost "digits":"1","digit":"1","status":"valid""##;

#[test]
fn what_an_event_tells_of_the_calls_life() {
    for (told, event_type, rest) in rows(FACTS) {
        let mut expected = Facts::default();
        match told {
            "none" => {}
            "answered" => expected.answered = true,
            "connected" => expected.connected = true,
            "understood" => expected.speech = Some(true),
            "not-understood" => expected.speech = Some(false),
            key => expected.choice = Some(key.strip_prefix("key:").unwrap().as_bytes()[0]),
        }
        let body = event(event_type, rest);
        assert_eq!(read(&body).facts, expected, "{event_type} {rest}");
    }
}

/// Status, who hung up, seconds, cause, source as sent, the rest of the payload.
const ENDS: &str = r#"
completed        caller 69 normal_clearing caller "start_time":"2027-02-03T04:05:00.500000Z"
completed        callee 69 normal_clearing callee "start_time":"2027-02-03T04:05:00.500000Z"
completed        nobody -  normal_clearing unknown
completed        nobody 69 time_limit unknown "start_time":"2027-02-03T04:05:00.500000Z"
canceled         caller -  originator_cancel unknown
canceled         caller -  originator_cancel caller
not-reached      callee -  user_busy callee
not-reached      nobody -  no_answer unknown "direction":"outgoing"
not-reached      nobody -  timeout unknown "direction":"outgoing"
failed-backend   nobody -  timeout unknown
failed-backend   callee -  call_rejected callee
failed-provider  callee -  call_rejected callee "direction":"outgoing"
failed-backend   nobody -  not_found unknown
failed-provider  nobody -  not_found unknown "direction":"outgoing"
failed-backend   nobody -  unspecified unknown "direction":"incoming"
failed-provider  nobody -  unspecified unknown "direction":"outgoing"
completed        nobody -  solar_flare the_sun
completed        caller -  normal_clearing caller "start_time":"2027-02-03T04:06:10.251000Z"
completed        caller 0  normal_clearing caller "start_time":"2027-02-03 04:06:10Z"
completed        caller -  normal_clearing caller "start_time":"yesterday"
completed        caller -  normal_clearing caller "start_time":null"#;

#[test]
fn a_hang_up_tells_how_the_leg_ended_and_by_whom() {
    for line in ENDS.lines().skip(1) {
        let (status, rest) = column(line);
        let (by, rest) = column(rest);
        let (duration_s, rest) = column(rest);
        let (cause, rest) = column(rest);
        let (source, more) = column(rest);
        let comma = if more.is_empty() { "" } else { "," };
        let body = event(
            "call.hangup",
            &format!(
                r#"{NUMBERS},"state":"hangup","hangup_cause":"{cause}","hangup_source":"{source}",
                "sip_hangup_cause":"unspecified","call_quality_stats":{{"inbound":{{"mos":"4.4"}}}}{comma}{more}"#
            ),
        );
        let expected = EventKind::Final(Final {
            status: match status {
                "completed" => FinalStatus::Completed,
                "canceled" => FinalStatus::Canceled,
                "not-reached" => FinalStatus::NotReached,
                "failed-backend" => FinalStatus::Failed(Fault::Backend),
                "failed-provider" => FinalStatus::Failed(Fault::Provider),
                other => panic!("{other}"),
            },
            by: match by {
                "caller" => Some(HungUp::Caller),
                "callee" => Some(HungUp::Callee),
                _ => None,
            },
            duration_s: duration_s.parse().ok(),
            report_follows: false,
        });
        assert_eq!(read(&body).kind, expected, "{line}");
    }
    let bare = event("call.hangup", "");
    let EventKind::Final(end) = read(&bare).kind else {
        panic!("a hang-up that tells nothing is one")
    };
    assert_eq!((end.status, end.by), (FinalStatus::Completed, None));
}
