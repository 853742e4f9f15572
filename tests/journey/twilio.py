"""Twilio TwiML: forms for documents; who hung up is never told."""

import email.utils
import hashlib
import json
import secrets

from journey.call import FormCall
from journey.house import NUMBERS
from journey.line import JSON, Webhook

ACCOUNT = "AC" + "5e" * 16
CALLER = "+14155550144"
WANTED = "somebody about the persimmon delivery, please"


class Twilio(FormCall):
    """One call at a Twilio number."""

    provider = "Twilio"

    def __init__(self, line, house, tenant, title, to=None, direction="inbound"):
        super().__init__(line, house, tenant, title)
        self.id = "CA" + secrets.token_hex(16)
        self.to, self.direction = to or NUMBERS[tenant], direction
        self.leg = None
        self.is_private(self.to, CALLER)

    def common(self):
        # An outbound call goes from the tenant's number to the customer's.
        ours, theirs = self.to, CALLER
        to, caller = (ours, theirs) if self.direction == "inbound" else (theirs, ours)
        leg = {"CallSid": self.leg, "ParentCallSid": self.id, "Direction": "outbound-dial"} if self.leg else {"CallSid": self.id, "Direction": self.direction}
        places = {"FromCity": "SAN JOSE", "FromState": "CA", "FromZip": "", "FromCountry": "US", "ToCity": "", "ToZip": ""}
        token = {"CallToken": '{"parentCallInfoToken":"e30.e30.c2ln","identityHeaderTokens":[]}', "StirVerstat": "TN-Validation-Passed-A"}
        return {"AccountSid": ACCOUNT, "ApiVersion": "2010-04-01", **leg, "From": caller, "Caller": caller, "To": to, "Called": to, **places, **token}

    def fetch(self, says, method="POST", **fields):
        """The first document is asked for, while it rings."""
        return self.step(says, "welcome", method, **{"CallStatus": "ringing", **fields})

    def input(self, says, step, method="POST", **fields):
        """What a verb of the last document came to."""
        return self.step(says, step, method, **{"CallStatus": "in-progress", **fields})

    def status(self, status, seconds=None, step="status", **fields):
        """A status callback."""
        return self.give(self.callback(status, seconds, step, **fields))

    def callback(self, status, seconds=None, step="status", **fields):
        when = {"Timestamp": email.utils.formatdate(), "SequenceNumber": "3", "CallbackSource": "call-progress-events"}
        lasted = {} if seconds is None else {"CallDuration": seconds, "Duration": seconds // 60 + 1}
        form = self.form(CallStatus=status, **when, **lasted, **fields)
        return Webhook(f"status callback: {status}", self.target(step), form)

    def recorded(self):
        self.step("the recording, after the end", "recorded", RecordingSid="RE1", RecordingStatus="completed", RecordingSource="DialVerb", RecordingUrl="https://recordings.example.net/RE1", RecordingDuration=12)

    def json(self, says, what):
        """JSON is signed by its hash in the URL; it names no call."""
        body = json.dumps(what).encode()
        target = self.target("insights") + "?bodySHA256=" + hashlib.sha256(body).hexdigest()
        home, self.home = self.home, "legacy" if self.house else None
        self.give(Webhook(says, target, body, media=JSON))
        self.home = home


def put_through(line, house, tenant="acme", to=None):
    """A first fetch by GET, keys, speech, a dial nobody answers and one that somebody does."""
    call = Twilio(line, house, tenant, "a caller says what it is about and is put through", to)
    welcome = call.fetch("the first document, by GET", "GET")
    call.is_pinned()
    call.forge(call.callback("completed", 50))
    menu = call.input("key 1", call.follow(welcome, "Gather", "action", "menu"), msg="Gather End", Digits="1", FinishedOnKey="")
    call.is_private(WANTED, "persimmon")
    partly = call.follow(menu, "Gather", "partialResultCallback", "partial")
    call.input("speech, as far as heard", partly, UnstableSpeechResult=WANTED[:20], SequenceNumber="0")
    speech = call.follow(menu, "Gather", "action", "speech")
    again = call.input("speech, not recognised", speech, SpeechResult="", Confidence="0.0", Language="en-US")
    speech = call.follow(again, "Gather", "action", "speech")
    dial = call.input("speech, recognised", speech, SpeechResult=WANTED, Confidence="0.8812", Language="en-US")
    leg(call, dial)
    action = call.follow(dial, "Dial", "action", "agent")
    call.input("the dial is over", action, DialCallSid="CA" + secrets.token_hex(16), DialCallStatus="completed", DialCallDuration=31, DialBridged="true")
    call.status("completed", 50, SipResponseCode="200")
    call.is_over("served")
    call.recorded()
    call.json("an insight into the conversation, as JSON", {"account_sid": ACCOUNT, "transcript_sid": "GT1", "event_type": "voice_intelligence_transcript_available"})


def leg(call, dial):
    """The leg that a dial makes, with an id of its own."""
    call.leg = "CA" + secrets.token_hex(16)
    status = call.follow(dial, "Number", "statusCallback", "leg")
    call.status("initiated", step=status)
    call.is_pinned("inherited", call.leg)
    call.input("the leg's whisper", call.follow(dial, "Number", "url", "whisper"))
    call.status("completed", 31, status)
    call.leg = None


def others(line, house):
    """Every other way a call can end."""
    call = Twilio(line, house, "birch", "an agent does not answer, then the line is dead: nobody tells by whom")
    welcome = call.fetch("the first document")
    call.is_pinned()
    call.is_private("5093317284")
    account = call.input("key 4", call.follow(welcome, "Gather", "action"), Digits="4")
    menu = call.input("an account number", call.follow(account, "Gather", "action"), Digits="5093317284", FinishedOnKey="#")
    dial = call.input("speech, recognised", call.follow(menu, "Gather", "action"), SpeechResult=WANTED, Confidence="0.7")
    missed = call.input("nobody answered the dial", call.follow(dial, "Dial", "action"), DialCallSid="CA" + secrets.token_hex(16), DialCallStatus="no-answer", DialBridged="false")
    call.input("the menu once more", call.follow(missed, "Redirect"), msg="Redirect")
    call.status("completed", 49)
    call.is_over("served")
    call.recorded()

    call = Twilio(line, house, "birch", "the menu is left unanswered: nobody tells who hung up")
    call.fetch("the first document")
    call.status("completed", 49)
    call.is_over("unknown")
    call.recorded()

    call = Twilio(line, house, "acme", "the application says goodbye")
    welcome = call.fetch("the first document")
    call.input("key 9", call.follow(welcome, "Gather", "action"), Digits="9")
    call.status("completed", 8)
    call.is_over("served")

    call = Twilio(line, house, "birch", "the caller hangs up before the call is answered")
    call.fetch("the first document")
    call.status("canceled", 7)
    call.is_over("abandoned")

    call = Twilio(line, house, "acme", "the caller hangs up while it rings, at once")
    call.fetch("the first document")
    call.status("canceled", 2)
    call.is_over("short")

    call = Twilio(line, house, "birch", "the caller leaves a message")
    welcome = call.fetch("the first document")
    menu = call.input("key 5", call.follow(welcome, "Gather", "action"), Digits="5")
    call.input("the message, and the caller is gone", call.follow(menu, "Record", "action"), CallStatus="completed", RecordingUrl="https://recordings.example.net/RE2", RecordingDuration=9, Digits="hangup")
    call.status("completed", 20)
    call.is_over("served")

    call = Twilio(line, house, "acme", "the call fails")
    call.fetch("the first document")
    call.status("failed", 0, SipResponseCode="500")
    call.is_over("failed")

    call = Twilio(line, house, "birch", "a call we make ourselves is refused far away", direction="outbound-api")
    call.status("initiated")
    call.is_pinned()
    call.status("failed", 0, SipResponseCode="404")
    call.is_over("failed-provider")
