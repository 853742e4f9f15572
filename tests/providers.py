"""What providers send, how they sign it, and what their own libraries say to it.

Needs the packages `twilio` and `telnyx[webhooks]`; `tests/run.sh` puts them into an
environment of their own. The libraries are the judges here: what they take must
be taken, and what they refuse must be refused.
"""

import base64
import dataclasses
import hashlib
import hmac
import itertools
import json
import time
import urllib.parse
import uuid

import nacl.exceptions
import nacl.signing
from telnyx.lib.webhook_verification import WebhookVerificationError, verify_webhook_signature
from twilio.request_validator import RequestValidator, get_signature_algorithm

PUBLIC = "https://voice.example.com"
HOST = PUBLIC.removeprefix("https://")
FORM = "application/x-www-form-urlencoded"

TOKEN = "73c0ffee5eedb0d1e5ab1e0ddba11ad5"
VALIDATOR = RequestValidator(TOKEN)
KEY = nacl.signing.SigningKey(hashlib.sha256(b"a key of this test").digest())
PUBLIC_KEY = base64.b64encode(bytes(KEY.verify_key)).decode()
STRANGER = nacl.signing.SigningKey(hashlib.sha256(b"another key").digest())
VAPI_SECRET = "a-secret-shared-with-vapi-0123"


