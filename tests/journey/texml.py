"""Telnyx TeXML: forms for documents, and who hung up is told."""

import datetime
import secrets
import uuid

from journey.call import FormCall
from journey.house import NUMBERS
from journey.line import Webhook, expect

ACCOUNT = "7c1b2e9a-40d3-4be7-a6f0-91d5be20c3f8"
CONNECTION = "2094418830517766"
CALLER = "+14155550193"
BILL = "please explain the marzipan surcharge on my bill"


class Texml(FormCall):
    """One call at a TeXML application."""

    provider = "TeXML"

    def __init__(self, line, house, tenant, title, to=None, home=None, legacy=None):
        super().__init__(line, house, tenant, title, home)
        self.id = "v3:" + secrets.token_urlsafe(40)
        # The older form of the id, where it differs.
        self.legacy = legacy or self.id
        self.to, self.caller = to or NUMBERS[tenant], CALLER
        self.began = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=1)
        self.leg = None
        self.is_private(self.to, self.caller)

    def common(self):
        if self.leg:
            return {"AccountSid": ACCOUNT, "CallSid": self.leg, "CallSidLegacy": self.leg, "ParentCallSid": self.id, "ParentCallSidLegacy": self.id}
        return {"AccountSid": ACCOUNT, "CallSid": self.id, "CallSidLegacy": self.legacy}

    def who(self):
        return {"From": self.caller, "To": self.to, "ConnectionId": CONNECTION}

    def fetch(self, says, step="welcome", **fields):
        """A first document is asked for."""
        sip = {"CallerId": self.caller, "CallingPartyType": "pstn", "FromSipUri": f"{self.caller}@192.0.2.41", "ToSipUri": f"{self.to}@sip.telnyx.com"}
        return self.step(says, step, **self.who(), **sip, **{"ApiVersion": "2010-04-01", "CallStatus": "ringing", **fields})

    def input(self, says, step, **fields):
        """What a verb of the last document came to."""
        return self.step(says, step, **self.who(), **fields)

    def status(self, status, number, **fields):
        """A status callback."""
        return self.give(self.callback(status, number, **fields))

    def callback(self, status, number, step="status", **fields):
        progress = {"CallStatus": status, "CallbackSource": "call-progress-events", "SequenceNumber": number, "Timestamp": self.at(number)}
        return Webhook(f"status callback: {status}", self.target(step), self.form(**self.who(), **progress, **fields))

    def at(self, seconds):
        return (self.began + datetime.timedelta(seconds=float(seconds))).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def end(self, by, seconds, **fields):
        """The final status callback of an answered call."""
        return self.status("completed", 3, **self.ending(by, seconds), **fields)

    def ending(self, by, seconds):
        ids = {"CallControlId": self.id, "CallLegId": secrets.token_hex(16), "CallSessionId": secrets.token_hex(16)}
        times = {"StartTime": self.at(0), "AnsweredTime": self.at(3), "EndTime": self.at(3 + seconds), "CallDuration": seconds}
        quality = {"CallQualityStats": '{"mos": 4.3, "jitter": 7}', "HangupCause": "normal_clearing", "HangupSource": by, "SipHangupCause": "200"}
        return {**ids, **times, **quality}

    def afterwards(self):
        """What comes when the call is over: no From, no To, only its id."""
        self.step("the recording, after the end", "recorded", ConnectionId=CONNECTION, RecordingSid="r-1", RecordingSource="DialVerb", RecordingStatus="completed", RecordingUrl="https://recordings.example.net/r-1.mp3", RecordingDuration=31)
        self.step("machine detection, after the end", "amd", AnsweredBy="human", MachineDetectionDuration=2100)
        self.step("the stream stopped, after the end", "stream", StreamEvent="stream-stopped", StreamName="media", StreamSid="s-1")


def put_through(line, house, tenant="acme", to=None):
    """Keys, speech that is not understood and speech that is, a dial with its leg, the end."""
    call = Texml(line, house, tenant, "a caller says what it is about and is put through", to)
    call.status("initiated", 0, ShakenStirAttestation="A")
    call.is_pinned()
    call.status("ringing", 1)
    welcome = call.fetch("the first document")
    call.is_pinned()
    call.status("in-progress", 2, Codec="PCMU")
    call.again(Webhook("a stream begins, replayed", call.target("stream"), call.form(StreamEvent="stream-started", StreamSid="s-1")))
    call.forge(call.callback("completed", 3, **call.ending("caller", 45)))
    menu = call.input("key 1", call.follow(welcome, "Gather", "action", "menu"), Digits="1")
    partly = call.follow(menu, "Gather", "partialResultCallback", "partial")
    call.is_private(BILL, "marzipan")
    call.input("speech, as far as heard", partly, UnstableSpeechResult=BILL[:24], CallStatus="in-progress")
    speech = call.follow(menu, "Gather", "action", "speech")
    again = call.input("speech, not recognised", speech, Digits="", SpeechResult="", Confidence="0")
    speech = call.follow(again, "Gather", "action", "speech")
    dial = call.input("speech, recognised", speech, SpeechResult=BILL, Confidence="0.91")
    agent(call, dial)
    action = call.follow(dial, "Dial", "action", "agent")
    call.input("the dial is over", action, DialCallSid="v3:x" + secrets.token_urlsafe(30), DialCallStatus="completed", DialCallDuration=27, HangupCause="normal_clearing", HangupSource="callee")
    call.end("callee", 45)
    call.is_over("served")
    call.end("callee", 45, OccurredAt=call.at(48))
    call.afterwards()


