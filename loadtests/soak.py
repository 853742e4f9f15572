#!/usr/bin/env python3
"""Everything at once: callers of four providers through a proxy whose backends, disk,
clients and operator misbehave, for as long as one likes.

  soak.py --brief          40 seconds, as CI runs it
  soak.py                  10 minutes
  soak.py --minutes 60
  soak.py --seed 7         the same episodes again

Episodes are drawn by a seed: new answers errors, hangs, lies, dies; legacy does; rarely
both; `kill -9` and SIGTERM of the proxy; a full disk (root only: it mounts a small
tmpfs); reversals, rollbacks, resumes, percentages, tenants, reloads, broken files; slow,
bad and rude clients; more callers than the cap.

What must hold
  1  No caller gets an error, an unsound document or a last resort that is not explained.
     Explained: legacy itself was sick while the webhook was on its way (from the order
     of the fault to half a second after its end); a Dial was over and new was sick (after
     a conversation nobody is sent to the entry); a flaw that legacy shows as well; more
     callers than the cap; a connection died with a killed proxy. Reports are no callers:
     theirs is explained by the sickness of the backend that was asked, and they come again.
  2  What legacy has answered stays legacy's, over kills too (but for what was learned in the
     half second before one). Nothing begins on new while it is latched, by the callers'
     record, new's own, and the proxy's.
  3  Memory, descriptors and threads at the end, after 5.5 s in quiet, are those after warm-up:
     at most 24 MiB and 1 KiB a call, 24 descriptors and 1 thread more. At no time are there
     more descriptors than the limits allow.
  4  The proxy's counts are the callers': answers, last resorts, moves to legacy's entry.
  5  SIGTERM ends it in time, with 0, under load; a restart reads its journal and is in the
     same state.
"""

import argparse
import asyncio
import json
import random
import sys
import time

import rig
from soaking import callers, clients
from soaking.episodes import Episodes
from soaking.house import House
from soaking.judge import Judge
from soaking.ledger import Ledger

# drain_timeout and stream_drain_timeout of soak.toml, and two seconds.
DRAIN_MOST = 10.0


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="how long (10)")
    parser.add_argument("--brief", action="store_true", help="40 seconds")
    parser.add_argument("--seed", type=int, help="repeat the episodes of this seed")
    parser.add_argument("--callers", type=int, default=30, help="at once (30)")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    return parser.parse_args()


async def soak(given, seed, house, ledger):
    dice = random.Random(seed)
    gate = callers.Gate()
    judge = Judge(house, ledger, gate, random.Random(seed + 1))
    episodes = Episodes(house, ledger, dice, judge, given.brief)
    jobs = [callers.Caller(callers.KINDS[number % len(callers.KINDS)], house.port, gate, ledger, random.Random(seed + 100 + number)).run()
            for number in range(given.callers)]
    jobs += [clients.Streams(house.port, gate, ledger, random.Random(seed + 50 + number)).run() for number in range(4)]
    jobs = [asyncio.ensure_future(job) for job in (*jobs, judge.watch())]
    seconds = 36 if given.brief else given.minutes * 60
    for job in jobs:
        job.add_done_callback(trouble(ledger))
    await asyncio.sleep(1.5)
    try:
        return await story(seconds, episodes, judge, house, ledger, gate)
    finally:
        gate.over = True
        gate.open.set()
        await asyncio.wait(jobs, timeout=10)


async def story(seconds, episodes, judge, house, ledger, gate):
    """One episode after the other, and the end."""
    begun = time.monotonic()
    while (gone := time.monotonic() - begun) < seconds:
        # One life is long, so that what grows can be seen.
        judge.may_restart = gone < seconds * 0.5
        before = ledger.counts.copy()
        said = await episodes.next(judge.may_restart)()
        said += await judge.between()
        tell(gone, said, ledger.counts - before)
    await episodes.dismiss()
    await judge.settle()
    figures = {"burden": await judge.bounded(), "comparisons": judge.checks, "reversals": judge.reversals, "resumes": judge.resumes}
    return figures | await end(house, ledger, gate, judge)


def trouble(ledger):
    """A bug of the soak is no promise of the proxy, but nothing is proven by it either."""
    def look(job):
        if not job.cancelled() and job.exception():
            ledger.promise_broken(f"the soak itself: {job.exception()!r}")
    return look


def tell(at, said, counts):
    told = ", ".join(f"{counts[what]} {what}" for what in ("voice", "reports", "moved", "last resort", "connections died") if counts[what])
    print(f"{int(at) // 60:3}:{int(at) % 60:02}  {said}: {told}", flush=True)


async def end(house, ledger, gate, judge):
    """SIGTERM with callers on the line, and once more from what it left behind."""
    await judge.look()
    before = {key: judge.status[key] for key in ("phase", "percentage", "latched")}
    took, code = await house.terminate(DRAIN_MOST)
    gate.over = True
    if code != 0:
        ledger.promise_broken(f"after SIGTERM it ended with {code} after {took:.1f} s")
        return {"drain": took}
    await house.restart()
    await judge.look()
    after = {key: judge.status[key] for key in before}
    if after != before:
        ledger.promise_broken(f"before the last restart {before}, after it {after}")
    status, journal = await house.ask(house.admin, "GET", "/api/v1/journal")
    if status != 200 or not journal.strip():
        ledger.promise_broken(f"the journal after a restart: {status} {journal[:200]}")
    _, code = await house.terminate(DRAIN_MOST)
    if code != 0:
        ledger.promise_broken(f"idle, it ended with {code} after SIGTERM")
    return {"drain": round(took, 2)}


def summary(ledger, figures):
    print()
    for what in ("calls", "webhooks", "voice", "sound", "reports", "reports given up", "streams", "words echoed", "connections died"):
        print(f"  {ledger.counts[what]:9}  {what}")
    print("  explained:")
    for why, times in ledger.explained.most_common():
        print(f"  {times:9}  {why}")
    print(f"  {figures.get('reversals', 0):9}  reversals by the rule, {figures.get('resumes', 0)} resumed")
    print(f"  {figures.get('comparisons', 0):9}  times everything counted was compared")
    print(f"  {ledger.oldest_lost * 1000:9.0f}  ms, the age of the oldest pin that a kill has lost")
    print(f"  burden: {figures.get('burden')}; drained in {figures.get('drain')} s")
    print(f"  {len(ledger.broken):9}  promises broken")


def main():
    given = options()
    seed = given.seed if given.seed is not None else time.time_ns() % 2**32
    print(f"seed {seed}", flush=True)
    ledger = Ledger()
    house = House(rig.Programs(), ledger)
    if not house.mounted:
        print("LEFT OUT: the full disk: this user may not mount a tmpfs")
    try:
        figures = asyncio.run(soak(given, seed, house, ledger))
        summary(ledger, figures)
        if given.json:
            told = {"seed": seed, "figures": figures, "counts": ledger.counts, "explained": ledger.explained, "broken": ledger.broken}
            with open(given.json, "w") as out:
                json.dump(told, out, indent=1)
        if ledger.broken:
            print(f"\nseed {seed}; the proxy's last lines:", *house.tail(), sep="\n", file=sys.stderr)
        return 1 if ledger.broken else 0
    finally:
        house.leave()


if __name__ == "__main__":
    rig.main(main)
