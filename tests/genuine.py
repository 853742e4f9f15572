#!/usr/bin/env python3
"""Genuine webhooks are taken, forged ones move nothing; the providers' own libraries judge.

    tests/genuine.py          5,000 random webhooks, 10,000 forged ones for each mode
    tests/genuine.py --long   ten times as many, and the alarm about refused signatures

Needs what `tests/providers.py` needs. SEED repeats a run.
"""

import base64
import collections
import html
import itertools
import os
import random
import re
import sys
import time
import urllib.parse

import providers as p
from lab import check
from score import score
from witness import TO_LEGACY, TO_NEW, Sender, counts, proxy, send, send_all, shown, telnyx, twilio

LONG = "--long" in sys.argv[1:]
TENANTS = [TO_NEW, TO_LEGACY, "+13125550133"]
ADDED = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id", "traceparent")


# -- 1. What the libraries take arrives, unchanged ----------------------------


def untouched(count, seed):
    chance = random.Random(seed)
    lab, legacy, new = proxy([
        ("/voice", "twilio", twilio("required")),
        ("/texml", "telnyx-texml", telnyx("required")),
        ("/control", "telnyx-call-control", telnyx("required")),
    ])
    webhooks = [random_webhook(chance) for _ in range(count)]
    for number, webhook, status, backend in send_all(lab, webhooks):
        check(webhook.is_genuine(), f"its library takes the webhook that this test signed:{shown(webhook)}")
        check(status == 200, f"{status} to a genuine webhook:{shown(webhook)}")
        arrived = legacy.seen[number] + new.seen[number]
        check(len(arrived) == 1, f"{len(arrived)} arrived of one webhook:{shown(webhook)}")
        is_unchanged(webhook, *arrived[0])
    counts(lab, verified=count, rejected=0, absent=0, replayed=0)
    lab.stop()
    score(22, f"{count:,} signed ones genuine to the providers' own libraries", True)
    print(f"  {count} random webhooks of Twilio and Telnyx: taken, unchanged, and genuine to the libraries behind the proxy")


def random_webhook(chance):
    kind = chance.choice(["twilio", "twilio", "texml", "control"])
    if kind == "twilio":
        return p.random_twilio(chance, "/voice")
    return p.random_telnyx(chance, "/" + kind, kind == "control")


def is_unchanged(webhook, method, target, headers, body, verdict, resigned=False):
    story = shown(webhook)
    check((method, target) == (webhook.method, webhook.target), f"{method} {target} arrived instead of{story}")
    check(body == webhook.body, f"another body arrived of{story}")
    mine = lambda name: name not in ("x-number", "content-length", *(("host", "x-twilio-signature") if resigned else ()), *ADDED)
    sent = sorted((name.lower(), value) for name, value in [*webhook.headers, ("host", p.HOST)] if mine(name.lower()))
    came = sorted((name, value) for name, value in headers if mine(name))
    check(came == sent, f"headers {came} arrived of{story}")
    check(verdict, f"its library refuses at the backend:{story}\n{headers}")


def resigned(count, seed):
    """A backend that goes by its own URL, as one that was never behind a proxy."""
    chance = random.Random(seed)
    anew = ", resign = true"
    lab, legacy, new = proxy([
        ("/voice/report", "twilio", twilio("report", anew)),
        ("/voice/token", "twilio", twilio("required", anew), 'affinity = "url"\n'),
        ("/voice", "twilio", twilio("required", anew)),
    ], host="backend")
    witnesses = {"legacy": legacy, "new": new}
    for witness in witnesses.values():
        witness.base = f"http://127.0.0.1:{witness.port}"
    webhooks = [p.random_twilio(chance, chance.choice(["/voice", "/voice/report"])) for _ in range(count)]
    for number, webhook, status, backend in send_all(lab, webhooks):
        check(status == 200, f"{status} to a genuine webhook that is to be signed anew:{shown(webhook)}")
        witness = witnesses[backend]
        method, target, headers, body, verdict = witness.seen[number][0]
        is_unchanged(webhook, method, target, headers, body, verdict, resigned=True)
        said = [(name, value) for name, value in headers if name in ("host", "x-twilio-signature")]
        check(len(said) == 2 and dict(said)["host"] == f"127.0.0.1:{witness.port}", f"the backend's own Host, one signature: {said}")
    for path, status in [("/voice", 403), ("/voice/report", 500)]:
        forged = p.twilio_voice(path, "CAforged", Digits="1").with_header("X-Twilio-Signature", p.twilio_voice(path, "CAother").header("x-twilio-signature"))
        check(send(lab, forged)[0] == status, "nothing that is forged is signed anew")
    counts(lab, verified=count, rejected=2, absent=0)
    tokens(lab, chance, witnesses)
    lab.stop()
    print(f"  {count} random webhooks of Twilio signed anew: genuine to the library under the backend's own URL")


