"""Vapi: server messages about calls that an assistant speaks with."""

import datetime
import json
import secrets
import time
import uuid

from journey.call import JsonCall
from journey.house import BRANDS, LINES, NUMBERS
from journey.line import Unexpected

ORGANISATION = "3f6c20b8-91aa-4e0d-8f57-6b0d1c9e4a12"
CALLER = "+14155550155"
SAID = "I would like to change the apricot subscription"


class Vapi(JsonCall):
    """One call of an assistant; `carrier` is the id its carrier knows it by."""

    provider = "Vapi"

    def __init__(self, line, house, tenant, title, name="main line", to=None, carrier=None, home=None):
        super().__init__(line, house, tenant, title, home)
        self.id = str(uuid.uuid4())
        self.to, self.name, self.carrier = to or NUMBERS[tenant], name, carrier
        self.began = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=1)
        self.is_private(self.to, CALLER)

    def at(self, seconds):
        return (self.began + datetime.timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def call(self, status):
        call = {"id": self.id, "orgId": ORGANISATION, "type": "inboundPhoneCall", "status": status, "createdAt": self.at(0), "updatedAt": self.at(1)}
        provided = {"phoneCallProvider": "telnyx", "phoneCallTransport": "pstn", "phoneCallProviderId": self.carrier or "v3:" + self.id}
        return {**call, **provided, "phoneNumberId": LINES[self.tenant], "customer": {"number": CALLER}}

    def message(self, kind, state="in-progress", **more):
        who = {"phoneNumber": {"number": self.to, "provider": "telnyx", "name": self.name, "orgId": ORGANISATION}, "customer": {"number": CALLER}}
        message = {"timestamp": int(time.time() * 1000), "type": kind, **more, "call": self.call(state), **who}
        return json.dumps({"message": message}, ensure_ascii=False).encode()

    def tell(self, kind, says=None, **more):
        return self.event(says or kind, self.message(kind, **more))

    def status(self, status, **more):
        return self.tell("status-update", f"status-update: {status}", state=status, status=status, **more)

    def ended(self, reason, **more):
        return self.tell("status-update", f"status-update: ended, {reason}", state="ended", status="ended", endedReason=reason, **more)

    def report(self, reason, seconds, said=(SAID,), success="false"):
        """The report that comes when all is processed."""
        self.is_private(*said)
        self.speaks(bool(said))
        talk = [{"role": "bot", "message": "What can I do for you?", "secondsFromStart": 1}]
        talk += [{"role": "user", "message": text, "secondsFromStart": 4} for text in said]
        lines = "".join(f"{entry['role']}: {entry['message']}\n" for entry in talk)
        artifact = {"messages": talk, "transcript": lines, "recordingUrl": "https://recordings.example.net/v.wav", "performanceMetrics": {"turnLatencyAverage": 1180}}
        analysis = {"summary": " ".join(said), "successEvaluation": success}
        times = {"startedAt": self.at(2), "endedAt": self.at(2 + seconds)}
        self.tell("end-of-call-report", f"end-of-call-report: {reason}", state="ended", endedReason=reason, **times, cost=0.04, analysis=analysis, artifact=artifact)

    def tools(self, documented=False):
        """Two shapes are about: the documentation's and the libraries'."""
        arguments = {"customer": {"name": "Zoë"}, "text": SAID}
        calls = [{"id": "call_" + secrets.token_hex(6), "name": "invoice", "parameters": arguments}]
        if not documented:
            calls = [{"id": call["id"], "type": "function", "function": {"name": "invoice", "arguments": arguments}} for call in calls]
        shape = "documentation" if documented else "libraries"
        self.tell("tool-calls", f"tool-calls, as the {shape} have them", toolCallList=calls, toolCalls=calls)

    def no_call(self, kind, **more):
        """A message that names no call: it is forwarded and pins nothing."""
        home, self.home = self.home, "legacy"
        if not self.house:
            self.home = None
        body = json.dumps({"message": {"type": kind, "timestamp": int(time.time() * 1000), **more}}).encode()
        self.event(f"{kind}, which names no call", body)
        self.home = home


def put_through(line, house, tenant="acme", to=None):
    """An assistant is asked for, works, and hands the call over."""
    call = Vapi(line, house, tenant, "the assistant helps, then hands the caller over", to=to)
    given = call.tell("assistant-request", state="ringing")
    servers(call, given)
    call.is_pinned()
    call.status("in-progress")
    call.forge(call.webhook("status-update: ended", call.message("status-update", "ended", status="ended", endedReason="assistant-request-failed")))
    call.tell("assistant.started")
    call.tell("speech-update", status="started", role="assistant", turn=0)
    call.is_private(SAID, "apricot")
    call.tell("speech-update", status="stopped", role="user", turn=1)
    call.tell("transcript", role="user", transcriptType="final", transcript=SAID)
    call.tell("conversation-update", messages=[{"role": "user", "message": SAID}])
    call.tools()
    call.tools(documented=True)
    call.tell("hang")
    call.tell("user-interrupted")
    call.tell("mood-update", "a message that nobody knows yet", mood="calm")
    call.no_call("conversation-update", messages=[{"role": "user", "message": SAID}])
    call.no_call("chat.created", chat={"id": "chat_7", "orgId": ORGANISATION})
    call.tell("transfer-destination-request")
    call.status("forwarding", destination={"type": "number", "number": "+17755550129"})
    call.ended("assistant-forwarded-call")
    call.is_over("transferred")
    call.report("assistant-forwarded-call", 48)


def servers(call, given):
    """Wherever the assistant's own messages would go must be Switchback."""
    def urls(value, name=None):
        if isinstance(value, dict):
            for key, member in value.items():
                if key != "metadata":
                    yield from urls(member, key)
        elif isinstance(value, list):
            for member in value:
                yield from urls(member)
        elif name == "url":
            yield value

    for url in urls(json.loads(given.body)):
        if call.house and not call.line.leads(url, call.line.path):
            raise Unexpected("the assistant's server", "at the public URL", url, given.curl)


def others(line, house):
    """Every other way a call can end."""
    call = Vapi(line, house, "birch", "the caller says nothing and hangs up; a report follows")
    servers(call, call.tell("assistant-request", state="ringing"))
    call.is_pinned()
    call.status("in-progress")
    call.ended("customer-ended-call")
    call.report("customer-ended-call", 17, said=())
    call.is_over("abandoned")

    call = Vapi(line, house, "acme", "the caller was helped and hangs up; only the report knows")
    call.tell("assistant-request", state="ringing")
    call.status("in-progress")
    call.ended("customer-ended-call")
    call.report("customer-ended-call", 51, success="true")
    call.is_over("served")

    call = Vapi(line, house, "birch", "the assistant says goodbye; nothing asked for it first")
    call.status("in-progress")
    call.is_pinned()
    call.tell("speech-update", status="started", role="assistant")
    call.ended("assistant-said-end-call-phrase")
    call.is_over("served")
    call.report("assistant-said-end-call-phrase", 22, success="true")

    call = Vapi(line, house, "acme", "the caller hangs up at once")
    call.tell("assistant-request", state="ringing")
    call.ended("customer-ended-call")
    call.report("customer-ended-call", 2, said=())
    call.is_over("short")

    call = Vapi(line, house, "acme", "the application answers with an error", name="closed")
    call.tell("assistant-request", "assistant-request, out of hours", state="ringing")
    house.flaws[call.home, "says-error"] += 1
    call.ended("assistant-request-returned-error")
    call.is_over("failed")

    call = Vapi(line, house, "birch", "Vapi's own machines fail")
    call.tell("assistant-request", state="ringing")
    call.status("in-progress")
    call.ended("call.in-progress.error-vapifault-worker-died")
    call.is_over("failed-provider")
    call.report("call.in-progress.error-vapifault-worker-died", 9)

    call = Vapi(line, house, "acme", "the carrier says that it is over, not by whom")
    call.status("in-progress")
    call.ended("call.in-progress.sip-completed-call")
    call.is_over("unknown")

    call = Vapi(line, house, "birch", "the report comes before the last status")
    call.tell("assistant-request", state="ringing")
    call.status("in-progress")
    call.report("customer-ended-call", 33)
    call.is_over("abandoned")
    call.ended("customer-ended-call")

    # At the other tenant's number: what its assistant is marked with goes first.
    call = Vapi(line, house, "birch", "the tenant stands in the assistant's metadata", home="new")
    call.status("in-progress", assistant={"metadata": {"tenant": BRANDS["acme"]}})
    call.is_pinned()
    call.ended("assistant-ended-call")
    call.is_over("served")


def signed(line, house):
    """The same with Vapi's HMAC in place of the shared secret."""
    call = Vapi(line, house, "birch", "signed by HMAC, and the assistant ends the call")
    request = call.message("assistant-request", "ringing")
    call.event("assistant-request", request)
    call.is_pinned()
    call.forge(call.webhook("status-update: ended", call.message("status-update", "ended", status="ended", endedReason="customer-ended-call")))
    call.ended("assistant-ended-call")
    call.is_over("served")
    call.report("assistant-ended-call", 12)
