#!/usr/bin/env python3
"""`kill -9` at any moment of a flip, flips on a full disk, and a disk that fails at any
call that the journal makes.

    tests/crash.py          50 kills
    tests/crash.py --long   1,000 kills

After each kill the state found at restart must be the one before the flip or the
one after it, nothing else; and a flip that could not be recorded must still be a
flip after the crash.
"""

import contextlib
import http.client
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time

from disk_faults import every_call
from lab import Lab, binary, check
from score import score


def kills(rounds):
    seed = int(os.environ.get("SEED", time.time_ns() % 2**32))
    print(f"  seed {seed}")
    chance = random.Random(seed)
    lab = Lab(percentage=50)
    lab.start()
    flipped = kept = 0
    for number in range(rounds):
        before = lab.status()
        check(not before["latched"] and before["percentage"] == 50, f"round {number} begins at 50 %: {before['phase']}")
        outcome = {}

        def order():
            try:
                outcome["answer"] = lab.order("/api/v1/rollback", level="total")
            except OSError:
                outcome["answer"] = None

        asker = threading.Thread(target=order)
        asker.start()
        time.sleep(chance.uniform(0, 0.004))
        lab.kill()
        asker.join()
        lab.start()
        after = lab.status()
        old = not after["latched"] and after["percentage"] == 50
        new = after["latched"] and after["phase"] == "rolled-back"
        check(old or new, f"round {number}: neither the old nor the new state: {json.dumps(after)[:400]}")
        answered = outcome.get("answer")
        durable = answered and answered[0] == 200 and answered[1].get("durable")
        check(new or not durable, f"round {number}: a rollback answered as durable was lost")
        flipped += new
        kept += old
        if new:
            status, body = lab.order("/api/v1/resume", percentage=50)
            check(status == 200, f"round {number}: resume was refused: {body}")
    lab.kill()
    score(8, f"{rounds:,} of {rounds:,} right after `kill -9`: {flipped} the new state, {kept} the old one", True)
    print(f"  {rounds} kills: {flipped} times the new state, {kept} times the old one, never another")


def acknowledged(rounds):
    """What was answered as durable survives."""
    lab = Lab(percentage=50)
    lab.start()
    for number in range(rounds):
        percentage = 5 + number % 40
        status, body = lab.order("/api/v1/percentage", percentage=percentage)
        check(status == 200, f"set {percentage} was refused: {body}")
        durable = body.get("durable") and lab.until(lambda: lab.status()["durable"])
        time.sleep(0.03)
        lab.kill()
        lab.start()
        now = lab.status()["percentage"]
        check(not durable or now == percentage, f"{percentage} % was recorded, after the crash it is {now} %")
    lab.kill()
    print(f"  {rounds} recorded changes survived their crash")


def pins():
    """A call keeps its backend over a crash, whatever the percentage has become."""
    lab = Lab(percentage=50)
    lab.start()
    homes = {f"v3:pin{n}": None for n in range(200)}
    for sid in homes:
        homes[sid] = lab.call(sid)[1]
    check({"legacy", "new"} == set(homes.values()), "both backends have calls")
    time.sleep(0.5)
    lab.order("/api/v1/percentage", percentage=1)
    lab.kill()
    lab.start()
    moved = [sid for sid, home in homes.items() if lab.call(sid, "/ivr/menu", "&Digits=1")[1] != home]
    check(not moved, f"{len(moved)} of {len(homes)} calls changed their backend over the crash")
    lab.kill()
    print(f"  {len(homes)} calls kept their backend over a crash")


WAYS = [10, 30, 60, 100]
PLAN = """
[plan]
advance = "auto"
""" + "".join(f'''
[[plan.stage]]
name = "to {percentage}"
percentage = {percentage}
soak = "400ms"
calls_min = 0
''' for percentage in WAYS)


