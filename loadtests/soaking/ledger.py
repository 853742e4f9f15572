"""What happened when, and whether it explains what a caller got.

A webhook that took from `asked` to `heard` is explained by a time of sickness that
touches this span. A time of sickness is from the moment a fault is ordered to EDGE
after its end was confirmed: what was on its way then, and what lay in connections that
have died since. That is the only grace there is.
"""

import collections
import time

EDGE = 0.5
# A pin is written as its call changes; one so young may be lost in a `kill -9`.
PIN_YOUNG = 0.5


class Times:
    """Spans of time, the last of which may be open."""

    def __init__(self):
        self.spans = []

    def begin(self):
        self.spans.append([time.monotonic(), None])

    def end(self):
        if self.spans and self.spans[-1][1] is None:
            self.spans[-1][1] = time.monotonic() + EDGE

    def touch(self, asked, heard):
        for begun, ended in reversed(self.spans):
            if ended is not None and ended < asked:
                return False
            if begun <= heard:
                return True
        return False


class Ledger:
    def __init__(self):
        self.sick = {"legacy": Times(), "new": Times()}
        # The proxy itself is gone; its disk is full; callers are more than the caps.
        self.gone, self.full, self.crowded = Times(), Times(), Times()
        # Flaws that legacy shows itself, so that they pass: seen in the status.
        self.habits = Times()
        self.kills = []
        # The age of the oldest pin that a kill has lost, in seconds.
        self.oldest_lost = 0.0
        self.counts = collections.Counter()
        self.explained = collections.Counter()
        self.broken = []
        # Since the proxy's process began: what its metrics must say.
        self.life = collections.Counter()
        self.latched_since = None
        # When each call began, until it is asked for no more.
        self.began = {}

    def explain(self, why):
        self.explained[why] += 1

    def promise_broken(self, what):
        self.broken.append(f"{time.strftime('%H:%M:%S')} {what}")
        print(f"  BROKEN  {self.broken[-1]}", flush=True)

    def voice(self, webhook):
        """Judges what a caller heard."""
        w = webhook
        legacy_sick = self.sick["legacy"].touch(w.asked, w.heard)
        new_sick = self.sick["new"].touch(w.asked, w.heard)
        if w.what == "sound":
            return
        if w.what == "moved":
            if new_sick or self.moving(w):
                self.explain("sent to legacy's entry midway")
            else:
                self.explain("sent to legacy's entry although new was well (late, breaker)")
        elif w.what == "last resort":
            if legacy_sick:
                self.explain("last resort: legacy was sick too")
            elif new_sick and w.bridged:
                self.explain("last resort: after a conversation nobody is sent to the entry")
            elif self.crowded.touch(w.asked, w.heard):
                self.explain("last resort: more callers than the cap")
            else:
                self.promise_broken(f"a last resort with legacy well: {w}")
        elif w.what == "unsound" and w.backend == "legacy" and legacy_sick:
            self.explain("legacy's own flawed 200 passes")
        elif w.what == "unsound" and w.backend == "new" and self.habits.touch(w.asked, w.heard):
            self.explain("a flaw that legacy shows as well passes")
        else:
            self.promise_broken(f"a caller got {w.what}: {w}")

    def moving(self, webhook):
        return self.latched_since is not None and self.latched_since <= webhook.heard

    def event(self, webhook):
        """Judges an answer that nobody waited for and that was no success."""
        w = webhook
        sick = [name for name in ("legacy", "new") if self.sick[name].touch(w.asked, w.heard)]
        if (w.backend or "legacy") in sick or (w.backend is None and sick):
            self.explain(f"a report failed, and came again: {' and '.join(sick)} sick")
        elif w.status == 503 and self.crowded.touch(w.asked, w.heard):
            self.explain("a report turned away by the cap, and came again")
        else:
            self.promise_broken(f"a report failed with its backend well: {w}")

    def lost(self, webhook, why):
        """A connection that died."""
        if self.gone.touch(webhook.asked, time.monotonic()):
            self.explain("the connection died with the proxy, and was opened again")
            return True
        self.promise_broken(f"{why}: {webhook}")
        return False

    def affinity(self, call, webhook):
        """One way: what legacy answered stays legacy's."""
        if call.legacy_at and webhook.backend == "new":
            killed = [at for at in self.kills if call.legacy_at - PIN_YOUNG <= at <= webhook.heard]
            if any(self.full.touch(call.legacy_at, at) for at in killed):
                self.explain("a pin that a full disk did not take, and the proxy killed")
            elif any(at - call.legacy_at < PIN_YOUNG for at in killed):
                self.explain("a pin so young when the proxy was killed that it was not on disk")
                self.oldest_lost = max(self.oldest_lost, *(at - call.legacy_at for at in killed))
            else:
                self.promise_broken(f"answered by new after legacy (legacy {time.monotonic() - call.legacy_at:.2f} s ago): {webhook}")
        if webhook.backend == "legacy" and not call.legacy_at:
            call.legacy_at = webhook.heard
        if call.home is None and webhook.backend:
            call.home = webhook.backend
            if webhook.backend == "new" and self.latched_since and self.latched_since < call.began:
                self.promise_broken(f"a new call on new while latched: {webhook}")
