"""Two generations of one voice application, as the backends of the replayed calls.

Their documents name themselves as real ones do, by absolute, scheme-relative and
relative URLs. In a document `{me}`, `{slashes}` and `{socket}` stand where a provider
follows a URL, so Switchback must lead it home; `{stay}` where it must not touch it.
"""

import json
import urllib.parse

from journey.line import FORM, JSON

XML = "application/xml"
AGENT = "+17025550138"
DESK = "+17755550129"
DECLARED = '<?xml version="1.0" encoding="UTF-8"?>\n'


class App:
    """Answers one backend's webhooks and keeps what came, to the byte."""

    def __init__(self, name, seldom):
        # `seldom`: the other success statuses, which an event may be answered with.
        self.name, self.seldom = name, seldom
        self.own = None
        self.seen = []

    def is_known_as(self, own):
        """What it calls itself, as `scheme://authority`."""
        self.own = own

    def __call__(self, request):
        status, kind, template = self.reply(request)
        self.seen.append((request, status, template))
        return status, kind, fill(template, self.own, self.own).encode()

    def reply(self, request):
        path, _, query = request.target.partition("?")
        route, _, step = path.removeprefix("/").partition("/")
        if route in ("texml", "twilio"):
            form = request.body.decode() if FORM in (request.headers.get("content-type") or "") else ""
            fields = dict(urllib.parse.parse_qsl(form or query, keep_blank_values=True))
            document = menu(route, step, fields)
            if document is not None:
                return 200, XML, document
        elif route in ("vapi", "assistants"):
            answer = assistant(route, json.loads(request.body)["message"], self.name)
            if answer is not None:
                return 200, JSON, json.dumps(answer, ensure_ascii=False)
        return (self.seldom, "text/plain", "") if self.seldom != 200 else (200, XML, "<Response/>")


def fill(template, followed, kept):
    """A document with its addresses written in."""
    scheme, _, authority = followed.partition("://")
    socket = {"http": "ws", "https": "wss"}[scheme]
    for mark, value in (("{me}", followed), ("{slashes}", f"//{authority}"), ("{socket}", f"{socket}://{authority}"), ("{stay}", kept)):
        template = template.replace(mark, value)
    return template


def menu(route, step, fields):
    """A TeXML or TwiML document; None: the webhook is an event."""
    here = "{me}/" + route
    if step == "welcome":
        # Telnyx fills in the braces; nobody else may.
        call = "&amp;call={{CallSid}}" if route == "texml" else ""
        stream = '  <Start><Stream url="{socket}/texml/media" statusCallback="stream"/></Start>\n' if route == "texml" else ""
        return f"""{DECLARED}<!-- {{stay}}/{route}/welcome said so -->
<Response>
{stream}  <Gather action="menu?step=1{call}" numDigits="1" timeout="5">
    <Say voice="alice">For your bill, press 1. All of it is on {{stay}}/{route}/page.</Say>
    <Play>{{stay}}/static/hello.mp3</Play>
  </Gather>
  <Redirect method="POST">{here}/welcome?again=1&amp;x=2</Redirect>
</Response>"""
    if step == "menu":
        return DECLARED + f"<Response>{chosen(route, here, fields.get('Digits', ''))}</Response>"
    if step == "speech":
        if not fields.get("SpeechResult"):
            return f"<Response><Say>Once more, please.</Say>{listen(here)}</Response>"
        return f"""<Response><Dial action='{here}/agent?from=speech&amp;n=1' record="record-from-answer" recordingStatusCallback="{{slashes}}/{route}/recorded">
<Number url="whisper" statusCallback="{here}/leg" statusCallbackEvent="initiated answered completed">{AGENT}</Number></Dial></Response>"""
    if step == "agent":
        if fields.get("DialCallStatus") == "completed":
            return "<Response><Say>Goodbye.</Say><Hangup/></Response>"
        return f"<Response><Redirect><![CDATA[{here}/welcome?again=2&x=3]]></Redirect></Response>"
    return {
        "account": f"<Response><Say>That was it.</Say>{listen(here)}</Response>",
        "balance": "<Response><Say>You owe nothing.</Say><Pause length='30'/></Response>",
        "hold": "<Response><Play>{stay}/static/jazz.mp3</Play></Response>",
        "left": "<Response><Hangup/></Response>",
        "message": "<Response><Say>Thank you.</Say></Response>",
        "whisper": "<Response><Say>A caller for you.</Say></Response>",
    }.get(step)


def chosen(route, here, digits):
    """What follows a key."""
    return {
        "1": listen(here),
        "2": f"<Redirect>{here}/balance</Redirect>",
        "3": f'<Enqueue action="{here}/left" waitUrl="hold?m=jazz&amp;v=5" waitUrlMethod="GET">desk</Enqueue>',
        "4": f'<Say>Your account number.</Say><Gather action="{here}/account" finishOnKey="#"/>',
        "5": f'<Record action="message" recordingStatusCallback="{here}/recorded" maxLength="30"/>',
        "8": '<Pause length="60"/>',
        "9": "<Say>Goodbye.</Say><Hangup/>",
    }.get(digits, f"<Redirect>/{route}/welcome</Redirect>")


def listen(here):
    return f'<Gather input="speech" action="{here}/speech" partialResultCallback="partial"><Say>What is it about?</Say></Gather>'


def assistant(route, message, name):
    """An answer to Vapi; None: the message asks for nothing."""
    here = "{me}/" + route
    kind = message["type"]
    if kind == "assistant-request":
        if message["phoneNumber"]["name"] == "closed":
            return {"error": "Nobody is here at this hour."}
        if name == "legacy":
            return {"assistantId": "5b1de9f0-7a52-4bd1-9d31-2a3f0c77e0aa", "assistantOverrides": {"server": {"url": here}}}
        tool = {"type": "function", "function": {"name": "invoice"}, "server": {"url": here + "/tools?of=invoice"}}
        return {
            "assistant": {
                "firstMessage": "Hello, this is {stay}/" + route,
                "server": {"url": here, "timeoutSeconds": 20},
                "model": {"provider": "openai", "model": "gpt-4o", "tools": [tool]},
                "metadata": {"server": {"url": "{stay}/" + route}},
            }
        }
    if kind == "tool-calls":
        return {"results": [{"toolCallId": call["id"], "result": "due on the first of the month"} for call in message["toolCallList"]]}
    if kind == "transfer-destination-request":
        return {"destination": {"type": "number", "number": DESK, "message": "One moment."}}
    return None