def agent(call, dial):
    """The leg that a dial makes: a call of its own to Telnyx, the same one to us."""
    call.leg = "v3:" + secrets.token_urlsafe(40)
    status = call.follow(dial, "Number", "statusCallback", "leg")
    call.give(call.callback("initiated", 0, status))
    call.is_pinned("inherited", call.leg)
    call.fetch("the leg's whisper", call.follow(dial, "Number", "url", "whisper"), CallStatus="in-progress")
    call.give(call.callback("in-progress", 1, status))
    call.give(call.callback("completed", 2, status, **call.ending("callee", 20)))
    call.leg = None


def others(line, house):
    """Every other way a call can end."""
    call = Texml(line, house, "birch", "fetched with GET, and the caller hangs up in the menu")
    welcome = call.fetch("the first document, by GET", "welcome?lang=en", method="GET", CallStatus="in-progress")
    call.is_pinned()
    call.is_private("8041739265")
    number = call.input("key 4, by GET", call.follow(welcome, "Gather", "action"), method="GET", Digits="4")
    call.input("an account number", call.follow(number, "Gather", "action"), method="GET", Digits="8041739265")
    call.end("caller", 45)
    call.is_over("abandoned")
    call.afterwards()

    call = Texml(line, house, "acme", "the caller hangs up at once")
    call.fetch("the first document")
    call.end("caller", 3)
    call.is_over("short")

    call = Texml(line, house, "birch", "the caller hangs up before the call is answered")
    call.status("initiated", 0)
    call.fetch("the first document")
    call.status("canceled", 2, HangupCause="originator_cancel", HangupSource="caller", CallDuration=9)
    call.is_over("abandoned")

    call = Texml(line, house, "acme", "the application says goodbye")
    welcome = call.fetch("the first document")
    call.input("key 9", call.follow(welcome, "Gather", "action"), Digits="9")
    call.end("callee", 12)
    call.is_over("served")

    call = Texml(line, house, "birch", "the caller hears the balance and hangs up")
    welcome = call.fetch("the first document")
    menu = call.input("key 2", call.follow(welcome, "Gather", "action"), Digits="2")
    call.input("the redirect", call.follow(menu, "Redirect"), CallStatus="in-progress")
    call.end("caller", 20)
    call.is_over("served")

    call = Texml(line, house, "acme", "the caller waits in a queue and is let out of it")
    welcome = call.fetch("the first document")
    menu = call.input("key 3", call.follow(welcome, "Gather", "action"), Digits="3")
    queue = {"QueueSid": "desk", "QueuePosition": 2, "QueueTime": 8, "AvgQueueTime": 40, "CurrentQueueSize": 3}
    call.input("what the queue plays", call.follow(menu, "Enqueue", "waitUrl"), method="GET", **queue)
    call.input("the queue is left", call.follow(menu, "Enqueue", "action"), QueueResult="bridged", QueueSid="desk", QueueTime=31)
    call.end("caller", 90)
    call.is_over("served")

    call = Texml(line, house, "birch", "the caller leaves a message, and nobody tells who hung up")
    welcome = call.fetch("the first document")
    menu = call.input("key 5", call.follow(welcome, "Gather", "action"), Digits="5")
    call.input("the message", call.follow(menu, "Record", "action"), RecordingUrl="https://recordings.example.net/m.mp3", RecordingDuration=14)
    call.end("unknown", 33)
    call.is_over("served")
    call.afterwards()

    call = Texml(line, house, "acme", "nobody tells who hung up while the menu waited")
    welcome = call.fetch("the first document")
    call.input("key 8", call.follow(welcome, "Gather", "action"), Digits="8")
    call.end("unknown", 33)
    call.is_over("unknown")

    call = Texml(line, house, "birch", "the call fails")
    call.fetch("the first document")
    call.status("failed", 1, ErrorCode="10001", ErrorMessage="Call failed")
    call.is_over("failed")

    call = Texml(line, house, "acme", "known by an older id as well, which is all that its recording names", legacy=str(uuid.uuid4()))
    call.fetch("the first document")
    call.is_pinned(call=call.legacy)
    call.end("caller", 44)
    call.is_over("abandoned")
    call.id = call.legacy
    call.afterwards()

    call = Texml(line, house, "birch", "to a number that the directory does not list", "+16175550100", "legacy")
    call.fetch("the first document")
    call.is_pinned("unlisted")
    call.end("caller", 2)
    call.is_over("short")

    call = Texml(line, house, "acme", "started by the application, so its first webhook is a step")
    call.input("key 9", "menu", Digits="9")
    call.is_pinned("orphan")
    call.end("callee", 6)
    call.is_over("served")

    call = Texml(line, house, "birch", "a recording of a call that nobody remembers")
    call.step("the recording", "recorded", ConnectionId=CONNECTION, RecordingSid="r-2", RecordingStatus="completed", RecordingUrl="https://recordings.example.net/r-2.mp3")
    expect("what is known of a call that was never seen", None, house.explain(call.id))