def tokens(lab, chance, witnesses):
    """A URL that got a token is signed with it by Twilio, and without it for the backend."""
    for number in range(60):
        to, name = chance.choice([(TO_NEW, "new"), (TO_LEGACY, "legacy")])
        witness, call = witnesses[name], f"CA{number:032x}"
        wanted = p.random_target(chance, "/voice/token/next")
        begins = chance.choice(["", witness.base])
        witness.document = f'<Response><Gather action="{html.escape(begins + wanted)}"/></Response>'.encode()
        sender = Sender(lab)
        check(sender.send(p.twilio_voice("/voice/token/a", call, to), f"first{number}") == (200, name), "the first webhook goes to its backend")
        url = html.unescape(re.search(r'action="([^"]*)"', sender.body.decode())[1])
        asked = url.removeprefix(p.PUBLIC)
        check(asked.startswith("/voice/token/next"), f"{begins + wanted} leads home: {url}")
        check("_sb=" in asked, f"{begins + wanted} has a token: {url}")
        # A call that was never heard of, as on another machine: the token decides, not the tenant.
        other = {"new": TO_LEGACY, "legacy": TO_NEW}[name]
        webhook = p.twilio_voice(asked, f"CB{number:032x}", other, status="in-progress", Digits="1")
        check(sender.send(webhook, f"next{number}")[0] == 200, f"the URL with its token verifies:{shown(webhook)}")
        arrived = witness.seen[f"next{number}"]
        check(arrived and arrived[0][1] == wanted and arrived[0][4], f"{wanted} arrives at {name}, signed for it: {arrived}")


def differential(count, seed):
    """Webhooks changed a little: the proxy and the library agree on every one."""
    chance = random.Random(seed)
    lab, _, _ = proxy([("/voice", "twilio", twilio("required")), ("/texml", "telnyx-texml", telnyx("required")), ("/control", "telnyx-call-control", telnyx("required"))])
    tally = collections.Counter()
    for _, webhook, status, _ in send_all(lab, [changed(chance, random_webhook(chance)) for _ in range(count)]):
        genuine = webhook.is_genuine()
        check(status in (200, 403), f"{status} to{shown(webhook)}")
        check((status == 200) == genuine, f"{status}, but the library says {genuine}:{shown(webhook)}")
        tally[genuine] += 1
    check(min(tally[True], tally[False]) > count / 20, f"both kinds come: {tally}")
    lab.stop()
    print(f"  {count} of them changed a little: {tally[False]} refused and {tally[True]} taken, as the libraries do")


def changed(chance, webhook):
    """One small change somewhere. Some of them change nothing that is signed."""
    is_twilio = webhook.target.startswith("/voice")
    signature = "X-Twilio-Signature" if is_twilio else "Telnyx-Signature-Ed25519"
    value = webhook.header(signature)
    # The last letter of 64 bytes in base64 has bits that the library ignores; we do not.
    at = chance.randrange(min(len(value) - 3, 80))
    pieces = webhook.body.split(b"&")
    kinds = {
        "letter": lambda: webhook.with_header(signature, value[:at] + chance.choice("AbC+/9".replace(value[at], "")) + value[at + 1 :]),
        "case": lambda: webhook.with_header(signature, value.swapcase()),
        "missing": lambda: webhook.with_header(signature, None),
        "empty": lambda: webhook.with_header(signature, ""),
        "short": lambda: webhook.with_header(signature, value[:-4]),
        "query": lambda: webhook.but(target=webhook.target + ("&" if "?" in webhook.target else "?") + "x=1"),
        "time": lambda: webhook.with_header("Telnyx-Timestamp", str(int(webhook.header("telnyx-timestamp") or 0) + chance.choice([-1, 1]))),
        "no time": lambda: webhook.with_header("Telnyx-Timestamp", None),
        "type": lambda: webhook.with_header("Content-Type", "text/plain"),
        "header": lambda: webhook.with_header("User-Agent", "another"),
    }
    if webhook.body:
        flip = chance.randrange(len(webhook.body))
        kinds |= {
            "byte": lambda: webhook.but(body=webhook.body[:flip] + bytes([webhook.body[flip] ^ 1]) + webhook.body[flip + 1 :]),
            "cut": lambda: webhook.but(body=webhook.body[:-1]),
            "more": lambda: webhook.but(body=webhook.body + b"&x=1"),
            "again": lambda: webhook.but(body=webhook.body + b"&" + chance.choice(pieces).split(b"=")[0] + b"=other"),
            "order": lambda: webhook.but(body=b"&".join(sorted(pieces, key=lambda _: chance.random()))),
            "twice": lambda: webhook.but(body=b"&".join([*pieces, pieces[0]])),
            "space": lambda: webhook.but(body=webhook.body.replace(b"+", b"%20")),
        }
    return kinds[chance.choice(list(kinds))]()


