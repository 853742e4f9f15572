#!/usr/bin/env python3
"""How long from the answer that crosses a threshold to the flip.

Method
  Load runs at a constant rate (half of what the proxy can do, unless --rate is
  given); every request is a call of its own, so that one answer is one voice in the
  error rate and every request on new is a new call there. A cycle: resume at 50 %
  (a new epoch, empty windows), let good calls gather for --soak seconds and up to
  0.2 s more by chance (so that the crossing falls anywhere between two looks of the
  engine), make new fail, wait for the reversal, end the fault, wait for quiet.

  Both sample backends are one process with one clock and note for each request when
  it came, whether its answer was good, and whether its call was seen before. From
  that record:

  the crossing answer   the first bad answer with which, over all answers of new
                        since the resume, more than 10 % had failed and both minima
                        were reached. Good answers from before the order to resume
                        was acknowledged are left out although the proxy may have
                        counted some: that can only put the crossing too early, so
                        the time shown is an upper bound. The window (60 s) is longer
                        than a cycle, so nothing slides out of it.
  the flip              the last new call that came to new. Thousands come each
                        second, so it is known to well under a millisecond.

  Leaks: calls seen first at new from 100 ms after the status said `reversed` (what
  had left the proxy has arrived by then) until the next resume, and the proxy's
  own count `verification.new_calls_on_new`. Both must be 0.

Limits of the project: median 150 ms, p99 400 ms, no leak.
"""

import argparse
import json
import random
import time

import rig

THRESHOLD, CALLS_MIN, FAILED_MIN = 0.10, 20, 8
SETTLED_NS = 100_000_000


def options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("flips", type=int, nargs="?", default=20, help="how many (20)")
    parser.add_argument("--rate", type=int, help="requests/s; default: half of the capacity measured first")
    parser.add_argument("--soak", type=float, default=0.7, help="seconds of good calls before the fault (0.7)")
    parser.add_argument("--kind", default="500", help="how new fails: 500, reset, html, empty, … (500)")
    parser.add_argument("--share", type=float, default=1.0, help="share of the requests that fail (1)")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--gate", action="store_true", help="exit 1 when a limit of the project is missed")
    return parser.parse_args()


def main():
    given = options()
    programs, cores, directory = rig.Programs(), rig.Cores(), rig.work_dir()
    backends = rig.Backends(programs, cores.load, "--watch")
    proxy = rig.Switchback(programs, "flip.toml", backends, directory, cores.proxy, failed_min=FAILED_MIN)
    rate = given.rate or half_of_capacity(programs, cores, proxy)
    print(f"{given.flips} flips at {rate} requests/s, half of them on new; fault: {given.kind}, share {given.share:g}")
    load = rig.start(
        [programs.load, "--port", proxy.port, "-c", 128, "-r", rate, "-d", 86400, "--requests", "1-1", "-t", 1000],
        cores.load)
    time.sleep(0.3)
    # The first is not counted: its window holds what came before the record began.
    cycle(given, proxy, backends, resume=False)
    cycles = []
    for number in range(given.flips):
        cycles.append(cycle(given, proxy, backends))
        if load.poll() is not None:
            raise rig.Trouble("the load generator gave up")
        c = cycles[-1]
        print(f"  {number + 1:3}: {c['ms']:6.1f} ms after the crossing answer "
              f"({c['failed']} of {c['answers']} failed; seen in the status after {c['status_ms']:.0f} ms); "
              f"new calls on new afterwards {c['leaked']} (its own count {c['own_count']})", flush=True)
    load.kill()  # before the proxy goes, or it would complain
    return report(given, rate, cycles)


def half_of_capacity(programs, cores, proxy):
    """Half of the requests/s the proxy answers in a closed loop."""
    runs = [rig.run_load(programs, cores, proxy.port, "-c", 64, "-d", 1, "--requests", "1-1")["rps"] for _ in range(3)]
    return int(sorted(runs)[1] / 2)


def cycle(given, proxy, backends, resume=True):
    """One flip: what the record says about it."""
    if resume:
        proxy.order("resume", percentage=50, reason="next flip of the measurement")
    resumed = backends.mark()
    for _ in backends.records(backends.new):
        pass
    time.sleep(given.soak + random.uniform(0, 0.2))
    backends.fault(given.kind, given.share, ms=6000)
    status, polled_before = wait_for_reversal(proxy, backends)
    seen_reversed = backends.fault("none")
    time.sleep(0.5)  # in this time nothing new may come to new
    status = proxy.status()
    records = sorted(backends.records(backends.new))
    answers, failed, crossing, at_crossing = 0, 0, None, None
    for arrived, answered, _, good, _, _ in sorted(records, key=lambda record: record[1]):
        if arrived < resumed:
            continue
        answers += 1
        failed += not good
        enough = answers >= CALLS_MIN and failed >= FAILED_MIN
        if crossing is None and enough and failed > THRESHOLD * answers:
            crossing, at_crossing = answered, (failed, answers)
    new_calls = [arrived for arrived, _, _, _, is_first, _ in records if is_first]
    if crossing is None or not new_calls:
        raise rig.Trouble("a reversal without a crossing answer: is another rule at work?\n"
                          + json.dumps(status)[:800])
    leaks_from = seen_reversed + SETTLED_NS
    flipped = max((arrived for arrived in new_calls if arrived < leaks_from), default=crossing)
    verification = status.get("verification") or {}
    return {
        "ms": (flipped - crossing) / 1e6,
        "status_ms": (polled_before - crossing) / 1e6,
        "failed": at_crossing[0],
        "answers": at_crossing[1],
        "leaked": sum(arrived >= leaks_from for arrived in new_calls),
        "own_count": verification.get("new_calls_on_new"),
    }


def wait_for_reversal(proxy, backends):
    """Polls the status; gives it and the backends' clock when it said `reversed`."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        status = proxy.status()
        if status["phase"] == "reversed":
            return status, backends.seen(backends.new)["now_ns"]
        time.sleep(0.02)
    raise rig.Trouble(f"no reversal within 20 s of the fault; status:\n{json.dumps(proxy.status())[:1500]}")


def report(given, rate, cycles):
    times = [c["ms"] for c in cycles]
    median, p99 = rig.quantile(times, 0.5), rig.quantile(times, 0.99)
    leaked = sum(c["leaked"] for c in cycles) + sum(c["own_count"] or 0 for c in cycles)
    untold = sum(c["own_count"] is None for c in cycles)
    print(f"\n{len(cycles)} flips: median {median:.0f} ms, p99 {p99:.0f} ms, longest {max(times):.0f} ms; "
          f"new calls on new after a flip: {leaked}")
    score = f"median {median:.0f} ms, p99 {p99:.0f} ms of {len(cycles)} flips; {leaked} new calls on new afterwards"
    rig.score(11, score, p99 <= 400 and median <= 150 and not leaked)
    if untold:
        print(f"note: {untold} times the status had no verification.new_calls_on_new")
    if given.json:
        with open(given.json, "w") as out:
            json.dump({"machine": rig.machine(), "rate": rate, "flips": cycles, "median_ms": median,
                       "p99_ms": p99, "leaked": leaked}, out, indent=1)
    if leaked:
        return 1
    return 1 if given.gate and (median > 150 or p99 > 400) else 0


if __name__ == "__main__":
    rig.main(main)
