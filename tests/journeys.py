#!/usr/bin/env python3
"""Whole calls of every provider through a running Switchback, webhook by webhook, with curl.

Without a URL it starts Switchback with two backends behind five routes (TeXML, Call Control,
Vapi by secret and by HMAC, Twilio), replays calls that end in every way a call can end, and
checks from outside that each was placed, pinned, judged and ended as it must be:

  tests/journeys.py                    each webhook as a curl command to paste, and its answer
  tests/journeys.py --brief            one line for each

With a URL it replays one call of one provider against a Switchback that runs elsewhere. It
posts to welcome, menu, speech, agent, status, … below the URL of a TeXML or Twilio route, and
follows the documents where they lead back; to the URL itself of a Call Control or Vapi route:

  tests/journeys.py --url http://127.0.0.1:8080/ivr --provider texml --to +13125550100
  tests/journeys.py --url http://host:8080/ivr --provider twilio --secret TOKEN \\
                    --public https://voice.example.com
  tests/journeys.py --url http://host:8080/vapi --provider vapi --secret SECRET [--hmac]
  tests/journeys.py --url http://host:8080/calls --provider call-control --secret key.pem

It needs curl, openssl and SWITCHBACK_BIN or a release build. What is not as expected is
printed with its curl command, and the script ends with 1.
"""

import argparse
import sys
import urllib.parse

from journey import call_control, sign, texml, twilio, vapi
from journey.house import House
from journey.line import Line, Show, Unexpected, expect

PROVIDERS = {"texml": texml, "call-control": call_control, "vapi": vapi, "twilio": twilio}


def main():
    wish = wishes()
    show = Show(wish.brief)
    try:
        if wish.url:
            elsewhere(wish, show)
        else:
            here(show)
    except Unexpected as story:
        print(f"\n{story}")
        sys.exit(1)


def wishes():
    reader = argparse.ArgumentParser(usage="%(prog)s [--brief] [--url URL --provider P …]", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--brief", action="store_true", help="one line for each webhook")
    reader.add_argument("--url", help="a route of a Switchback that runs elsewhere")
    reader.add_argument("--provider", choices=PROVIDERS, help="whose route it is")
    reader.add_argument("--secret", help="twilio: the auth token; vapi: the secret; telnyx: a file with the private key of the route's public key. Without it nothing is signed")
    reader.add_argument("--hmac", action="store_true", help="vapi: sign with the secret instead of showing it")
    reader.add_argument("--public", help="public_url of that Switchback, which Twilio signs and documents name; else the URL's own origin")
    reader.add_argument("--to", default="+13125550100", help="the number called, by default %(default)s")
    wish = reader.parse_args()
    if bool(wish.url) != bool(wish.provider):
        reader.error("--url and --provider go together")
    return wish


def here(show):
    """Every call, at a Switchback of our own."""
    house = House(show)
    lines = {route: house.line(route) for route in house.signers}
    for route, provider in (("texml", texml), ("calls", call_control), ("vapi", vapi), ("twilio", twilio)):
        provider.put_through(lines[route], house)
        provider.put_through(lines[route], house, "birch")
        provider.others(lines[route], house)
        house.signatures()
    vapi.signed(lines["assistants"], house)
    joined(lines, house)
    house.signatures()
    refused = house.close()
    words, size = house.kept_to_itself()
    show.title("done")
    ends = ", ".join(sorted({outcome for _, outcome in house.ends}))
    print(f"  {words} numbers, entries, sentences and secrets stand nowhere in {size // 1024} KiB of log, access log, journal, pins, status and metrics")
    print(f"  {sum(line.sent for line in lines.values())} webhooks of {sum(house.ends.values())} calls replayed: {ends}; {refused} forged ones turned away")


def joined(lines, house):
    """A Vapi call whose carrier's webhooks come here as well is one call, on one backend."""
    carried = texml.Texml(lines["texml"], house, "birch", "a caller reaches an assistant behind the menu")
    carried.fetch("the first document")
    carried.is_pinned()
    # The assistant's own number is another tenant's: what counts is the call.
    call = vapi.Vapi(lines["vapi"], house, "acme", "the same call, as Vapi tells it", carrier=carried.id, home=carried.home)
    call.tell("assistant-request", state="ringing")
    expect("the call that Vapi's id names", house.explain(carried.id)["call"], house.explain(call.id)["call"])
    call.status("in-progress")
    call.ended("assistant-ended-call")
    call.report("assistant-ended-call", 30)
    carried.end("callee", 40)
    carried.is_over("served")


def elsewhere(wish, show):
    """One call, at a Switchback that somebody else runs."""
    parts = urllib.parse.urlsplit(wish.url)
    public = wish.public or f"{parts.scheme}://{parts.netloc}"
    line = Line(wish.url, public, signer(wish, public), show)
    PROVIDERS[wish.provider].put_through(line, None, to=wish.to)
    print(f"\n{line.sent} webhooks of 1 call replayed")


def signer(wish, public):
    if not wish.secret:
        return sign.Nobody()
    if wish.provider == "twilio":
        return sign.Twilio(wish.secret, public)
    if wish.provider == "vapi":
        return (sign.VapiHmac if wish.hmac else sign.VapiSecret)(wish.secret)
    return sign.Telnyx(wish.secret)


main()
