"""Callers of all four protocols, each one call after the other, as their providers
would tell of them: a webhook, what its document says, the next webhook.

A provider that is not answered because a connection died opens another and says it
again; a report that was no success comes again after half a second, up to five times.
"""

import asyncio
import dataclasses
import json
import time
import urllib.parse
import uuid
import xml.etree.ElementTree as tree

# The routes' timeout is 3 s; who has heard nothing after this never will.
PATIENCE = 8.0
REPORTS_AGAIN = 5
FORM, JSON = "application/x-www-form-urlencoded", "application/json"


class Left(Exception):
    """The call is over, for a reason that was judged already."""


@dataclasses.dataclass
class Webhook:
    """One webhook and what came of it."""

    call: str
    step: str
    asked: float = 0.0
    heard: float = 0.0
    status: int = 0
    backend: str | None = None
    what: str = ""
    bridged: bool = False
    body: bytes = b""

    def __str__(self):
        beginning = self.body[:80].decode(errors="replace").replace("\n", " ")
        return (f"{self.step} of {self.call}: {self.status} from {self.backend or 'the proxy itself'} "
                f"after {(self.heard - self.asked) * 1000:.0f} ms: {beginning!r}")


class Gate:
    """Lets webhooks through, or holds them back until all that are on their way are answered."""

    def __init__(self):
        self.open, self.idle = asyncio.Event(), asyncio.Event()
        self.open.set()
        self.idle.set()
        self.on_way = 0
        self.over = False

    async def __aenter__(self):
        await self.open.wait()
        self.on_way += 1
        self.idle.clear()

    async def __aexit__(self, *_):
        self.on_way -= 1
        if not self.on_way:
            self.idle.set()


class Wire:
    """One connection at a time, kept for as long as the proxy likes."""

    def __init__(self, port):
        self.port, self.reader, self.writer = port, None, None

    async def ask(self, target, kind, body):
        """Status, headers, body."""
        if self.writer is None or self.reader.at_eof():
            self.close()
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = f"POST {target} HTTP/1.1\r\nHost: voice.example.com\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        self.writer.write(head.encode() + body)
        raw = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *rest = raw.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in rest if each)}
        status = int(line.split(" ")[1])
        length = headers.get("content-length")
        if length is not None:
            answer = await self.reader.readexactly(int(length))
        elif headers.get("transfer-encoding") == "chunked":
            answer = b""
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                answer += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readexactly(2)
        else:
            answer = b"" if status == 204 else await self.reader.read()
        if headers.get("connection") == "close":
            self.close()
        return status, headers, answer

    def close(self):
        if self.writer:
            self.writer.close()
        self.reader = self.writer = None


class Call:
    """What all protocols have in common."""

    def __init__(self, caller):
        self.caller, self.ledger, self.dice = caller, caller.ledger, caller.dice
        self.id = self.name()
        self.began = time.monotonic()
        # Where it was first answered, and when legacy first answered it.
        self.home, self.legacy_at = None, None
        self.to = f"+1312555{self.dice.randrange(1000):04}"

    def name(self):
        return "v3:" + uuid.UUID(int=self.dice.getrandbits(128)).hex

    async def deliver(self, step, target, kind, body, bridged=False):
        """One webhook until it is answered; the connection is opened again as often as needed."""
        webhook = Webhook(self.id, step, bridged=bridged)
        first = time.monotonic()
        while True:
            webhook.asked = time.monotonic()
            try:
                async with self.caller.gate:
                    webhook.asked = time.monotonic()
                    status, headers, answer = await asyncio.wait_for(self.caller.wire.ask(target, kind, body), PATIENCE)
                    self.ledger.life["answers"] += 1
                break
            except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as error:
                webhook.heard = time.monotonic()
                self.caller.wire.close()
                self.ledger.counts["connections died"] += 1
                if self.caller.gate.over or not self.ledger.lost(webhook, f"no answer ({type(error).__name__})"):
                    raise Left from None
                if time.monotonic() - first > 30:
                    raise Left from None
                await asyncio.sleep(0.1)
        webhook.heard = time.monotonic()
        webhook.status, webhook.body = status, answer
        webhook.backend = headers.get("x-backend")
        self.ledger.counts["webhooks"] += 1
        return webhook

    async def ask(self, step, target, kind, body, judge, bridged=False):
        """A webhook somebody waits for. The judged answer."""
        webhook = await self.deliver(step, target, kind, body, bridged)
        webhook.what = judge(webhook)
        self.ledger.counts["voice"] += 1
        self.ledger.counts[webhook.what] += 1
        self.ledger.life[webhook.what] += 1
        self.ledger.voice(webhook)
        if webhook.what == "moved":
            self.legacy_at = self.legacy_at or webhook.heard
        self.ledger.affinity(self, webhook)
        if webhook.what == "last resort" and not bridged:
            raise Left
        if webhook.what not in ("sound", "moved", "last resort"):
            raise Left
        return webhook

    async def report(self, step, target, kind, body):
        """A webhook nobody waits for."""
        for _ in range(1 + REPORTS_AGAIN):
            webhook = await self.deliver(step, target, kind, body)
            self.ledger.counts["reports"] += 1
            if 200 <= webhook.status < 300:
                self.ledger.affinity(self, webhook)
                return
            self.ledger.event(webhook)
            await asyncio.sleep(0.5)
        self.ledger.counts["reports given up"] += 1

    async def think(self, most=0.15):
        await asyncio.sleep(self.dice.uniform(0.0, most))