@dataclasses.dataclass
class Webhook:
    """One request as a provider sends it; `headers` lack Host and Content-Length."""

    method: str
    target: str
    headers: list
    body: bytes = b""
    call: str = ""
    judge: object = None

    def raw(self, number):
        """The bytes for the wire; backends know it again by its number."""
        lines = [f"{self.method} {self.target} HTTP/1.1", f"Host: {HOST}", f"X-Number: {number}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.body or self.method != "GET":
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode() + self.body

    def is_genuine(self, base=PUBLIC):
        """What the provider's own library says, for the URL that begins with `base`."""
        return self.judge(base + self.target, self.method, header_map(self.headers), self.body)

    def but(self, **changes):
        return dataclasses.replace(self, **changes)

    def with_header(self, name, value):
        """The same with that header instead; None takes it away."""
        kept = [(other, old) for other, old in self.headers if other.lower() != name.lower()]
        return self.but(headers=kept if value is None else [*kept, (name, value)])

    def header(self, name):
        return header_map(self.headers).get(name.lower())


def header_map(headers):
    return {name.lower(): value for name, value in headers}


class Fields:
    """A form as web frameworks hand it to the library: every value of every name."""

    def __init__(self, body):
        self.values = {}
        for name, value in urllib.parse.parse_qsl(body.decode(), keep_blank_values=True):
            self.values.setdefault(name, []).append(value)

    def __iter__(self):
        return iter(self.values)

    def __len__(self):
        return len(self.values)

    def getlist(self, name):
        return self.values[name]


# -- Twilio -------------------------------------------------------------------


def twilio_params(method, headers, body):
    """The library is given a form's fields, or any other body as text."""
    if method == "GET" or not body:
        return {}
    is_form = headers.get("content-type", "").lower().split(";")[0].strip() == FORM
    return Fields(body) if is_form else body.decode()


def twilio_says(url, method, headers, body):
    signature = headers.get("x-twilio-signature")
    algorithm = get_signature_algorithm(headers.get("x-twilio-webhooks-signature-settings"))
    try:
        return signature is not None and VALIDATOR.validate(url, twilio_params(method, headers, body), signature, algorithm)
    except (TypeError, UnicodeDecodeError):
        # Neither a form nor named by bodySHA256, or no text: the library cannot say.
        return False


def twilio_signed(webhook, base=PUBLIC, validator=VALIDATOR):
    """Signed as the library computes it, for the URL that begins with `base`."""
    headers = header_map(webhook.headers)
    params = twilio_params(webhook.method, headers, webhook.body)
    algorithm = get_signature_algorithm(headers.get("x-twilio-webhooks-signature-settings"))
    signature = validator.compute_signature(base + webhook.target, {} if isinstance(params, str) else params, algorithm)
    return webhook.with_header("X-Twilio-Signature", signature).but(judge=twilio_says)


def twilio_voice(path, call, to="+13125550100", status="ringing", **more):
    form = {"CallSid": call, "AccountSid": "AC" + "5" * 32, "From": "+14155550142", "To": to, "CallStatus": status, "Direction": "inbound", **more}
    headers = [("User-Agent", "TwilioProxy/1.1"), ("Content-Type", FORM)]
    return twilio_signed(Webhook("POST", path, headers, urllib.parse.urlencode(form).encode(), call))


# -- Telnyx -------------------------------------------------------------------


def telnyx_says(_url, _method, headers, body):
    try:
        body.decode()
    except UnicodeDecodeError:
        return key_says(headers, body)
    try:
        verify_webhook_signature(body, headers, PUBLIC_KEY)
        return True
    except WebhookVerificationError:
        return False


def key_says(headers, body):
    """The library reads bodies as text. For other bytes: what it does underneath."""
    signature, stamp = headers.get("telnyx-signature-ed25519"), headers.get("telnyx-timestamp")
    try:
        KEY.verify_key.verify(stamp.encode() + b"|" + body, base64.b64decode(signature, validate=True))
        return abs(time.time() - int(stamp)) <= 300
    except (nacl.exceptions.BadSignatureError, ValueError, AttributeError, TypeError):
        return False


def telnyx_signed(webhook, age=0, key=KEY):
    """Signed `age` seconds ago."""
    stamp = str(int(time.time()) - age)
    signature = base64.b64encode(key.sign(stamp.encode() + b"|" + webhook.body).signature).decode()
    signed = webhook.with_header("Telnyx-Timestamp", stamp).with_header("Telnyx-Signature-Ed25519", signature)
    return signed.but(judge=telnyx_says)


def texml_voice(path, call, to="+13125550100", status="ringing", age=0, **more):
    form = {"CallSid": call, "AccountSid": "0d9b77a2-55f1-4a51-9c3e-2b6a5f1d7c10", "From": "+14155550142", "To": to, "CallStatus": status, **more}
    headers = [("User-Agent", "telnyx-webhooks"), ("Content-Type", FORM)]
    return telnyx_signed(Webhook("POST", path, headers, urllib.parse.urlencode(form).encode(), call), age)


def control_event(path, call, to="+13125550100", kind="call.initiated", event=None, attempt=1, age=0, **more):
    payload = {"call_session_id": call, "call_control_id": "v3:" + call, "connection_id": "1684641123", "from": "+14155550142", "to": to, "direction": "incoming", **more}
    data = {"record_type": "event", "event_type": kind, "id": event or str(uuid.uuid4()), "occurred_at": "2026-11-20T10:30:00.5Z", "payload": payload}
    body = json.dumps({"data": data, "meta": {"attempt": attempt, "delivered_to": PUBLIC + path}}).encode()
    headers = [("User-Agent", "telnyx-webhooks"), ("Content-Type", "application/json")]
    return telnyx_signed(Webhook("POST", path, headers, body, call), age)


# -- Vapi ---------------------------------------------------------------------


def vapi_message(path, call):
    message = {"timestamp": int(time.time() * 1000), "type": "status-update", "status": "in-progress", "call": {"id": call, "type": "inboundPhoneCall"}}
    return Webhook("POST", path, [("Content-Type", "application/json")], json.dumps({"message": message}).encode(), call)


def vapi_signed(webhook, stamp, secret=VAPI_SECRET, prefix="", encode=bytes.hex, algorithm="sha256"):
    code = hmac.digest(secret.encode(), f"{stamp}.".encode() + webhook.body, algorithm)
    return webhook.with_header("X-Timestamp", str(stamp)).with_header("X-Signature", prefix + encode(code))


# -- Anything a provider might send -------------------------------------------

WORDS = ["", "1", "Hello", "SAN FRANCISCO", "a+b c", "sip:ana@example.com", "Zürich", "東京", "🙂 ok", "50%", "a&b=c", "{\"k\":\"v\"}", "<Say/>", "x\ty\r\nz", "'quoted' \"twice\"", "~-._!*()", "\u0000", "é\u0301"]
NAMES = ["Digits", "SpeechResult", "Confidence", "ToCity", "Caller Name", "Größe", "StatusCallbackEvent", "Reason", "ReasonConferenceEnded", "a[]", "CallToken", "SipHeader_X-Tenant", "msg"]
BROKEN = ["%", "%%", "%zz", "%%41", "%4", "100%", "%u00e9"]
QUERIES = ["a=1", "a=%2B1", "b", "b=", "=", "x=%7e", "x=%7E", "q='", "q=%27", "p=%zz", "p=%", "a==b", "a=b=c", "&", "?", "/", "t=12:30", "m=a@b", "l[]=1", "s=a+b", "s=a%20b", "u=%e6%9d%b1", "u=%E6%9D%B1", "r=%ff%fe", "w=!$()*,;", "e=%00", "n=%0d%0a", "d=a.b-c_d~e", "{{From}}", "p=a|b", "c=^\\"]
PATHS = ["", "/a", "/menu/1", "/a%2Fb", "/%e6%9d%b1", "/%E6%9D%B1", "//", "/a;v=1", "/a+b", "/~x", "/a,b", "/@", "/!$&'()*", "/%", "/%zz", "/a:b", "/.hidden", "/trailing/"]


def random_target(chance, root, extra=()):
    """An odd path and query under a route that providers and their libraries agree on."""
    while True:
        parts = [*extra, *chance.choices(QUERIES, k=chance.choice([0, 0, 1, 2, 5]))]
        if chance.random() < 0.05:
            parts.append("long=" + "v" * chance.randrange(100, 4000))
        chance.shuffle(parts)
        target = root + chance.choice(PATHS) + ("?" + "&".join(parts) if parts else "")
        # The library tidies what nobody is given as a URL (a `?` with nothing behind it).
        if urllib.parse.urlparse(PUBLIC + target).geturl() == PUBLIC + target:
            return target


def escaped(chance, text, upper, plus):
    """One of the many ways to write a text in a form."""
    out = []
    for byte in text.encode():
        letter = chr(byte)
        if letter == " " and plus:
            out.append("+")
        elif letter.isascii() and (letter.isalnum() or letter in "-._~*") and chance.random() < 0.97:
            out.append(letter)
        else:
            out.append(f"%{byte:02X}" if upper else f"%{byte:02x}")
    return "".join(out)


def random_form(chance, fields):
    """Fields in any order, some of them twice, escaped in one of many ways."""
    fields = list(fields)
    fields += [(chance.choice(NAMES), chance.choice(WORDS)) for _ in range(chance.randrange(12))]
    fields += [field for field in fields if chance.random() < 0.05]
    fields += [(name, chance.choice(WORDS)) for name, _ in fields[4:] if chance.random() < 0.1]
    if chance.random() < 0.05:
        fields.append(("TranscriptionText", "".join(chance.choices("abc dé東", k=chance.randrange(1000, 20000)))))
    chance.shuffle(fields)
    upper, plus = chance.random() < 0.7, chance.random() < 0.6
    parts = [escaped(chance, name, upper, plus) + "=" + escaped(chance, value, upper, plus) for name, value in fields]
    for oddity in ("bare", "=nameless", "", "odd=" + chance.choice(BROKEN), "raw=" + chance.choice(["東京", "é"])):
        if chance.random() < 0.08:
            parts.insert(chance.randrange(len(parts) + 1), oddity)
    return "&".join(parts).encode()


def random_json(chance, call):
    """JSON as different writers write it."""
    payload = {"call_session_id": call, "call_control_id": "v3:" + call, "to": "+13125550100", "from": "+14155550142", "client_state": None}
    payload |= {chance.choice(NAMES): chance.choice([chance.choice(WORDS), chance.random() * 1e6, True, [1, [2, {}]]]) for _ in range(chance.randrange(8))}
    data = {"record_type": "event", "event_type": chance.choice(["call.initiated", "call.answered", "call.gather.ended", "call.of.tomorrow"]), "id": str(uuid.UUID(int=chance.getrandbits(128)))}
    text = json.dumps({"data": data | {"payload": payload}, "meta": {"attempt": 1}}, ensure_ascii=chance.random() < 0.5, indent=chance.choice([None, None, 2]))
    return text.encode() + chance.choice([b"", b"", b"\n", b" "])


def random_headers(chance, content_type):
    headers = [("User-Agent", chance.choice(["TwilioProxy/1.1", "telnyx-webhooks"])), ("Accept", "*/*")]
    if content_type:
        headers.append((chance.choice(["Content-Type", "content-type"]), content_type))
    if chance.random() < 0.3:
        headers.append(("I-Twilio-Idempotency-Token", str(chance.getrandbits(64))))
    if chance.random() < 0.3:
        headers.append(("X-Odd", chance.choice(["a  b", "a,b", "\"q\"", "k=v; w=\"x\"", "%41"])))
    chance.shuffle(headers)
    return headers


def random_form_type(chance):
    return chance.choice([FORM, FORM, FORM + "; charset=UTF-8", FORM.title()])


def random_twilio(chance, root, base=PUBLIC):
    call = f"CA{chance.getrandbits(128):032x}"
    fields = [("CallSid", call), ("AccountSid", "AC" + "5" * 32), ("To", "+13125550100"), ("CallStatus", chance.choice(["ringing", "in-progress", "completed", "new-word"]))]
    kind = chance.choices(["form", "get", "json"], [60, 25, 15])[0]
    if kind == "get":
        target = random_target(chance, root, [urllib.parse.urlencode([field]) for field in fields])
        webhook = Webhook("GET", target, random_headers(chance, None))
    elif kind == "form":
        webhook = Webhook("POST", random_target(chance, root), random_headers(chance, random_form_type(chance)), random_form(chance, fields))
    else:
        body = random_json(chance, call)
        target = random_target(chance, root, ["bodySHA256=" + hashlib.sha256(body).hexdigest()])
        webhook = Webhook("POST", target, random_headers(chance, chance.choice(["application/json", "application/json; charset=utf-8"])), body)
    if chance.random() < 0.1:
        webhook = webhook.with_header("X-Twilio-Webhooks-Signature-Settings", "key=sk_1,algorithm=HMAC_SHA256")
    # Sometimes Twilio signs the port that stands in no URL.
    return twilio_signed(webhook.but(call=call), base + (":443" if base == PUBLIC and chance.random() < 0.1 else ""))


def random_telnyx(chance, root, is_json):
    call = f"{chance.getrandbits(128):032x}" if is_json else f"v3:{chance.getrandbits(200):050x}"
    fields = [("CallSid", call), ("To", "+13125550100"), ("From", "+14155550142"), ("CallStatus", "ringing")]
    names = [("call_session_id", call), ("to", "+13125550100"), ("event_type", "call.initiated")] if is_json else fields
    kind = chance.choices(["post", "get", "bytes", "empty"], [70, 20, 6, 4])[0]
    content_type = "application/json" if is_json else random_form_type(chance)
    if kind in ("get", "empty"):
        target = random_target(chance, root, [urllib.parse.urlencode([field]) for field in names])
        webhook = Webhook("GET" if kind == "get" else "POST", target, random_headers(chance, None))
    elif kind == "bytes":
        body = chance.randbytes(chance.randrange(1, 3000))
        webhook = Webhook("POST", random_target(chance, root), random_headers(chance, content_type), body)
    else:
        body = random_json(chance, call) if is_json else random_form(chance, fields)
        webhook = Webhook("POST", random_target(chance, root), random_headers(chance, content_type), body)
    return telnyx_signed(webhook.but(call=call), age=chance.randrange(-60, 240))


# -- Anything a forger might send ----------------------------------------------


def forgers(chance, calls, tenants):
    """Forged webhooks without end for these tenants; some speak of `calls` that are running."""
    roots = {"voice": "/voice/a", "texml": "/texml/a", "control": "/control/a"}
    steps = [{"status": "ringing"}, {"status": "in-progress", "Digits": "1"}, {"status": "in-progress", "SpeechResult": ""}, {"status": "completed", "CallbackSource": "call-progress-events", "CallDuration": "1", "HangupSource": "caller"}, {"status": "failed", "CallbackSource": "call-progress-events", "ErrorCode": "11200"}]
    events = ["call.initiated", "call.answered", "call.gather.ended", "call.hangup"]
    for number in itertools.count():
        kind = ("voice", "texml", "control")[number % 3]
        to = chance.choice(tenants)
        running = chance.random() < 0.3
        if kind == "control":
            call = chance.choice(calls[kind]) if running else f"{chance.getrandbits(128):032x}"
            webhook = control_event(roots[kind], call, to, chance.choice(events), hangup_cause="call_rejected", hangup_source="caller")
        else:
            make, name = (twilio_voice, f"CA{chance.getrandbits(128):032x}") if kind == "voice" else (texml_voice, f"v3:{chance.getrandbits(200):050x}")
            call = chance.choice(calls[kind]) if running else name
            webhook = make(roots[kind], call, to, **chance.choice(steps))
        yield forged(chance, webhook, kind)


def forged(chance, webhook, kind):
    """The signature is missing, wrong, another's, stolen, or too old."""
    signature = "X-Twilio-Signature" if kind == "voice" else "Telnyx-Signature-Ed25519"
    noise = base64.b64encode(chance.randbytes(20 if kind == "voice" else 64)).decode()
    ways = {
        "none": lambda: webhook.with_header(signature, None).with_header("Telnyx-Timestamp", None),
        "noise": lambda: webhook.with_header(signature, noise),
        "garbage": lambda: webhook.with_header(signature, chance.choice(["", "AAAA", "=", "none", "0" * 500])),
        "stolen": lambda: stolen(webhook, kind),
        "twice": lambda: webhook.but(headers=[*webhook.headers, (signature, noise)]),
    }
    if kind == "voice":
        ways["another's"] = lambda: twilio_signed(webhook, validator=RequestValidator("0" * 32))
        ways["elsewhere"] = lambda: twilio_signed(webhook, base="https://other.example.com")
    else:
        ways["another's"] = lambda: telnyx_signed(webhook, key=STRANGER)
        ways["old"] = lambda: telnyx_signed(webhook, age=chance.choice([301, 3600, -400]))
        ways["half"] = lambda: webhook.with_header(chance.choice([signature, "Telnyx-Timestamp"]), None)
    return ways[chance.choice(list(ways))]()


def stolen(webhook, kind):
    """Signature and time of a genuine webhook on another body."""
    other = twilio_voice("/voice/a", "CA" + "7" * 32) if kind == "voice" else texml_voice("/texml/a", "v3:stolen")
    for name in ("X-Twilio-Signature", "Telnyx-Timestamp", "Telnyx-Signature-Ed25519"):
        webhook = webhook.with_header(name, other.header(name))
    return webhook


def is_unsigned(webhook):
    return all(webhook.header(name) is None for name in ("x-twilio-signature", "telnyx-timestamp", "telnyx-signature-ed25519"))
