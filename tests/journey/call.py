"""One caller's way through the webhooks of a provider."""

import time
import urllib.parse

from journey.house import TENANTS
from journey.line import JSON, Unexpected, Webhook, expect


class Call:
    """Posts a call's webhooks and checks that each goes where the call is.

    With a `house` everything is checked that can be seen from outside; without one, at
    a Switchback that runs elsewhere, the statuses and that no answer names another backend.
    """

    def __init__(self, line, house, tenant, title, home=None):
        self.line, self.house, self.tenant = line, house, tenant
        self.route = line.path.lstrip("/")
        self.home = home or TENANTS[tenant] if house else None
        self.chose = False
        where = f" ({tenant}, {'but' if home else 'so'} on {self.home})" if house else ""
        line.show.title(f"{self.provider}: {title}{where}")

    def give(self, webhook):
        """One webhook, as the provider sends it."""
        answer = self.line.send(webhook)
        if self.house:
            self.house.arrived(self.route, answer, self.home)
            return answer
        if not 200 <= answer.status < 300:
            raise Unexpected(webhook.says, "a success", answer.told(), answer.curl)
        if answer.backend:
            self.home = self.home or answer.backend
            expect(f"{webhook.says}: the backend", self.home, answer.backend, answer.curl)
        return answer

    def post(self, says, step, body, **more):
        """A POST to a step below the route, or to a whole target."""
        return self.give(Webhook(says, self.target(step), body, **more))

    def target(self, step):
        return step if step.startswith("/") or not step else f"{self.line.path}/{step}"

    def again(self, webhook):
        """The very same bytes twice, signature and all: the second is forwarded and counts nowhere."""
        if not self.house:
            return
        proof = self.line.signer.headers(webhook.method, webhook.target, webhook.body)
        for found in ("verified", "replayed"):
            self.house.arrived(self.route, self.line.send(webhook, proof), self.home, found)

    def presses(self, keys):
        """The first single key of a call is its choice; longer entries may be anything."""
        if self.house and not self.chose and len(keys) == 1:
            self.chose = True
            self.house.choices[self.home, keys] += 1

    def speaks(self, *understood):
        """Speech came with it, and was understood or was not."""
        if self.house:
            self.house.speech[self.home] += understood

    def follow(self, answer, verb, attribute=None, default=None):
        """Where a document leads, which must be Switchback again."""
        url = answer.url(verb, attribute)
        target = url and self.line.leads(url.replace("{{CallSid}}", urllib.parse.quote(self.id, safe="")), answer.webhook.target)
        if target:
            return target
        if self.house:
            raise Unexpected(f"{answer.webhook.says}: where <{verb}> leads", "to the public URL", url, answer.curl)
        return self.target(default)

    def forge(self, webhook):
        """Wrong copies of it are turned away and move nothing."""
        if not self.house:
            return
        house, signer = self.house, self.line.signer
        house.signatures()
        time.sleep(0.25)
        before, told = house.tally(), self.known()
        genuine = signer.headers(webhook.method, webhook.target, webhook.body)
        # Signed well, but it is another webhook's.
        wrong = signer.headers(webhook.method, webhook.target + "0", webhook.body + b"0")
        if wrong == genuine:
            wrong = [(name, value[::-1]) for name, value in genuine]
        for proof, says in ((wrong, "wrongly signed"), ([], "not signed")):
            copy = Webhook(f"{webhook.says}, {says}", webhook.target, webhook.body, webhook.method, webhook.media, webhook.headers)
            house.turned_away(self.route, self.line.send(copy, proof), bool(proof))
        house.signatures()
        time.sleep(0.25)
        after = house.tally()
        moved = {series: (before.get(series), value) for series, value in after.items() if before.get(series) != value}
        expect("what refused webhooks moved", {}, moved)
        expect("what is known of the call after refused webhooks", told, self.known())

    def known(self):
        """What is told of the call, apart from what time alone changes."""
        told = self.house.explain(self.id) or {}
        return {name: value for name, value in told.items() if not name.endswith("_ago")}

    def is_pinned(self, because=None, call=None):
        """It is on the line, where it belongs, and for that reason."""
        if self.house:
            listed = {"new": "enabled", "legacy": "disabled"}[self.home]
            self.house.pinned(call or self.id, backend=self.home, because=because or listed, ended=False)

    def is_over(self, outcome):
        if self.house:
            self.house.ended(self.id, self.home, outcome)

    def is_private(self, *words):
        if self.house:
            self.house.is_private(*words)


class FormCall(Call):
    """A call whose webhooks are forms, in the body or in the query."""

    def form(self, **fields):
        return urllib.parse.urlencode({**self.common(), **fields}).encode()

    def step(self, says, step, method="POST", **fields):
        """Somebody waits for its document; or, where nobody does, an event."""
        self.presses(fields.get("Digits", ""))
        if "SpeechResult" in fields:
            self.speaks(bool(fields["SpeechResult"]))
        form = self.form(**fields)
        if method == "POST":
            return self.post(says, step, form)
        target = self.target(step)
        return self.give(Webhook(says, target + ("&" if "?" in target else "?") + form.decode(), method="GET"))


class JsonCall(Call):
    """A call whose webhooks are JSON."""

    def event(self, says, body, **more):
        # At the route's own path.
        return self.give(self.webhook(says, body, **more))

    def webhook(self, says, body, **more):
        return Webhook(says, self.line.path, body, media=JSON, **more)