class Form(Call):
    """TeXML and TwiML: forms for documents."""

    route = "/texml"

    def form(self, **fields):
        return urllib.parse.urlencode({"AccountSid": "soak", "CallSid": self.id, "From": "+14155550193", "To": self.to, **fields}).encode()

    async def fetch(self, step, bridged=False, **fields):
        target = step if step.startswith("/") else f"{self.route}/{step}"
        return await self.ask(step, target, FORM, self.form(**fields), self.judge, bridged)

    async def status(self, status, number, **fields):
        progress = {"CallStatus": status, "CallbackSource": "call-progress-events", "SequenceNumber": number, "Timestamp": "2026-01-05T10:00:00Z"}
        await self.report(f"status {status}", f"{self.route}/status", FORM, self.form(**progress, **fields))

    @staticmethod
    def judge(webhook):
        if webhook.status != 200:
            return "unsound" if webhook.status < 300 else f"status {webhook.status}"
        try:
            root = tree.fromstring(webhook.body)
        except tree.ParseError:
            return "unsound"
        if root.tag != "Response":
            return "unsound"
        if webhook.backend:
            return "sound"
        redirect = root.find("Redirect")
        return "moved" if redirect is not None and "/entry" in (redirect.text or "") else "last resort"

    async def run(self):
        try:
            if self.dice.random() < 0.5:
                await self.status("initiated", 0)
            webhook = await self.fetch("welcome", CallStatus="ringing", Direction="inbound")
            await self.status("in-progress", 1)
            for _ in range(12):
                await self.think()
                webhook = await self.follow(webhook)
                if webhook is None:
                    break
        finally:
            if not self.caller.gate.over:
                await self.over()

    async def follow(self, webhook):
        """What a provider does with a document. None: it is over."""
        root = tree.fromstring(webhook.body)
        dial, gather, redirect = root.find("Dial"), root.find("Gather"), root.find("Redirect")
        if dial is not None:
            over = {"DialCallStatus": "completed", "DialCallDuration": 9, "DialCallSid": self.name(), "DialBridged": "true"}
            await self.fetch(dial.get("action"), bridged=True, CallStatus="in-progress", **over)
            return None
        if gather is not None and self.dice.random() < 0.9:
            return await self.fetch(gather.get("action"), CallStatus="in-progress", Digits=self.dice.choice("12233"))
        if redirect is not None:
            return await self.fetch(redirect.text, CallStatus="in-progress")
        return None

    async def over(self):
        ids = {"CallControlId": self.id, "CallLegId": uuid.uuid4().hex, "CallSessionId": uuid.uuid4().hex}
        await self.status("completed", 3, **ids, CallDuration=30, HangupCause="normal_clearing", HangupSource=self.dice.choice(("caller", "callee")))


class Texml(Form):
    pass


