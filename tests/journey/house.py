"""A Switchback with two backends behind four providers, watched from outside only."""

import base64
import collections
import json
import os
import re
import secrets
import subprocess
import time
import urllib.parse

from journey import sign
from journey.apps import AGENT, DESK, App, fill
from journey.line import Line, Unexpected, expect
from lab import Lab, binary

PUBLIC = "https://voice.example.com"
NEW = "https://ivr-new.example.com"
# Whose calls go where; each tenant has a number, a Call Control application, a number's
# id at Vapi, and a name in its assistants' metadata.
TENANTS = {"acme": "new", "birch": "legacy"}
NUMBERS = {"acme": "+12025550171", "birch": "+13035550182"}
APPLICATIONS = {"acme": "2094418830517700", "birch": "2094418830517711"}
LINES = {"acme": "d41f7a52-0f6e-4b0f-9f0a-7a2c5be81d33", "birch": "d41f7a52-0f6e-4b0f-9f0a-7a2c5be81d44"}
BRANDS = {"acme": "orchard-east", "birch": "orchard-west"}
REFUSED = ("rejected", "absent")


class House:
    """Starts it, and knows what must have come of every webhook."""

    def __init__(self, show):
        self.show = show
        self.apps = {"legacy": App("legacy", 200), "new": App("new", 204)}
        self.lab = Lab(answers=self.apps, config=self.configure)
        self.apps["legacy"].is_known_as(f"http://127.0.0.1:{self.lab.legacy.port}")
        self.apps["new"].is_known_as(NEW)
        # All that may be logged, so that what must not be would show.
        os.environ["RUST_LOG"] = "switchback=trace,info"
        self.lab.start()
        self.private = {AGENT, DESK, *self.secrets}
        # What was done, so what must be counted: by route, and by backend.
        self.found, self.uncounted, self.answered = (collections.Counter() for _ in range(3))
        self.ends, self.choices, self.flaws = (collections.Counter() for _ in range(3))
        self.speech = {"legacy": [], "new": []}

    def configure(self, lab):
        self.telnyx, public_key = sign.Telnyx.throw_away(lab.dir)
        self.secrets = token, shown, signed = [secrets.token_hex(16) for _ in range(3)]
        self.signers = {
            "texml": self.telnyx,
            "calls": self.telnyx,
            "twilio": sign.Twilio(token, PUBLIC),
            "vapi": sign.VapiSecret(shown),
            "assistants": sign.VapiHmac(signed),
        }
        (lab.dir / "twilio.token").write_text(token)
        os.environ["JOURNEYS_VAPI_SECRET"], os.environ["JOURNEYS_VAPI_HMAC"] = shown, signed
        listed = [f"{key},{tenant}" for keys in (NUMBERS, APPLICATIONS, LINES, BRANDS) for tenant, key in keys.items()]
        (lab.dir / "tenants.csv").write_text("\n".join(["key,tenant", *listed, ""]))
        return f"""
[listen]
webhooks = "127.0.0.1:{lab.port}"
admin = "127.0.0.1:{lab.admin_port}"
public_url = "{PUBLIC}"
[state]
dir = "{lab.state}"
on_empty = "file"
[log]
format = "json"
access = "{lab.dir / 'access.log'}"
[backend.legacy]
url = "http://127.0.0.1:{lab.legacy.port}"
[backend.new]
url = "http://127.0.0.1:{lab.new.port}"
names = ["{NEW}"]
[[route]]
path = "/texml"
protocol = "telnyx-texml"
tenant = ["to"]
served = ["/texml/balance"]
verify = {{ mode = "required", public_keys = ["{public_key}"] }}
[[route]]
path = "/calls"
protocol = "telnyx-call-control"
tenant = ["connection", "to"]
timeout = "2s"
verify = {{ mode = "required", public_keys = ["{public_key}"] }}
[[route]]
path = "/vapi"
protocol = "vapi"
tenant = ["metadata.tenant", "phone-number", "to"]
verify = {{ mode = "required", secret = {{ env = "JOURNEYS_VAPI_SECRET" }} }}
[[route]]
path = "/assistants"
protocol = "vapi"
tenant = ["metadata.tenant", "phone-number", "to"]
verify = {{ mode = "required", hmac = {{ secret = {{ env = "JOURNEYS_VAPI_HMAC" }} }} }}
[[route]]
path = "/twilio"
protocol = "twilio"
tenant = ["to"]
served = ["/twilio/balance"]
verify = {{ mode = "required", auth_token = {{ file = "twilio.token" }} }}
[tenants]
file = "tenants.csv"
unlisted = "legacy"
[split]
by = "tenant"
hash = "java31"
enabled = true
percentage = 50
enabled_tenants = ["acme"]
disabled_tenants = ["birch"]
[[reversal]]
measure = "error_rate"
above = "90%"
over = "5m"
action = "reverse"
[[alert]]
name = "speech"
measure = "speech_recognition_rate"
below = "1%"
over = "1h"
calls_min = 1
"""

    def line(self, route):
        """The line that a provider was given for this route."""
        return Line(f"http://127.0.0.1:{self.lab.port}/{route}", PUBLIC, self.signers[route], self.show)

    def repeated(self, route, home):
        """The webhook that came last was delivered before, and counts nowhere."""
        self.uncounted[f"/{route}",] += 1
        self.answered[f"/{route}", home] -= 1

    # -- one webhook ---------------------------------------------------------------

    def arrived(self, route, answer, home, found="verified"):
        """It reached that backend only, unchanged, and its answer was led home, otherwise unchanged."""
        webhook, curl = answer.webhook, answer.curl
        self.found[f"/{route}", found] += 1
        if found == "replayed":
            self.uncounted[f"/{route}",] += 1
        else:
            self.answered[f"/{route}", home] += 1
        self.must(answer.status != 403, webhook.says, "the webhook is taken", answer.told(), curl)
        for name, app in self.apps.items():
            expect(f"{webhook.says}: webhooks that {name} saw", int(name == home), len(app.seen), curl)
        request, status, template = self.apps[home].seen.pop()
        expect(f"{webhook.says}: the method that {home} saw", webhook.method, request.method, curl)
        expect(f"{webhook.says}: the path and query that {home} saw", webhook.target, request.target, curl)
        expect(f"{webhook.says}: the body that {home} saw", webhook.body, request.body, curl)
        for header, value in answer.proof:
            expect(f"{webhook.says}: the {header} that {home} saw", value, request.headers.get(header), curl)
        exact = route in ("texml", "calls") and status < 300
        expect(f"{webhook.says}: the status", 200 if exact else status, answer.status, curl)
        expect(f"{webhook.says}: the answer", fill(template, PUBLIC, self.apps[home].own), answer.body.decode(), curl)

    def must(self, fact, what, expected, came, curl=""):
        if not fact:
            raise Unexpected(what, expected, came, curl)

    def turned_away(self, route, answer, signed):
        """It was refused, and neither backend heard of it."""
        self.found[f"/{route}", REFUSED[not signed]] += 1
        expect(f"{answer.webhook.says}: the status", 403, answer.status, answer.curl)
        for name, app in self.apps.items():
            expect(f"{answer.webhook.says}: webhooks that {name} saw", 0, len(app.seen), answer.curl)

    # -- one call --------------------------------------------------------------------

    def explain(self, call):
        """What `switchback explain` says of a call; None: it knows no such call."""
        admin = f"http://127.0.0.1:{self.lab.admin_port}"
        done = subprocess.run([binary(), "explain", "--admin", admin, "--call", call, "-o", "json"], capture_output=True)
        if done.returncode == 0:
            return json.loads(done.stdout)
        self.must(b"no such call" in done.stderr, "what is known of a call", "an answer", done.stderr.decode())
        return None

    def pinned(self, call, **facts):
        """The call is known, with these facts."""
        told = self.explain(call)
        command = f"switchback explain --call {call} -o json"
        self.must(told is not None, "the call is known", facts, "no such call", command)
        came = {name: told.get(name) for name in facts}
        expect("the pin of the call", facts, came, f"{command}\n  it said: {json.dumps(told)}")

    def ended(self, call, home, outcome):
        """The call ended so, is counted once, and nothing else is counted."""
        self.ends[home, outcome] += 1
        self.counted("switchback_calls_total", ("backend", "outcome"), self.ends, f"the end of {call}: {outcome} on {home}")
        self.pinned(call, backend=home, ended=True)
        self.show.seen(f"{outcome} on {home}: switchback_calls_total{{backend=\"{home}\",outcome=\"{outcome}\"}} {self.ends[home, outcome]}")

    # -- what is counted ---------------------------------------------------------------

    def metrics(self):
        """Every series with its value, labels as a dictionary."""
        page = self.lab.get("/metrics")[1].decode()
        series = re.findall(r"^(\w+)(?:\{(.*)\})? (\S+)$", page, re.MULTILINE)
        return [(name, dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(value)) for name, labels, value in series]

    def values(self, name, labels):
        """A metric's values that are not 0, by these of its labels."""
        found = {}
        for metric, named, value in self.metrics():
            if metric == name and value:
                key = tuple(named[label] for label in labels)
                found[key] = found.get(key, 0) + int(value)
        return found

    def counted(self, name, labels, expected, what):
        """Counting is the engine's, ten times a second, so it is waited for."""
        deadline = time.monotonic() + 5
        expected = {key: count for key, count in expected.items() if count}
        while (came := self.values(name, labels)) != expected and time.monotonic() < deadline:
            time.sleep(0.05)
        expect(f"{what}: {name} by {', '.join(labels)}", expected, came, f"curl http://127.0.0.1:{self.lab.admin_port}/metrics")

    def tally(self):
        """All of what a refused webhook must not move."""
        moving = ("switchback_calls_", "switchback_webhooks_total", "switchback_placements", "switchback_call_table")
        return {(name, *sorted(labels.items())): value for name, labels, value in self.metrics() if name.startswith(moving)}

    def signatures(self):
        """Every webhook's signature was looked at, and found what it was."""
        self.counted("switchback_signatures_total", ("route", "result"), self.found, "the signatures")

    # -- what nobody may read --------------------------------------------------------------

    def is_private(self, *words):
        self.private.update(word for word in words if len(word) > 4)

    def kept_to_itself(self):
        """No number, entry, sentence or secret stands where people or machines read later."""
        status = self.lab.stop()
        expect("how the proxy ended", 0, status)
        readable = [self.lab.dir / "log", self.lab.dir / "access.log", *(path for path in self.lab.state.rglob("*") if path.is_file())]
        texts = {path: path.read_bytes() for path in readable}
        texts["/metrics"] = self.page
        self.must(texts[self.lab.dir / "access.log"], "the access log", "a line for each webhook", "nothing")
        for word in sorted(self.private):
            for spelled in spellings(word):
                for path, text in texts.items():
                    at = text.find(spelled)
                    if at >= 0:
                        around = text[max(0, at - 120):at + 120]
                        raise Unexpected("privacy", f"{spelled!r} nowhere in {path}", around)
        return len(self.private), sum(map(len, texts.values()))

    def close(self):
        """The last look: every count is what was done, and nobody is on the line."""
        begun = collections.Counter()
        for (home, _), count in self.ends.items():
            begun[home,] += count
        refused = sum(count for (_, found), count in self.found.items() if found in REFUSED)
        for what, name, labels, expected in (
            ("all calls", "switchback_calls_begun_total", ["backend"], begun),
            ("calls that are still on", "switchback_calls_active", ["backend"], {}),
            ("all ends", "switchback_calls_total", ["backend", "outcome"], self.ends),
            ("all webhooks", "switchback_webhooks_total", ["route", "backend"], self.answered),
            ("what came twice", "switchback_webhooks_uncounted_total", ["route"], self.uncounted),
            ("what was turned away", "switchback_refused_total", ["status"], {("403",): refused}),
            ("what the callers chose first", "switchback_menu_choices_total", ["backend", "choice"], self.choices),
            ("answers that say an error", "switchback_documents_flawed_total", ["backend", "flaw"], self.flaws),
        ):
            self.counted(name, labels, expected, what)
        rules = {labels["rule"]: value for name, labels, value in self.metrics() if name == "switchback_rule_value"}
        understood = self.speech["new"].count(True) / len(self.speech["new"])
        expect("the share of speech that new understood", round(understood, 9), round(rules["speech"], 9))
        self.page = self.lab.get("/metrics")[1] + self.lab.get("/api/v1/status")[1]
        return refused


def spellings(word):
    """A private word as it might be written down."""
    digits = re.sub(r"\D", "", word)
    ways = {word, urllib.parse.quote(word), urllib.parse.quote_plus(word), base64.b64encode(word.encode()).decode()}
    if len(digits) >= 10:
        # Without its country, too. Fewer digits stand by chance in some timestamp.
        ways |= {digits, digits[-10:]}
    return [way.encode() for way in sorted(ways)]
