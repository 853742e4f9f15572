"""Telnyx Call Control: JSON events of calls that the application steers by commands."""

import datetime
import json
import secrets
import urllib.parse
import uuid

from journey.call import JsonCall
from journey.house import APPLICATIONS, NUMBERS
from journey.line import Webhook

CALLER = "+14155550166"
ASKED = "can you send the tangerine invoice again"


class CallControl(JsonCall):
    """One session at a Call Control application; `envelope` is the shape of its events."""

    provider = "Call Control"

    def __init__(self, line, house, tenant, title, envelope="data", to=None):
        super().__init__(line, house, tenant, title)
        self.id = str(uuid.uuid4())
        self.first = self.leg = "v3:" + secrets.token_urlsafe(40)
        self.envelope, self.to = envelope, to or NUMBERS[tenant]
        self.connection = APPLICATIONS[tenant]
        self.began = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=1)
        self.is_private(self.to, CALLER)

    def at(self, seconds):
        return (self.began + datetime.timedelta(seconds=seconds)).isoformat(timespec="microseconds").replace("+00:00", "Z")

    def payload(self, **more):
        who = {"call_control_id": self.leg, "call_leg_id": str(uuid.uuid5(uuid.NAMESPACE_OID, self.leg)), "call_session_id": self.id}
        return {**who, "connection_id": self.connection, "client_state": None, "from": CALLER, "to": self.to, "start_time": self.at(0), **more}

    def body(self, kind, payload, attempt=1, seconds=1, event=None):
        """The event in one of the two envelopes that are documented."""
        data = {"event_type": kind, "id": event or str(uuid.uuid4()), "occurred_at": self.at(seconds), "payload": payload}
        meta = {"attempt": attempt, "delivered_to": self.line.public + self.line.path}
        if self.envelope == "data":
            whole = {"data": {"record_type": "event", **data}, "meta": meta}
        else:
            whole = {"call_leg_id": payload["call_leg_id"], "call_session_id": self.id, "event_timestamp": self.at(seconds), "metadata": {**meta, "event": data, "status": "delivered"}, "name": kind, "type": "webhook"}
        return json.dumps(whole, ensure_ascii=False).encode()

    def tell(self, kind, says=None, seconds=1, attempt=1, event=None, **more):
        self.presses(more.get("digits", ""))
        return self.event(says or kind, self.body(kind, self.payload(**more), attempt, seconds, event))

    def initiated(self, **more):
        state = {"direction": "incoming", "state": "parked", "caller_id_name": "ORCHARD", "tags": [f"tenant:{self.tenant}"]}
        return self.tell("call.initiated", **{**state, **more})

    def hangup(self, by, seconds, cause="normal_clearing", **more):
        self.tell("call.hangup", f"call.hangup by the {by}", seconds, hangup_cause=cause, hangup_source=by, sip_hangup_cause="unspecified", **more)

    def by_get(self, kind, seconds, **more):
        """The same event as query parameters, for commands that asked for GET."""
        fields = {"event_type": kind, "occurred_at": self.at(seconds), **self.payload(**more)}
        query = urllib.parse.urlencode({name: value for name, value in fields.items() if value is not None})
        return self.give(Webhook(f"{kind}, by GET", f"{self.line.path}?{query}", method="GET"))


