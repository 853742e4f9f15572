#!/usr/bin/env python3
"""Calls in progress keep their backend through a flip.

Method
  So many calls are in progress at once, half of them on new. Each makes its webhooks one
  after the other while `rollback total` sends every new call to legacy. The load generator
  notes the backend of each call's first answer and compares it with every later one.

  That calls live before the flip went on afterwards on new is seen from new's own count:
  without such the test would tell nothing.
"""

import argparse
import threading

import rig


def options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=50_000, help="in progress at once (50,000)")
    parser.add_argument("--rate", type=int, default=5000, help="requests/s (5,000)")
    parser.add_argument("--brief", action="store_true", help="2,000 calls, as CI runs it")
    return parser.parse_args()


def main():
    given = options()
    calls = 2000 if given.brief else given.calls
    programs, cores, directory, verdicts = rig.Programs(), rig.Cores(), rig.work_dir(), rig.Verdicts()
    backends = rig.Backends(programs, cores.load, "--watch")
    proxy = rig.Switchback(programs, "strain.toml", backends, directory, cores.proxy, percentage=50)
    proxy.wait_for_percentage()
    told = {}

    def load():
        told.update(rig.run_load(programs, cores, proxy.port, "-c", 64, "-r", given.rate, "-d", 86_400, "-n", calls * 6,
                                 "-a", calls, "--requests", "4-6"))

    running = threading.Thread(target=load, daemon=True)
    running.start()
    # A call's requests come in turns with those of all others: now each has made one to three.
    rig.time.sleep(calls * 2 / given.rate)
    proxy.order("rollback", level="total", reason="the flip of the measurement")
    proxy.next_look()
    at_flip = backends.seen(backends.new)
    running.join()
    if not told:
        raise rig.Trouble("the load generator gave up")
    afterwards = backends.seen(backends.new)
    went_on, fresh = (afterwards[what] - at_flip[what] for what in ("requests", "calls"))
    print(f"{told['calls']:,} calls, {calls:,} at once; new had {at_flip['calls']:,} of them, and {went_on:,} webhooks of these "
          "after the flip")
    verdicts.tell(f"{told['affinity_breaks']} of {told['calls']:,} calls changed their backend, {went_on:,} webhooks of calls on "
                  "new after the flip", "none, and some", not told["affinity_breaks"] and went_on > 0, row=16)
    verdicts.tell(f"{fresh} new calls on new after it", "none", fresh == 0, row=16)
    verdicts.tell(f"{told['errors']} of {told['n']:,} requests failed", "none", told["errors"] == 0)
    proxy.stop()
    return verdicts.code()


if __name__ == "__main__":
    rig.main(main)
