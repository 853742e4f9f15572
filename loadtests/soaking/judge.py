"""Watches the proxy while everything happens: what must be 0, what must add up, what
must not grow, and that nothing new begins on new while it is latched."""

import asyncio
import http.client
import json
import os
import time

from soaking.house import total
from soaking.ledger import PIN_YOUNG

# What a process may have grown by from its warm-up to its end.
MORE_BYTES, MORE_PER_CALL, MORE_DESCRIPTORS, MORE_THREADS = 24 << 20, 1024, 24, 1
WARM = 6.0
# Connections to backends are closed after 4 s without use.
IDLE = 5.5
# `connections` of soak.toml, idle connections to two backends (1,024 for each worker), and a few.
MOST_DESCRIPTORS = 2000 + 2 * 1024 * (os.cpu_count() or 1) + 200
ZERO = ("switchback_new_calls_after_latch_total", "switchback_verification_escalations_total", "switchback_panics_total",
        "switchback_workers_replaced_total", "switchback_tally_dropped_total", "switchback_access_log_dropped_total")
TROUBLE = (OSError, ValueError, http.client.HTTPException)


class Judge:
    def __init__(self, house, ledger, gate, dice):
        self.house, self.ledger, self.gate, self.dice = house, ledger, gate, dice
        self.asking = asyncio.Lock()
        self.status, self.told = {}, set()
        self.base, self.calls_then, self.peak = None, 0, (0, 0, 0)
        self.may_restart, self.checks, self.reversals, self.resumes = True, 0, 0, 0

    # -- all the time ------------------------------------------------------------------

    async def watch(self):
        while not self.gate.over:
            await asyncio.sleep(0.2)
            if self.ledger.gone.touch(time.monotonic(), time.monotonic()):
                continue
            try:
                await self.look()
            except TROUBLE as error:
                if not self.ledger.gone.touch(time.monotonic() - 1, time.monotonic()):
                    self.ledger.promise_broken(f"the admin API does not answer: {error!r}")

    async def look(self):
        async with self.asking:
            pid = self.house.process.pid
            _, text = await self.house.ask(self.house.admin, "GET", "/api/v1/status")
            if pid != self.house.process.pid:
                return
            self.status = json.loads(text)
            if self.status["latched"] and self.ledger.latched_since is None:
                self.ledger.latched_since = time.monotonic()
                self.reversals += self.status["phase"] == "reversed"
            elif not self.status["latched"] and self.ledger.latched_since is not None:
                self.ledger.promise_broken("the latch was cleared by nobody")
                self.ledger.latched_since = None
            habits = self.ledger.habits
            is_known = bool(habits.spans) and habits.spans[-1][1] is None
            if self.status["habits"] and not is_known:
                habits.begin()
            elif not self.status["habits"] and is_known:
                habits.end()
        series = await self.house.metrics()
        for name in ZERO:
            value = total(series, name)
            if value and (name, value, pid) not in self.told:
                self.told.add((name, value, pid))
                self.ledger.promise_broken(f"{name} {value:.0f}")
        self.peak = tuple(map(max, self.peak, self.house.burden()))

    async def until(self, fact, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                await self.look()
                if fact(self.status):
                    return True
            except TROUBLE:
                pass
            await asyncio.sleep(0.1)
        return False

    # -- lives of the process --------------------------------------------------------------

    async def killing(self):
        """Before a `kill -9`: often, all that was counted must add up first."""
        if self.dice.random() < 0.6 and not self.is_sick():
            await self.settle()
        since = self.ledger.latched_since
        # A latch so young may be lost with the process that decided it.
        if since is not None and time.monotonic() - since < PIN_YOUNG:
            self.ledger.latched_since = None

    async def begun_again(self):
        self.base = None
        was = self.ledger.latched_since
        await self.look()
        if was is not None and not self.status["latched"]:
            self.ledger.promise_broken("the latch was lost with the process")

    def is_sick(self):
        now = time.monotonic()
        return any(times.touch(now, now) for times in (*self.ledger.sick.values(), self.ledger.gone, self.ledger.full))

    # -- between episodes --------------------------------------------------------------------

    async def between(self):
        """Back to work: what was latched is proven, then resumed."""
        await asyncio.sleep(0.7)
        if self.base is None and time.monotonic() - self.house.started > WARM:
            await self.settle()
            await asyncio.sleep(0.2)
            self.base, self.calls_then = self.house.burden(), self.ledger.counts["calls"]
        await self.look()
        said = ""
        if self.ledger.latched_since is not None:
            await self.proof()
            former = self.status["former_percentage"] or 0
            async with self.asking:
                self.ledger.latched_since = None
                status, text = await self.house.order("resume", percentage=former)
            self.resumes += 1
            said = f"; {self.status['phase']}, resumed at {former:g} %"
            if status >= 300:
                self.ledger.promise_broken(f"resume at {former} % was refused: {status} {text[:200]}")
        await asyncio.sleep(self.dice.uniform(0.2, 0.8))
        if self.status.get("percentage", 0) < 30 or said:
            await self.house.order("percentage", percentage=self.dice.choice((30, 50, 70)))
        return said

    async def proof(self):
        """New itself heard of no call that began after the latch was seen."""
        since = self.ledger.latched_since + 0.05
        _, text = await self.house.ask(self.house.ports["new"], "GET", f"/_first?since={since}")
        fresh = [call for call in json.loads(text) if self.ledger.began.get(call, 0) > since]
        if fresh:
            self.ledger.promise_broken(f"{len(fresh)} calls began on new while latched, first {fresh[0]}")
        self.ledger.began.clear()

    async def settle(self):
        """Holds the callers back for a moment and compares the proxy's counts with theirs."""
        self.gate.open.clear()
        try:
            await self.gate.idle.wait()
            series = await self.still()
            self.compare(series)
        finally:
            self.gate.open.set()

    async def still(self):
        """The metrics, once they no longer move: what was late may still be awaited."""
        before, since = None, time.monotonic()
        end = since + 8
        while time.monotonic() < end:
            series = await self.house.metrics()
            now = sorted((name, labels, value) for name, labels, value in series
                         if name in ("switchback_webhooks_total", "switchback_rescues_total", "switchback_webhooks_uncounted_total"))
            if now != before:
                before, since = now, time.monotonic()
            # No fault is longer than the time-out of 3 s.
            elif time.monotonic() - since > (3.3 if self.ledger.life["late"] else 0.4):
                break
            await asyncio.sleep(0.1)
        return series

    def compare(self, series):
        """Each webhook is counted where it was asked, and once more where legacy was asked too."""
        self.checks += 1
        life = self.ledger.life
        ours = [each for each in series if "/rude" not in each[1]]
        counted = total(ours, "switchback_webhooks_total") + total(ours, "switchback_webhooks_uncounted_total")
        rescues = {result: total(ours, "switchback_rescues_total", f'result="{result}"')
                   for result in ("served", "moved", "late", "last-resort", "failed")}
        twice = rescues["served"] + rescues["late"] + rescues["failed"]
        # A move by an operator's order asks nobody; a last resort may have asked one or two.
        least, most = life["answers"] + twice - rescues["moved"], life["answers"] + twice + rescues["last-resort"]
        if not least <= counted <= most:
            self.ledger.promise_broken(f"the proxy counts {counted:.0f} webhooks asked of backends; callers had {life['answers']} answers, "
                                       f"so {least:.0f} to {most:.0f} ({rescues})")
        for result, ours in (("moved", life["moved"]), ("last-resort", life["last resort"])):
            if rescues[result] != ours:
                self.ledger.promise_broken(f"the proxy counts {rescues[result]:.0f} {result}, callers heard {ours}")

    # -- the end --------------------------------------------------------------------------------

    async def bounded(self):
        """After the last episode, in quiet: as it was when it was warm."""
        if self.base is None:
            return "the last life was too short to be measured"
        # Held back, so that connections to backends fall idle and close, as many as there are.
        self.gate.open.clear()
        await self.gate.idle.wait()
        await asyncio.sleep(IDLE)
        calls = self.ledger.counts["calls"] - self.calls_then
        end = self.house.burden()
        room = (MORE_BYTES + calls * MORE_PER_CALL, MORE_DESCRIPTORS, MORE_THREADS)
        for what, then, now, more in zip(("resident bytes", "descriptors", "threads"), self.base, end, room):
            if now > then + more:
                self.ledger.promise_broken(f"{what}: {then} when warm, {now} at the end, {more} more allowed")
        self.gate.open.set()
        if self.peak[1] > MOST_DESCRIPTORS:
            self.ledger.promise_broken(f"{self.peak[1]} descriptors at a time, {MOST_DESCRIPTORS} are all that its limits allow")
        (b0, d0, t0), (b1, d1, t1) = self.base, end
        return (f"{b0 >> 20} -> {b1 >> 20} MiB, {d0} -> {d1} descriptors, {t0} -> {t1} threads over {calls} calls "
                f"(most at any time {self.peak[0] >> 20} MiB, {self.peak[1]}, {self.peak[2]})")
