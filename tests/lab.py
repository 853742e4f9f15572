"""A proxy under test with two backends, for the scripts in this directory.

Standard library only. Every port is free when asked for, every file lies in a
temporary directory, and nothing leaves this machine.
"""

import atexit
import collections
import contextlib
import http.client
import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOUND = b'<?xml version="1.0" encoding="UTF-8"?><Response><Gather action="/ivr/menu"><Say>Hello</Say></Gather></Response>'


def binary():
    """The release binary: SWITCHBACK_BIN, or what `cargo build --release` made."""
    named = os.environ.get("SWITCHBACK_BIN")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    path = pathlib.Path(named) if named else target / "release" / "switchback"
    if not path.exists():
        sys.exit(f"{path} is not there: cargo build --release")
    return str(path)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# What a backend received, to the byte.
Request = collections.namedtuple("Request", "method target headers body")


class Backend:
    """Answers every webhook with a sound document, or with 500 while `failing`.

    `answer`, if given, takes a `Request` and returns status, content type and body.
    """

    def __init__(self, name, answer=None):
        self.name, self.failing, self.hits, self.calls = name, False, 0, {}
        lab, answer = self, answer or self.menu

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body in one packet.
            wbufsize = -1

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                lab.hits += 1
                status, kind, document = answer(Request(self.command, self.path, self.headers, body))
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("X-Backend", lab.name)
                if status != 204:
                    self.send_header("Content-Length", str(len(document)))
                self.end_headers()
                self.wfile.write(document)

            do_GET = do_POST

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, request, address):
                # A proxy that was killed hangs up in the middle of things.
                if not isinstance(sys.exc_info()[1], ConnectionError):
                    super().handle_error(request, address)

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def menu(self, request):
        call = urllib.parse.parse_qs(request.body.decode()).get("CallSid", [""])[0]
        self.calls.setdefault(call, time.monotonic())
        return (500, "application/xml", b"broken") if self.failing else (200, "application/xml", SOUND)


class Lab:
    """Two backends, a state directory and a proxy that can be killed and restarted.

    `answers` makes a backend's `answer` from its name; `config`, given the lab,
    writes the whole configuration in place of ours.
    """

    def __init__(self, rules=None, state=None, percentage=50, extra="", answers=None, config=None):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="switchback-lab-"))
        self.state = pathlib.Path(state) if state else self.dir / "state"
        answers = answers or {}
        self.legacy, self.new = (Backend(name, answers.get(name)) for name in ("legacy", "new"))
        self.port, self.admin_port = free_port(), free_port()
        self.process, self.number = None, 0
        atexit.register(self.leave)
        self.log = open(self.dir / "log", "ab")
        self.config = self.dir / "switchback.toml"
        if config:
            self.config.write_text(config(self))
            return
        rules = rules or '[[reversal]]\nname = "errors"\nmeasure = "error_rate"\nabove = "10%"\nover = "10s"\naction = "reverse"\n'
        self.config.write_text(f"""
[listen]
webhooks = "127.0.0.1:{self.port}"
admin = "127.0.0.1:{self.admin_port}"
[state]
dir = "{self.state}"
on_empty = "file"
[backend.legacy]
url = "http://127.0.0.1:{self.legacy.port}"
[backend.new]
url = "http://127.0.0.1:{self.new.port}"
[[route]]
path = "/ivr"
protocol = "telnyx-texml"
tenant = ["to"]
[split]
by = "call"
hash = "xxh3"
salt = "lab"
enabled = true
percentage = {percentage}
{rules}
{extra}
""")

    def start(self, wrap=()):
        command = [*wrap, binary(), "run", "--config", str(self.config)]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, cwd=self.dir, start_new_session=True)
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the proxy ended with {self.process.returncode}:\n{self.tail()}")
            with contextlib.suppress(OSError):
                if self.get("/readyz")[0] == 200:
                    return self
            time.sleep(0.02)
        raise RuntimeError("the proxy was not ready within 15 s:\n" + self.tail())

    def tail(self):
        self.log.flush()
        return (self.dir / "log").read_text(errors="replace")[-4000:]

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def leave(self):
        """Nothing of a lab outlives its script, however it ends."""
        if self.process and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def stop(self):
        self.process.terminate()
        return self.process.wait(45)

    def request(self, method, path, body=None, headers=None, port=None):
        link = http.client.HTTPConnection("127.0.0.1", port or self.admin_port, timeout=10)
        try:
            link.request(method, path, body, headers or {})
            answer = link.getresponse()
            return answer.status, answer.read(), dict(answer.getheaders())
        finally:
            link.close()

    def get(self, path):
        status, body, _ = self.request("GET", path)
        return status, body

    def status(self):
        return json.loads(self.get("/api/v1/status")[1])

    def counted(self, name, **labels):
        """The sum of a metric's series that carry these labels."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        lines = self.get("/metrics")[1].decode().splitlines()
        ours = [line for line in lines if line.split("{")[0].split(" ")[0] == name and all(label in line for label in wanted)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in ours)

    def order(self, path, **what):
        what.setdefault("reason", "a test")
        status, body, _ = self.request("POST", path, json.dumps(what), {"content-type": "application/json"})
        return status, json.loads(body or b"{}")

    def call(self, sid=None, path="/ivr/welcome", extra="&CallStatus=ringing", link=None):
        """One webhook; gives the status and the backend that answered."""
        if sid is None:
            self.number += 1
            sid = f"v3:lab{os.getpid()}-{self.number}"
        form = f"CallSid={urllib.parse.quote(sid, safe='')}&From=%2B14155550142&To=%2B13125550100{extra}"
        own = link or http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            own.request("POST", path, form, {"content-type": "application/x-www-form-urlencoded"})
            answer = own.getresponse()
            answer.read()
            return answer.status, answer.headers.get("X-Backend")
        finally:
            if link is None:
                own.close()

    def until(self, what, seconds=10.0):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if what():
                return True
            time.sleep(0.02)
        return False


def check(fact, story):
    """A sentence that must be true."""
    if not fact:
        sys.exit(f"FAILED: {story}")