def advancing(rounds):
    """Kills while a plan advances: it goes on where it was, or one stage further, never back."""
    lab = Lab(percentage=0, extra=PLAN)
    read = subprocess.run([binary(), "check", "--config", str(lab.config)], capture_output=True)
    check(read.returncode == 0, f"the plan is refused: {read.stderr.decode()}")
    seed = int(os.environ.get("SEED", time.time_ns() % 2**32))
    print(f"  seed {seed}")
    chance = random.Random(seed)
    over, ends = threading.Event(), 0
    lab.start()

    def load():
        while not over.wait(0.01):
            with contextlib.suppress(OSError, http.client.HTTPException):
                lab.call()

    callers = threading.Thread(target=load)
    callers.start()
    try:
        for number in range(rounds):
            # The plan looks as it starts and a second later: both are to be met.
            time.sleep(chance.choice((0.2, 1.2)) * chance.random())
            before = lab.status()
            lab.kill()
            lab.start()
            after = lab.status()
            check(after["percentage"] in [0, *WAYS] and not after["latched"], f"round {number}: {json.dumps(after)[:400]}")
            was, now = before["plan"]["number"], after["plan"]["number"]
            check(was <= now, f"round {number}: stage {was} became stage {now} over the crash")
            same = was == now and before["plan"]["since"] != after["plan"]["since"]
            check(not same, f"round {number}: stage {was} began anew over the crash")
            if after["phase"] == "complete":
                ends += 1
                # The plan begins anew, with its first stage.
                for order, more in (("rollback", {"level": "total"}), ("resume", {})):
                    status, body = lab.order(f"/api/v1/{order}", **more)
                    check(status == 200, f"{order}: {body}")
    finally:
        over.set()
        callers.join()
    lab.kill()
    check(stages(lab) > 0, "no stage ever began")
    print(f"  {rounds} kills while a plan advanced, {ends} times to its end: no stage lost, skipped or begun twice")


def stages(lab):
    """Which stages the journal tells of: every one, each once, in their order, as often as the plan began."""
    lines = (lab.state / "journal.jsonl").read_text().splitlines(keepends=True)
    told = [json.loads(line) for line in lines if line.endswith("\n")]
    run, begun = [], 0
    for line in told:
        if line["action"] == "advance":
            run.append(line["after"]["percentage"])
            begun += 1
            check(run == WAYS[: len(run)], f"the stages began as {run}")
        elif line["action"] == "complete":
            check(run == WAYS, f"the plan was complete after {run}")
        elif line["action"] == "resume":
            run = []
    return begun


def full_disk():
    """A reversal on a full disk, then `kill -9`: reversed."""
    mount = tempfile.mkdtemp(prefix="switchback-full-")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", mount], capture_output=True).returncode == 0
    if not mounted:
        print("  LEFT OUT: flips on a full disk: this user may not mount a tmpfs")
        return
    try:
        lab = Lab(percentage=50, state=pathlib.Path(mount) / "state")
        lab.start()
        filler = pathlib.Path(mount) / "filler"
        with open(filler, "wb", buffering=0) as out:
            try:
                while True:
                    out.write(b"x" * 4096)
            except OSError:
                pass
            try:
                while True:
                    out.write(b"x")
            except OSError:
                pass
        # The journal's last block still has room for some lines; then there is none.
        raises = (lab.order("/api/v1/percentage", percentage=51 + number % 40) for number in range(200))
        check(any(status == 503 for status, _ in raises), "a raise on a full disk is refused")
        lab.new.failing = True
        served = 0
        for _ in range(400):
            status, backend = lab.call()
            served += status == 200
            if lab.status()["latched"]:
                break
        check(lab.until(lambda: lab.status()["phase"] == "reversed"), "the rule reverses on a full disk")
        check(all(lab.call()[1] == "legacy" for _ in range(50)), "every new call goes to legacy, with the disk full")
        lab.until(lambda: not lab.status()["durable"], 3)
        print(f"  durable after the flip on a full disk: {lab.status()['durable']}")
        time.sleep(0.3)
        lab.kill()
        lab.start()
        after = lab.status()
        check(after["latched"], f"after the crash it is not reversed: {after['phase']}")
        check(all(lab.call()[1] == "legacy" for _ in range(20)), "new calls go to legacy after the crash")
        filler.unlink()
        check(lab.until(lambda: lab.status()["durable"], 15), "with room again everything becomes durable")
        lab.kill()
        print("  a flip on a full disk and kill -9: reversed")
    finally:
        subprocess.run(["umount", "-l", mount], check=False)


def main():
    long = "--long" in sys.argv[1:]
    kills(1000 if long else 50)
    acknowledged(50 if long else 10)
    pins()
    full_disk()
    advancing(200 if long else 25)
    every_call(long)


main()
