#!/usr/bin/env python3
"""Twice as much as a backend can do: how much of what it can do is still done.

Method
  The sample backend takes 20 ms for each answer, and the proxy sends it 50 requests
  at once and no more: 2,500 a second. What it does on this machine is measured first,
  by 50 connections straight to it. Then come twice as many as that, in an open loop,
  every one a call of its own.

  goodput     answers that came from the backend (they carry X-Backend), per second
  in flight   from the backend's own record of when each request came and was
              answered: the most that overlapped. Beside it the proxy's own count.
  p99         of the answers that came from the backend, against the same at half of
              what it can do, measured just before

  Then reports are mixed in, as many as webhooks a caller waits for, together 1.6 times
  what it can do: the reports must be the ones turned away.

  At last everything is on new, at the same rate, and `rollback total` sends it all to
  legacy at once: legacy is not sent more than it can do for that either.
"""

import argparse
import concurrent.futures

import rig

AT_ONCE, TAKES_MS = 50, 20
CAP = f"concurrency = {AT_ONCE}\nqueue = {AT_ONCE // 2}\nqueue_wait = \"50ms\"\n"


def options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30, help="of overload (30)")
    parser.add_argument("--brief", action="store_true", help="10 seconds, as CI runs it")
    return parser.parse_args()


def most_at_once(records):
    """The most requests that overlapped."""
    edges = []
    for arrived, answered, *_ in records:
        edges += [(arrived, 1), (answered, -1)]
    # At the same moment one ends before the next begins.
    now = most = 0
    for _, step in sorted(edges):
        now += step
        most = max(most, now)
    return most


def main():
    given = options()
    seconds = 10 if given.brief else given.seconds
    part = max(2.0, seconds / 5)
    programs, cores, directory = rig.Programs(), rig.Cores(), rig.work_dir()
    backends = rig.Backends(programs, cores.load, "--watch")
    backends.slow(backends.legacy, TAKES_MS)
    proxy = rig.Switchback(programs, "strain.toml", backends, directory, cores.proxy, percentage=0, legacy_cap=CAP)

    def load(port, *more):
        return rig.run_load(programs, cores, port, *more)

    def records():
        return list(backends.records(backends.legacy))

    alone = load(backends.legacy, "-c", AT_ONCE, "-d", part, "--requests", "1-1")["rps"]
    print(f"the backend does {alone:.0f}/s by itself, of {AT_ONCE * 1000 // TAKES_MS}/s")
    half = load(proxy.port, "-c", AT_ONCE * 2, "-d", part, "-r", alone / 2, "--requests", "1-1")
    records()

    verdicts = rig.Verdicts()
    at_once = AT_ONCE * 8
    result = load(proxy.port, "-c", at_once, "-d", seconds, "-r", alone * 2, "-w", 0.5, "--requests", "1-1")
    goodput = result["from_backend"] / result["seconds"]
    verdicts.tell(f"{goodput:.0f}/s answered by the backend at {alone * 2:.0f}/s offered: "
                  f"{goodput / alone:.1%} of what it does by itself", "at least 90 %", goodput >= 0.9 * alone, row=20)
    offered = result["n"] / result["seconds"]
    verdicts.tell(f"{offered:.0f}/s answered one way or the other, {result['closed']} closed and "
                  f"{result['unanswered']} unanswered", "all that were offered",
                  offered >= 1.9 * alone and not result["closed"] + result["unanswered"])
    most = most_at_once(records())
    verdicts.tell(f"{most} at once at the backend", f"at most {AT_ONCE}", most <= AT_ONCE)
    own = proxy.metric("switchback_backend_in_flight_most", backend="legacy")
    verdicts.tell(f"{own or 0:.0f} at once by the proxy's own count", f"{AT_ONCE}, and no more", own == AT_ONCE)
    ratio = result["backend_p99"] / half["backend_p99"]
    verdicts.tell(f"p99 of the backend's answers {result['backend_p99'] / 1000:.1f} ms, {ratio:.2f} x that at half load "
                  f"({half['backend_p99'] / 1000:.1f} ms)", "at most 3 x", ratio <= 3)

    # A generator for each: one alone would begin with a wave of callers.
    each = ("-c", at_once, "-d", part, "-r", alone * 0.8, "--requests", "1-1")
    with concurrent.futures.ThreadPoolExecutor() as both:
        voice = both.submit(load, proxy.port, *each)
        events = both.submit(load, proxy.port, *each, "--midway", "--ends")
    voice, events = (1 - told.result()["from_backend"] / told.result()["n"] for told in (voice, events))
    verdicts.tell(f"{voice:.2%} of the webhooks turned away that a caller waits for, {events:.0%} of the reports",
                  "fewer than a tenth of the reports' share", voice <= 0.1 * events and events > 0)
    proxy.stop()
    flip(programs, cores, directory, backends, verdicts, part, alone)
    return verdicts.code()


def flip(programs, cores, directory, backends, verdicts, part, alone):
    """All at once from new to legacy."""
    proxy = rig.Switchback(programs, "strain.toml", backends, directory, cores.proxy, name="flip", percentage=100,
                           legacy_cap=CAP)
    proxy.wait_for_percentage()
    list(backends.records(backends.legacy))
    with concurrent.futures.ThreadPoolExecutor() as beside:
        running = beside.submit(rig.run_load, programs, cores, proxy.port, "-c", AT_ONCE * 8, "-d", part * 2,
                                "-r", alone * 2, "--requests", "1-1")
        rig.time.sleep(part)
        began = backends.seen(backends.legacy)["now_ns"]
        proxy.order("rollback", level="total", reason="the flip of the measurement")
        rig.time.sleep(part * 0.8)
        ended = backends.seen(backends.legacy)["now_ns"]
        running.result()
    records = list(backends.records(backends.legacy))
    most, own = most_at_once(records), proxy.metric("switchback_backend_in_flight_most", backend="legacy") or 0
    verdicts.tell(f"after a flip at {alone * 2:.0f}/s {most} at once at legacy ({own:.0f} by the proxy's own count)",
                  f"at most {AT_ONCE}", max(most, own) <= AT_ONCE, row=15)
    done = sum(began <= answered < ended and good for _, answered, _, good, *_ in records) / (ended - began) * 1e9
    verdicts.tell(f"{done:.0f}/s answered by legacy from the order on: {done / alone:.1%} of what it does by itself",
                  "at least 95 %", done >= 0.95 * alone, row=15)
    proxy.stop()


if __name__ == "__main__":
    rig.main(main)
