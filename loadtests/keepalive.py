#!/usr/bin/env python3
"""Backends that close idle connections at random: nothing is sent twice, and callers
do not notice.

Method
  Both sample backends close each connection at a random moment up to 10 ms after its
  last answer, whether or not a request is just on its way. All calls are placed on
  new, each request is a call of its own with an id of its own, and the rate leaves
  connections idle between requests, so that closing and using meet again and again.
  A request that meets a close has been written and not been answered: whoever sends it
  once more to the same backend may do a thing twice, whoever does not has a caller to
  answer.

  The first time, each webhook begins a call; then they are four to six a call, and what
  fails midway nobody can rescue.

  sent twice      requests at either backend whose call had been there before
  callers' errors requests that got no answer of a backend with 200
  met a close     the proxy's own count of failures with the cause `stale`
"""

import argparse

import rig

FICKLE_MS = 10


def options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=500_000, help="how many, twice (500,000)")
    parser.add_argument("--rate", type=int, default=4000, help="requests/s (4,000)")
    parser.add_argument("--brief", action="store_true", help="20,000 requests twice, as CI runs it")
    return parser.parse_args()


def main():
    given = options()
    requests = 20_000 if given.brief else given.requests
    programs, verdicts = rig.Programs(), rig.Verdicts()
    for a_call in ("1-1", "4-6"):
        run(programs, given.rate, requests, a_call, verdicts)
    return verdicts.code()


def run(programs, rate, requests, a_call, verdicts):
    cores, directory = rig.Cores(), rig.work_dir()
    backends = rig.Backends(programs, cores.load, "--watch", "--fickle", FICKLE_MS)
    proxy = rig.Switchback(programs, "strain.toml", backends, directory, cores.proxy, percentage=100)
    proxy.wait_for_percentage()
    result = rig.run_load(programs, cores, proxy.port, "-c", 64, "-r", rate, "-d", 86_400, "-n", requests,
                          "--requests", a_call)
    proxy.next_look()
    seen = [backends.seen(port) for port in (backends.legacy, backends.new)]
    arrived, closed = sum(side["requests"] for side in seen), seen[0]["closed"]
    errors = result["n"] - result["from_backend"] + result["closed"] + result["unanswered"]
    stale = proxy.metric("switchback_webhooks_total", outcome="stale") or 0
    rescued = proxy.metric("switchback_rescues_total", result="served") or 0
    opened = proxy.metric("switchback_connect_seconds_count") or 0

    name = f"{a_call} a call"
    print(f"{name}: {result['answered']:,} requests, {arrived:,} of which reached a backend, over {opened:,.0f} connections; "
          f"{stale:.0f} met a close, {rescued:.0f} were rescued")
    verdicts.tell(f"{name}: {closed:,} connections closed by the backends at random", "some, or nothing was tested", closed > 0)
    if a_call == "1-1":
        twice = arrived - sum(side["calls"] for side in seen)
    else:
        twice = sum(side["duplicates"] for side in seen)
    verdicts.tell(f"{name}: {twice} sent twice", "none", twice == 0, row=17)
    allowed = max(1, round(5 * requests / 500_000))
    verdicts.tell(f"{name}: {errors} callers' errors", f"at most {allowed} of {requests:,}", errors <= allowed, row=18)
    proxy.stop()
    backends.process.terminate()


if __name__ == "__main__":
    rig.main(main)
