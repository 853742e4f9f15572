"""What is done to the proxy: one thing after the other, drawn like cards, by the seed.

An episode of a sick backend makes one of them sick and never both, but for those that
say so. Beside any of them there may be reloads, changes of the percentage, or clients
that behave badly.
"""

import asyncio
import random
import time

from soaking import callers, clients

FAULTS = ("500", "503", "404", "html", "broken", "empty", "reset", "close", "hang", "halfway", "garbage", "slow")


class Episodes:
    def __init__(self, house, ledger, dice, judge, is_brief):
        self.house, self.ledger, self.dice, self.judge = house, ledger, dice, judge
        self.span = (1.5, 3.0) if is_brief else (2.0, 6.0)
        self.loose, self.rude = [], 0
        self.deck = []
        # How often each is in the deck.
        self.cards = [
            (self.new_sick, 3), (self.new_killed, 1), (self.legacy_sick, 1), (self.legacy_killed, 1), (self.both_sick, 1),
            (self.killed, 1), (self.rolled_back, 1), (self.disk_full, 1), (self.crowd, 1), (self.flapping, 1),
        ] if is_brief else [
            (self.new_sick, 8), (self.new_killed, 2), (self.legacy_sick, 3), (self.legacy_killed, 1), (self.both_sick, 1),
            (self.killed, 2), (self.killed_while_new_sick, 1), (self.ended_and_begun, 1), (self.rolled_back, 3),
            (self.disk_full, 2), (self.crowd, 1), (self.flapping, 2), (self.quiet, 2),
        ]
        if not house.mounted:
            self.cards = [card for card in self.cards if card[0] != self.disk_full]

    def next(self, restarts):
        """The next episode; without `restarts` one that leaves the proxy's process alone."""
        ending = (self.killed, self.killed_while_new_sick, self.ended_and_begun)
        for _ in range(2):
            if not any(restarts or card not in ending for card in self.deck):
                self.deck = [card for card, times in self.cards for _ in range(times)]
                self.dice.shuffle(self.deck)
                # What ends the process comes first in a short run, so that one life is long.
                if len(self.deck) < 15:
                    self.deck.sort(key=lambda card: card in ending)
            for at in range(len(self.deck) - 1, -1, -1):
                if restarts or self.deck[at] not in ending:
                    return self.deck.pop(at)
        return self.quiet

    async def last(self, least=None, most=None):
        """For as long as an episode lasts, with things beside it."""
        until = time.monotonic() + self.dice.uniform(least or self.span[0], most or self.span[1])
        beside = [self.dice.choice((self.reload, self.reload_broken, self.percentage, self.slow, self.bad, self.tenant)) for _ in range(self.dice.choice((0, 1, 1, 2)))]
        for each in beside:
            await asyncio.sleep(self.dice.uniform(0.0, 0.5))
            await each()
        await asyncio.sleep(max(0.0, until - time.monotonic()))
        return "".join(f", {each.__name__.replace('_', ' ')}" for each in beside)

    # -- sick backends ---------------------------------------------------------------

    async def sick(self, name):
        kind = self.dice.choice(FAULTS)
        share = self.dice.choice((1.0, 1.0, 0.5, 0.15))
        ms = self.dice.choice((900, 2000, 3500) if name == "new" else (3300, 5000))
        await self.house.fault(name, kind, share, ms)
        return f"{name}: {kind}{f' {ms} ms' if kind == 'slow' else ''} for {share:.0%}"

    async def new_sick(self):
        said = await self.sick("new")
        said += await self.last()
        await self.house.fault("new", "none")
        return said

    async def legacy_sick(self):
        said = await self.sick("legacy")
        said += await self.last()
        await self.house.fault("legacy", "none")
        return said

    async def both_sick(self):
        said = await self.sick("new") + ", " + await self.sick("legacy")
        said += await self.last()
        await self.house.fault("legacy", "none")
        await self.house.fault("new", "none")
        return said

    async def killed_backend(self, name):
        await self.house.kill_backend(name)
        said = await self.last()
        await self.house.restart_backend(name)
        return f"{name} killed, and there again" + said

    async def new_killed(self):
        return await self.killed_backend("new")

    async def legacy_killed(self):
        return await self.killed_backend("legacy")

    async def flapping(self):
        times = self.dice.randrange(3, 7)
        for _ in range(times):
            await self.house.fault("new", self.dice.choice(FAULTS), 1.0, 900)
            await asyncio.sleep(self.dice.uniform(0.1, 0.6))
            await self.house.fault("new", "none")
            await asyncio.sleep(self.dice.uniform(0.1, 0.6))
        return f"new: sick and well {times} times"

    async def quiet(self):
        """New is slower than usual, but in time; everything else is well."""
        ms = self.dice.choice((20, 150, 250))
        await self.house.fault("new", "slow", 1.0, ms)
        said = await self.last()
        await self.house.fault("new", "none")
        return f"all well, new takes {ms} ms" + said

    async def crowd(self):
        """More callers than legacy's cap lets through, and legacy slow."""
        self.ledger.crowded.begin()
        await self.house.fault("legacy", "slow", 1.0, 350)
        more = [callers.Caller(callers.Texml, self.house.port, self.judge.gate, self.ledger, random.Random(self.dice.random())) for _ in range(120)]
        jobs = [asyncio.ensure_future(each.run()) for each in more]
        said = await self.last()
        for each in more:
            each.leaves = True
        await asyncio.gather(*jobs)
        await self.house.fault("legacy", "none")
        self.ledger.crowded.end()
        return "120 more callers, legacy takes 350 ms" + said

    # -- the proxy itself ---------------------------------------------------------------

    async def killed(self):
        down = self.dice.uniform(0.0, 0.4)
        await self.judge.killing()
        await self.house.kill(down)
        await self.judge.begun_again()
        return f"the proxy killed, away {down:.1f} s" + await self.last()

    async def killed_while_new_sick(self):
        said = await self.sick("new")
        await asyncio.sleep(self.dice.uniform(0.2, 1.0))
        said += ", " + await self.killed()
        await self.house.fault("new", "none")
        return said

    async def ended_and_begun(self):
        took, code = await self.house.terminate(20)
        if code != 0:
            self.ledger.promise_broken(f"SIGTERM in mid-run: it ended with {code} after {took:.1f} s")
        await self.house.restart()
        await self.judge.begun_again()
        return f"the proxy ended by SIGTERM within {took:.1f} s and begun again" + await self.last()

    async def disk_full(self):
        self.house.fill()
        said = "the disk full"
        if self.dice.random() < 0.5:
            await self.order("rollback", level="total")
            said += ", rollback total"
        said += await self.last()
        if self.dice.random() < 0.4 and self.judge.may_restart:
            await asyncio.sleep(0.6)
            said += ", " + await self.killed()
        self.house.drain()
        if not await self.judge.until(lambda status: status["durable"], 20):
            self.ledger.promise_broken("not everything is on disk 20 s after it had room again")
        return said

    # -- the operator ---------------------------------------------------------------------

    async def order(self, path, **body):
        """An order that must be obeyed; a raise may be refused for a reason."""
        status, text = await self.house.order(path, **body)
        raising = path in ("percentage", "resume") or path.startswith("tenants")
        if status >= 300 and not raising:
            self.ledger.promise_broken(f"{path} {body}: {status} {text[:200]}")
        return status

    async def rolled_back(self):
        live = self.dice.choice(("drain", "move"))
        await self.order("rollback", level="total", live=live)
        return f"rollback total, live calls {live}" + await self.last()

    async def percentage(self):
        await self.order("percentage", percentage=self.dice.choice((10, 30, 50, 80)))

    async def tenant(self):
        number = f"%2B1312555{self.dice.randrange(1000):04}"
        await self.order(f"tenants/{number}", list=self.dice.choice(("enabled", "disabled", None)))

    async def reload(self):
        for _ in range(self.dice.randrange(1, 6)):
            self.house.percentage = self.dice.choice((40, 50, 60))
            self.house.write_config()
            self.house.hang_up()
            await asyncio.sleep(0.05)

    async def reload_broken(self):
        self.house.write_config(broken=True)
        self.house.hang_up()
        await asyncio.sleep(0.3)
        self.house.write_config()
        self.house.hang_up()

    # -- clients ------------------------------------------------------------------------------

    async def slow(self):
        port = self.house.port
        jobs = [clients.slowly(port, 6) for _ in range(30)] + [clients.idly(port, 4) for _ in range(60)]
        self.loose += [asyncio.ensure_future(job) for job in jobs]

    async def bad(self):
        port = self.house.port
        jobs = [clients.badly(port, self.dice) for _ in range(60)]
        jobs += [clients.rudely(port, self.dice, self.rude + number) for number in range(60)]
        self.rude += 60
        self.loose += [asyncio.ensure_future(job) for job in jobs]

    async def dismiss(self):
        """Until the clients beside have gone."""
        await asyncio.gather(*self.loose, return_exceptions=True)
        self.loose.clear()