# -- 2. What is forged moves nothing ------------------------------------------

ROWS = """
[[reversal]]
name = "errors"
measure = "error_rate"
above = "10%"
over = "10s"
calls_min = 1
failed_min = 1
action = "reverse"
""" + "".join(
    f'[[alert]]\nname = "{name}"\nmeasure = "{name}"\nabove = {above}\nover = "10m"\ncalls_min = 1\n'
    for name, above in [
        ("error_rate", '"1%"'), ("response_time_mean", '"9s"'), ("failed_call_rate", '"1%"'), ("abandonment_rate", '"1%"'), ("call_duration_mean", '"3h"'),
        ("speech_recognition_rate", '"99%"'), ("concurrent_calls", 900), ("calls_per_hour", 900), ("backend_down", 0)])


def state(lab):
    """All that a webhook could move."""
    status = lab.status()
    backends = {name: {key: value for key, value in numbers.items() if key != "connect_mean_ms"} for name, numbers in status["backends"].items()}
    # Concurrent calls are a mean over time, which moves by itself; calls_active says the same.
    rules = [(rule["name"], rule["value"] if rule["name"] != "concurrent_calls" else None, rule["samples"], rule["verdict"]) for rule in status["rules"]]
    counters = {name: lab.counted(name) for name in ("switchback_call_table_size", "switchback_calls_begun_total", "switchback_webhooks_total", "switchback_webhook_duration_seconds_count", "switchback_calls_total", "switchback_reversals_total")}
    return {"phase": status["phase"], "percentage": status["percentage"], "latched": status["latched"], "backends": backends, "rules": rules, "counters": counters}


def genuine_calls(lab, prefix, to=TO_NEW, each=8):
    """Some running calls of each protocol."""
    calls = collections.defaultdict(list)
    for number in range(each):
        for kind, make, call in [("voice", p.twilio_voice, f"CA{prefix}{number:031x}"), ("texml", p.texml_voice, f"v3:{prefix}{number}"), ("control", p.control_event, f"{prefix}{number:031x}")]:
            answered = send(lab, make(f"/{kind}/a", call, to))
            check(answered == (200, "new" if to == TO_NEW else "legacy"), f"a genuine call goes where its tenant belongs: {answered}")
            calls[kind].append(call)
    return calls


def known(lab, call):
    return lab.get("/api/v1/explain?call=" + urllib.parse.quote(call, safe=""))[0]


def forgery(mode, count, seed):
    chance = random.Random(seed)
    lab, legacy, new = proxy([
        ("/voice", "twilio", twilio(mode)),
        ("/texml", "telnyx-texml", telnyx(mode)),
        ("/control", "telnyx-call-control", telnyx(mode)),
    ], rules=ROWS)
    calls = genuine_calls(lab, "a")
    sound = sum(map(len, calls.values()))
    counts(lab, verified=sound)
    # The row's ten seconds pass over the genuine ones, so that all it sees is forged.
    check(lab.until(lambda: lab.status()["rules"][0]["samples"] == 0, 15), "the short row forgets")
    before = state(lab)
    backend_saw = len(legacy.seen) + len(new.seen)
    webhooks = list(itertools.islice(p.forgers(chance, calls, TENANTS), count))
    done = send_all(lab, webhooks)
    for _, webhook, status, backend in done:
        check(not webhook.is_genuine(), f"this test forged a genuine webhook:{shown(webhook)}")
        check(status == (403 if mode == "required" else 500), f"{status} to a forged webhook:{shown(webhook)}")
    if mode == "required":
        check(len(legacy.seen) + len(new.seen) == backend_saw, "no backend heard of any of them")
    unsigned = sum(map(p.is_unsigned, webhooks))
    counts(lab, verified=sound, absent=unsigned, rejected=count - unsigned, replayed=0)
    after = state(lab)
    for what, was in before.items():
        check(after[what] == was, f"forged webhooks moved {what}: {was} became {after[what]}")
    running = set(itertools.chain(*calls.values()))
    strangers = [webhook.call for webhook in webhooks if webhook.call not in running]
    for call in chance.sample(strangers, min(50, len(strangers))):
        check(known(lab, call) == 404, f"a forged call is known: {call}")
    for call in running:
        check(known(lab, call) == 200, f"a genuine call is still known: {call}")
    for kind, make in (("voice", p.twilio_voice), ("texml", p.texml_voice)):
        for call in calls[kind]:
            # Its tenant says legacy by now; the call stays where it began.
            answered = send(lab, make(f"/{kind}/a", call, TO_LEGACY, status="in-progress", Digits="1"))
            check(answered == (200, "new"), f"a genuine call stays where it is: {answered}")
    genuine_calls(lab, "b")
    genuine_calls(lab, "c", TO_LEGACY)
    print(f"  {count} forged webhooks, mode {mode}: {unsigned} unsigned and {count - unsigned} wrongly signed; nothing moved")
    if LONG and mode == "required":
        alarm(lab, chance, calls)
    reverses(lab, new)
    lab.stop()
    log = (lab.dir / "log").read_text()
    for secret in (p.TOKEN, p.PUBLIC_KEY, "4155550142", TO_NEW, TO_LEGACY, "X-Twilio-Signature"):
        check(secret not in log, f"{secret} stands in the log")