class Twilio(Form):
    route = "/twilio"

    def name(self):
        return "CA" + uuid.UUID(int=self.dice.getrandbits(128)).hex

    async def over(self):
        await self.status("completed", 3, CallDuration=30, Duration=1)


class Vapi(Call):
    def name(self):
        return str(uuid.UUID(int=self.dice.getrandbits(128)))

    def message(self, kind, state="in-progress", **more):
        call = {"id": self.id, "orgId": "soak", "type": "inboundPhoneCall", "status": state}
        who = {"phoneNumber": {"number": self.to, "provider": "telnyx"}, "customer": {"number": "+14155550155"}}
        return json.dumps({"message": {"timestamp": int(time.time() * 1000), "type": kind, "call": call, **more, **who}}).encode()

    @staticmethod
    def judge(webhook):
        if webhook.status != 200:
            return f"status {webhook.status}"
        try:
            answer = json.loads(webhook.body)
        except ValueError:
            return "unsound"
        if webhook.backend is None:
            return "last resort"
        return "sound" if "assistant" in answer or "results" in answer else "unsound"

    async def tell(self, kind, says=None, **more):
        await self.report(says or kind, "/vapi", JSON, self.message(kind, **more))

    async def run(self):
        try:
            await self.ask("assistant-request", "/vapi", JSON, self.message("assistant-request", "ringing"), self.judge)
            await self.tell("status-update", "status-update in-progress", status="in-progress")
            for turn in range(self.dice.randrange(4)):
                await self.think()
                await self.tell("speech-update", status="stopped", role="user", turn=turn)
                calls = [{"id": f"call_{self.dice.getrandbits(48):x}", "type": "function", "function": {"name": "invoice", "arguments": {}}}]
                try:
                    await self.ask("tool-calls", "/vapi", JSON, self.message("tool-calls", toolCallList=calls, toolCalls=calls), self.judge)
                except Left:
                    if self.caller.gate.over:
                        raise
        finally:
            if not self.caller.gate.over:
                reason = self.dice.choice(("customer-ended-call", "assistant-ended-call"))
                await self.tell("status-update", "status-update ended", state="ended", status="ended", endedReason=reason)
                await self.tell("end-of-call-report", state="ended", endedReason=reason, artifact={"messages": []},
                                startedAt="2026-01-05T10:00:00Z", endedAt="2026-01-05T10:00:30Z")


class CallControl(Call):
    def __init__(self, caller):
        super().__init__(caller)
        self.leg = super().name()

    def name(self):
        return str(uuid.UUID(int=self.dice.getrandbits(128)))

    async def tell(self, kind, **more):
        who = {"call_control_id": self.leg, "call_leg_id": self.id, "call_session_id": self.id}
        payload = {**who, "connection_id": "77", "from": "+14155550166", "to": self.to, **more}
        data = {"record_type": "event", "event_type": kind, "id": str(uuid.UUID(int=self.dice.getrandbits(128))), "occurred_at": "2026-01-05T10:00:00Z", "payload": payload}
        await self.report(kind, "/calls", JSON, json.dumps({"data": data, "meta": {"attempt": 1}}).encode())

    async def run(self):
        await self.tell("call.initiated", direction="incoming", state="parked")
        await self.tell("call.answered", state="answered")
        for _ in range(self.dice.randrange(4)):
            await self.think()
            await self.tell("call.gather.ended", digits="1", status="valid")
        await self.tell("call.hangup", hangup_cause="normal_clearing", hangup_source="caller")


class Caller:
    """Makes one call after the other until the soak is over."""

    def __init__(self, kind, port, gate, ledger, dice):
        self.kind, self.gate, self.ledger, self.dice = kind, gate, ledger, dice
        self.wire = Wire(port)
        # True: after this call he makes no other.
        self.leaves = False

    async def run(self):
        while not (self.gate.over or self.leaves):
            self.ledger.counts["calls"] += 1
            call = self.kind(self)
            self.ledger.began[call.id] = call.began
            try:
                await call.run()
            except Left:
                pass
            await asyncio.sleep(self.dice.uniform(0.0, 0.2))
        self.wire.close()


KINDS = (Texml, Texml, Twilio, Vapi, CallControl)
