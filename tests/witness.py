"""Backends that keep what they receive, and a provider's end of the line.

Both ends are plain sockets: what is compared to the byte must not pass through a
library that tidies it.
"""

import collections
import contextlib
import json
import queue
import socket
import threading
import time
import urllib.parse

import providers as p
from lab import SOUND, Lab, check

# How many connections webhooks come over.
LINES = 6
# Tenants whose side is certain.
TO_NEW, TO_LEGACY = "+13125550111", "+13125550122"


class Wire:
    """HTTP/1.1 over one connection, either end, nothing interpreted."""

    def __init__(self, link):
        self.link, self.rest = link, b""
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read(self):
        """First line, headers and body of one message; None at the end."""
        while b"\r\n\r\n" not in self.rest:
            if not self.more():
                return None
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = [(name.lower(), value.strip()) for name, value in (line.split(":", 1) for line in lines)]
        length = int(dict(headers).get("content-length", 0))
        while len(self.rest) < length:
            if not self.more():
                return None
        body, self.rest = self.rest[:length], self.rest[length:]
        return first, headers, body

    def more(self):
        piece = self.link.recv(65536)
        self.rest += piece
        return bool(piece)


class Witness:
    """A backend that keeps what it receives, to the byte, and asks the libraries.

    What they refuse is answered with 500. `base` is how its own URLs begin where
    webhooks are signed anew for it; else it goes by X-Forwarded-*, as a backend
    behind a proxy does.
    """

    def __init__(self, name):
        self.name, self.base, self.failing, self.document = name, None, False, SOUND
        self.seen = collections.defaultdict(list)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            link, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=[link], daemon=True).start()

    def serve(self, link):
        wire = Wire(link)
        with contextlib.suppress(OSError), link:
            while received := wire.read():
                status, kind, answer = self.answer(*received)
                head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nX-Backend: {self.name}\r\nContent-Length: {len(answer)}\r\n\r\n"
                link.sendall(head.encode() + answer)

    def answer(self, first, headers, body):
        method, target, _ = first.split(" ")
        said = dict(headers)
        base = self.base or f"{said.get('x-forwarded-proto')}://{said.get('x-forwarded-host')}"
        judge = {"voice": p.twilio_says, "texml": p.telnyx_says, "control": p.telnyx_says}.get(target.split("?")[0].split("/")[1])
        verdict = judge(base + target, method, said, body) if judge else True
        self.seen[said.get("x-number")].append((method, target, headers, body, verdict))
        if self.failing or not verdict:
            return 500, "text/plain", b"broken"
        return (200, "application/json", b"{}") if target.startswith(("/control", "/vapi")) else (200, "application/xml", self.document)


# What a backend says is what its sender gets: whom it believes is all that is asked here.
PLAIN = 'rescue = "off"\nlast_resort = "off"\n'


def proxy(routes, *, host="public", rules=""):
    """A lab whose backends are witnesses; gives lab and witnesses."""
    lab = Lab()
    legacy, new = Witness("legacy"), Witness("new")
    (lab.dir / "token").write_text(p.TOKEN)
    (lab.dir / "vapi").write_text(p.VAPI_SECRET)
    lines = "".join(f'[[route]]\npath = "{path}"\nprotocol = "{protocol}"\ntenant = ["to"]\n{PLAIN}verify = {{ {verify} }}\n' + "".join(more) for path, protocol, verify, *more in routes)
    lab.config.write_text(f"""
[listen]
webhooks = "127.0.0.1:{lab.port}"
admin = "127.0.0.1:{lab.admin_port}"
public_url = "{p.PUBLIC}"
token_secret = {{ file = "token" }}
[state]
dir = "{lab.state}"
on_empty = "file"
[backend.legacy]
url = "http://127.0.0.1:{legacy.port}"
host = "{host}"
[backend.new]
url = "http://127.0.0.1:{new.port}"
host = "{host}"
breaker = "off"
{lines}
[split]
by = "tenant"
hash = "java31"
enabled = true
percentage = 50
enabled_tenants = ["{TO_NEW}"]
disabled_tenants = ["{TO_LEGACY}"]
{rules}
""")
    lab.start()
    # A share is on disk before it is in force, so it may follow the open door by a moment.
    tenant = "/api/v1/explain?tenant=" + urllib.parse.quote(TO_NEW)
    check(lab.until(lambda: json.loads(lab.get(tenant)[1])["backend"] == "new"), "the file's lists are in force")
    return lab, legacy, new


def telnyx(mode):
    return f'mode = "{mode}", public_keys = ["{p.PUBLIC_KEY}"]'


def twilio(mode, more=""):
    return f'mode = "{mode}", auth_token = {{ file = "token" }}{more}'


class Sender:
    """One connection to the proxy, kept as long as the proxy keeps it."""

    def __init__(self, lab):
        self.lab, self.wire, self.body = lab, None, b""

    def send(self, webhook, number):
        """Gives the status, and the backend that answered if any."""
        if self.wire is None:
            self.wire = Wire(socket.create_connection(("127.0.0.1", self.lab.port), timeout=15))
        self.wire.link.sendall(webhook.raw(number))
        received = self.wire.read()
        check(received, f"no answer to {shown(webhook)}")
        first, headers, self.body = received
        said = dict(headers)
        if said.get("connection") == "close":
            self.wire = None
        return int(first.split(" ")[1]), said.get("x-backend")


def send(lab, webhook, number="one"):
    return Sender(lab).send(webhook, number)


def send_all(lab, webhooks):
    """Sends them over a few connections; gives number, webhook, status and backend of each."""
    jobs, done, failed = queue.SimpleQueue(), [], []
    for number, webhook in enumerate(webhooks):
        jobs.put((str(number), webhook))

    def work():
        sender = Sender(lab)
        try:
            while not failed:
                number, webhook = jobs.get_nowait()
                done.append((number, webhook, *sender.send(webhook, number)))
        except queue.Empty:
            pass
        except (OSError, SystemExit) as trouble:
            failed.append(f"{trouble} at {shown(webhook)}")

    threads = [threading.Thread(target=work) for _ in range(LINES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(not failed, failed)
    return done


def shown(webhook):
    return f"\n{webhook.raw('x').decode(errors='backslashreplace')[:3000]}"


def found(lab, result, route=None):
    labels = {"result": result} | ({"route": route} if route else {})
    return lab.counted("switchback_signatures_total", **labels)


def counts(lab, **expected):
    """So many of each finding, no more and no less."""
    now = lambda: {result: found(lab, result) for result in expected}
    lab.until(lambda: now() == expected, 5)
    time.sleep(0.3)
    check(now() == expected, f"found {now()}, not {expected}")