def put_through(line, house, tenant="acme", to=None):
    """Events delivered twice, an entry, speech, a second leg, a bridge, the end."""
    call = CallControl(line, house, tenant, "a caller is asked, understood and put through", to=to)
    event = str(uuid.uuid4())
    call.initiated(event=event)
    call.is_pinned()
    call.initiated(says="call.initiated, delivered again", event=event, attempt=2)
    if house:
        house.repeated("calls", call.home)
    call.is_pinned()
    call.tell("call.answered", state="answered", seconds=2)
    hangup = call.body("call.hangup", call.payload(hangup_cause="normal_clearing", hangup_source="caller"), seconds=45)
    call.forge(call.webhook("call.hangup", hangup))
    call.tell("call.speak.started")
    call.tell("call.speak.ended", status="completed", seconds=4)
    call.tell("call.gather.ended", "call.gather.ended, key 1", digits="1", status="valid", seconds=6)
    call.is_private("6630418527", ASKED, "tangerine")
    call.tell("call.gather.ended", "call.gather.ended, an account number", digits="6630418527", status="valid", seconds=9)
    call.tell("call.ai_gather.ended", "call.ai_gather.ended, not recognised", status="invalid", seconds=12)
    call.tell("call.levitated", "an event that nobody knows yet", altitude=3)
    heard = {"confidence": 0.94, "is_final": True, "transcript": ASKED, "transcription_track": "inbound"}
    call.tell("call.transcription", "call.transcription, recognised", transcription_data=heard, seconds=14)
    call.speaks(False, True)
    leg(call)
    call.hangup("caller", 52)
    call.is_over("served")
    for kind in ("call.recording.saved", "call.cost", "call.conversation_insights.generated"):
        call.tell(kind, f"{kind}, after the end", seconds=70)


def leg(call):
    """A second leg of the same session: its end is not the call's."""
    number = "+17025550147"
    call.is_private(number)
    call.leg = "v3:" + secrets.token_urlsafe(40)
    call.tell("call.initiated", "call.initiated, of a second leg", seconds=16, to=number, direction="outgoing", state="bridging")
    call.tell("call.answered", "call.answered, by the second leg", seconds=19, to=number)
    call.tell("call.bridged", seconds=20, to=number)
    call.hangup("callee", 50, to=number)
    call.is_pinned()
    call.is_pinned(call=call.leg)
    call.leg = call.first


def others(line, house):
    """Every other way a call can end."""
    call = CallControl(line, house, "birch", "in the other envelope, and the caller hangs up in a gather", "metadata")
    call.initiated()
    call.is_pinned()
    call.tell("call.answered", seconds=2)
    call.tell("call.gather.ended", "call.gather.ended, the caller is gone", digits="", status="call_hangup", seconds=30)
    call.hangup("caller", 30)
    call.is_over("abandoned")
    call.tell("call.cost", "call.cost, after the end", seconds=60)

    call = CallControl(line, house, "acme", "by GET, and the caller hangs up at once")
    call.by_get("call.initiated", 0, direction="incoming", state="parked")
    call.is_pinned()
    call.by_get("call.hangup", 3, hangup_cause="originator_cancel", hangup_source="caller")
    call.is_over("short")

    call = CallControl(line, house, "birch", "the application hangs up")
    call.initiated()
    call.tell("call.answered", seconds=2)
    call.tell("call.speak.ended", status="completed", seconds=9)
    call.hangup("callee", 11)
    call.is_over("served")

    call = CallControl(line, house, "acme", "the caller waits in a queue and gives up")
    call.initiated()
    call.tell("call.enqueued", queue="desk", queue_position=3, seconds=4)
    call.tell("call.dequeued", "call.dequeued, the caller is gone", queue="desk", reason="hangup", wait_time_secs=40, seconds=44)
    call.hangup("caller", 44)
    call.is_over("abandoned")

    call = CallControl(line, house, "birch", "the application never answers")
    call.initiated()
    call.hangup("unknown", 30, cause="timeout")
    call.is_over("failed")

    call = CallControl(line, house, "acme", "nobody tells who hung up")
    call.initiated()
    call.tell("call.answered", seconds=2)
    call.hangup("unknown", 30)
    call.is_over("unknown")

    call = CallControl(line, house, "birch", "events arrive in another order, the end twice")
    call.tell("call.answered", seconds=2)
    call.is_pinned("orphan")
    call.initiated()
    call.hangup("caller", 45)
    call.is_over("abandoned")
    call.hangup("caller", 45, tags=["again"])