def reverses(lab, new):
    """The neighbour: the same failures, genuinely signed, do reverse."""
    new.failing = True
    for number in range(40):
        send(lab, p.texml_voice("/texml/a", f"v3:d{number}", TO_NEW))
        if lab.status()["latched"]:
            break
    check(lab.until(lambda: lab.status()["phase"] == "reversed", 5), "genuine failures reverse")


def alarm(lab, chance, calls):
    """Refusals for over a minute are told once, and critically."""
    told = lambda: [line for line in (lab.dir / "log").read_text().splitlines() if "in the last minute did not verify" in line]
    deadline = time.monotonic() + 90
    forger = p.forgers(chance, calls, TENANTS)
    sender = Sender(lab)
    while len(told()) < 3 and time.monotonic() < deadline:
        for webhook in itertools.islice(forger, 12):
            sender.send(webhook, "alarm")
        time.sleep(0.2)
    check(len(told()) == 3 and all('"ERROR"' in line for line in told()), f"each of three routes is an alarm, once: {told()}")
    print("  a minute of refused signatures is told as an alarm")


# -- 3. Replays, retries, age ---------------------------------------------------


def replays():
    lab, legacy, new = proxy([("/texml", "telnyx-texml", telnyx("required")), ("/control", "telnyx-call-control", telnyx("required"))], rules=ROWS)
    first = p.texml_voice("/texml/a", "v3:replayed", TO_NEW)
    check(send(lab, first) == (200, "new"), "a genuine webhook is answered")
    counts(lab, verified=1, replayed=0)
    before = state(lab)
    for _ in range(20):
        check(send(lab, first) == (200, "new"), "a replay is forwarded")
    check(len(new.seen["one"]) == 21, "the backend gets every one")
    counts(lab, verified=1, replayed=20, rejected=0)
    check(state(lab) == before, f"replays moved {before} to {state(lab)}")

    event = {"event": "0ccc7b54-4df3-4bca-a65a-3da1ecc777f0"}
    check(send(lab, p.control_event("/control/a", "5e55", TO_NEW, age=3, **event))[0] == 200, "an event")
    retry = p.control_event("/control/a", "5e55", TO_NEW, attempt=2, **event)
    check(send(lab, retry) == (200, "new"), "a provider's retry is forwarded")
    counts(lab, verified=3, replayed=20, rejected=0)

    for age, status in [(299, 200), (301, 403), (-298, 200), (-303, 403), (86400, 403)]:
        answered = send(lab, p.texml_voice("/texml/a", f"v3:age{age}", TO_NEW, age=age))[0]
        check(answered == status, f"signed {age} s ago: {answered}, not {status}")
    counts(lab, verified=5, replayed=20, rejected=3)

    hidden = p.texml_voice("/texml/a", "v3:hidden", TO_NEW)
    spare = hidden.header("telnyx-signature-ed25519")
    respelled = hidden.with_header("Telnyx-Signature-Ed25519", spare[:-3] + chr(ord(spare[-3]) + 1) + spare[-2:])
    check(send(lab, hidden)[0] == 200 and send(lab, respelled)[0] == 403, "no second spelling of a signature is a new one")
    lab.stop()
    print("  replays are forwarded and counted and move nothing; a retry is none; 299 s is fresh, 301 s is not")


