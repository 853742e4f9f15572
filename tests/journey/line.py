"""The line to Switchback: each webhook goes in by `curl`, printed so that it can be pasted."""

import dataclasses
import json
import os
import shlex
import subprocess
import sys
import urllib.parse
import xml.etree.ElementTree as xml

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


class Unexpected(Exception):
    """Something came that was not to be expected."""

    def __init__(self, what, expected, came, curl=""):
        lines = [f"FAILED: {what}", f"  expected: {expected}", f"  came:     {came}"]
        if curl:
            lines.append(f"  by: {curl}")
        super().__init__("\n".join(lines))


def expect(what, expected, came, curl=""):
    if came != expected:
        raise Unexpected(what, expected, came, curl)


@dataclasses.dataclass(frozen=True)
class Webhook:
    """One request of a provider."""

    says: str
    target: str
    body: bytes = b""
    method: str = "POST"
    media: str = FORM
    headers: tuple = ()


@dataclasses.dataclass(frozen=True)
class Answer:
    """What Switchback said to it."""

    webhook: Webhook
    proof: list
    curl: str
    status: int
    headers: dict
    body: bytes

    @property
    def backend(self):
        """Who says so of itself; None where nobody does."""
        return self.headers.get("x-backend")

    def told(self):
        """In a few words."""
        words = [str(self.status), self.backend, shortly(self.body)]
        return ", ".join(word for word in words if word)

    def url(self, verb, attribute=None):
        """A URL of the document: an attribute's, or the verb's own text. None: it has none."""
        try:
            found = xml.fromstring(self.body).find(f".//{verb}")
        except xml.ParseError:
            return None
        if found is None:
            return None
        return found.get(attribute) if attribute else (found.text or "").strip()


class Line:
    """Where the webhooks of one provider go in."""

    def __init__(self, base, public, signer, show):
        parts = urllib.parse.urlsplit(base)
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self.path = parts.path.rstrip("/")
        self.public, self.signer, self.show = public.rstrip("/"), signer, show
        self.sent = 0

    def send(self, webhook, proof=None):
        """Posts it; `proof` are the headers that prove it, else the provider's own."""
        if proof is None:
            proof = self.signer.headers(webhook.method, webhook.target, webhook.body)
        options = []
        if webhook.method != "POST":
            options.append(["-X", webhook.method])
        if webhook.body or webhook.method == "POST":
            options += [["-H", f"Content-Type: {webhook.media}"], ["--data-raw", webhook.body.decode()]]
        options += [["-H", f"{name}: {value}"] for name, value in [*webhook.headers, *proof]]
        command = [["curl", "-sS", "-i", "--max-time", "15", self.origin + webhook.target], *options]
        curl = " \\\n    ".join(shlex.join(part) for part in command)
        done = subprocess.run([word for part in command for word in part], capture_output=True)
        if done.returncode:
            raise Unexpected(webhook.says, "an answer", done.stderr.decode().strip(), curl)
        self.sent += 1
        answer = Answer(webhook, proof, curl, *parse(done.stdout))
        self.show.step(answer)
        return answer

    def leads(self, url, document):
        """Where a URL of a document leads, as path and query; None: past Switchback."""
        whole = urllib.parse.urljoin(self.public + document, url)
        for origin in (self.public, self.origin):
            if whole.startswith(origin + "/"):
                return whole.removeprefix(origin)
        return None


def parse(answer):
    """Status, headers by small name, body; interim answers are passed over."""
    while True:
        head, _, answer = answer.partition(b"\r\n\r\n")
        first, *rest = head.decode().split("\r\n")
        status = int(first.split()[1])
        if status >= 200:
            pairs = (line.split(":", 1) for line in rest)
            return status, {name.lower(): value.strip() for name, value in pairs}, answer


def shortly(body):
    text = body.decode(errors="replace").strip()
    if text.startswith("<"):
        try:
            return " ".join(verb(element) for element in xml.fromstring(body)) or "<Response/>"
        except xml.ParseError:
            pass
    if text.startswith("{"):
        try:
            return cut(json.dumps(json.loads(text)))
        except ValueError:
            pass
    return cut(text)


def verb(element):
    """A verb with its URLs."""
    urls = [f" {name}={value}" for name, value in element.items() if name in ("action", "waitUrl")]
    text = f" {element.text.strip()}" if element.tag == "Redirect" and element.text else ""
    return f"<{element.tag}{''.join(urls)}{text}>"


def cut(text):
    return text if len(text) <= 100 else text[:99] + "…"


class Show:
    """Prints what happens: each curl command, or (`brief`) one line for each."""

    def __init__(self, brief=False):
        self.brief = brief
        self.colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def paint(self, colour, text):
        return f"\033[{colour}m{text}\033[0m" if self.colours else text

    def title(self, text):
        print("\n" + self.paint("1", f"== {text}"))

    def step(self, answer):
        colour = "32" if answer.status < 300 else "33" if answer.status == 403 else "31"
        says, told = answer.webhook.says, self.paint(colour, f"→ {answer.told()}")
        if self.brief:
            print(f"  {says} {told}")
        else:
            print(f"\n{self.paint('2', '# ' + says)}\n$ {answer.curl}\n{told}")

    def seen(self, text):
        print(f"  {text}" if self.brief else self.paint("36", f"· {text}"))