# -- 4. Vapi --------------------------------------------------------------------


def vapi():
    secret = '{ file = "vapi" }'
    lab, legacy, new = proxy([
        ("/vapi-secret", "vapi", f'mode = "required", secret = {secret}'),
        ("/vapi-bearer", "vapi", f'mode = "required", bearer = {secret}'),
        ("/vapi-hmac", "vapi", f'mode = "required", hmac = {{ secret = {secret} }}'),
        ("/vapi-prefix", "vapi", f'mode = "required", hmac = {{ secret = {secret}, prefix = "sha256=" }}'),
        ("/vapi-base64", "vapi", f'mode = "required", hmac = {{ secret = {secret}, encoding = "base64" }}'),
    ])
    number = itertools.count()

    def message(route):
        return p.vapi_message(route, f"019a9046-0000-7000-8000-{next(number):012x}")

    def coded(code):
        return base64.b64encode(code).decode()

    def signed(route, age=0, unit=1, **how):
        return p.vapi_signed(message(route), int((time.time() - age) * unit), **how)

    genuine = [
        message("/vapi-secret").with_header("X-Vapi-Secret", p.VAPI_SECRET),
        message("/vapi-bearer").with_header("Authorization", "Bearer " + p.VAPI_SECRET),
        message("/vapi-bearer").with_header("Authorization", "bearer " + p.VAPI_SECRET),
        signed("/vapi-hmac"), signed("/vapi-hmac", unit=1000), signed("/vapi-hmac", age=299), signed("/vapi-hmac", prefix="sha256="),
        signed("/vapi-prefix", prefix="sha256="),
        signed("/vapi-base64", encode=coded),
    ]
    unsigned = [message(route) for route in ("/vapi-secret", "/vapi-bearer", "/vapi-hmac", "/vapi-prefix", "/vapi-base64")]
    hmac = signed("/vapi-hmac")
    wrong = [
        message("/vapi-secret").with_header("X-Vapi-Secret", p.VAPI_SECRET + "4"),
        message("/vapi-secret").with_header("X-Vapi-Secret", p.VAPI_SECRET[:-1]),
        message("/vapi-secret").with_header("X-Vapi-Secret", ""),
        message("/vapi-bearer").with_header("Authorization", p.VAPI_SECRET),
        message("/vapi-bearer").with_header("Authorization", "Basic " + p.VAPI_SECRET),
        message("/vapi-bearer").with_header("Authorization", "Bearer " + p.VAPI_SECRET.upper()),
        signed("/vapi-hmac", secret="another-secret-of-somebody"), signed("/vapi-hmac", age=301), signed("/vapi-hmac", age=-303),
        signed("/vapi-hmac", encode=coded), signed("/vapi-hmac", algorithm="sha512"),
        hmac.but(body=hmac.body + b" "), hmac.with_header("X-Timestamp", str(int(hmac.header("x-timestamp")) + 1)), hmac.with_header("X-Timestamp", None),
        signed("/vapi-prefix"), signed("/vapi-prefix", prefix="sha1="),
        signed("/vapi-base64"), signed("/vapi-base64", encode=coded, prefix="sha512="),
    ]
    for kind, webhooks, status in [("genuine", genuine, 200), ("unsigned", unsigned, 403), ("wrong", wrong, 403)]:
        for webhook in webhooks:
            answered = send(lab, webhook, webhook.call + kind)[0]
            check(answered == status, f"{answered} to what is {kind}:{shown(webhook)}")
            arrived = len((legacy.seen[webhook.call + kind] + new.seen[webhook.call + kind]))
            check(arrived == (status == 200), f"{arrived} arrived of{shown(webhook)}")
    counts(lab, verified=len(genuine), absent=len(unsigned), rejected=len(wrong), replayed=0)
    lab.stop()
    print(f"  Vapi's secret, bearer and HMAC: {len(genuine)} taken, {len(unsigned) + len(wrong)} refused")


def main():
    seed = int(os.environ.get("SEED", time.time_ns() % 2**32))
    print(f"  seed {seed}")
    more = 10 if LONG else 1
    untouched(5_000 * more, seed)
    resigned(500 * more, seed + 1)
    differential(1_000 * more, seed + 2)
    forgery("required", 10_000 * more, seed + 3)
    forgery("report", 10_000 * more, seed + 4)
    replays()
    vapi()


main()
