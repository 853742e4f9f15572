"""A disk that says no: ENOSPC and EIO at every call that the journal makes to the system.

`strace` makes one call after the other fail, on the journal's own thread and while the
state directory is opened. Whatever fails: callers are served, a rollback takes
everything to legacy, and what a restart after `kill -9` finds is what was answered as
durable, or the state before or after what was not.
"""

import contextlib
import fcntl
import itertools
import pathlib
import shutil
import subprocess
import tempfile

from lab import ROOT, Lab, check

ERRORS = ("ENOSPC", "EIO")
# What the journal's thread does for an entry, for the latch, and to mend a bad tail.
RECORD = ("pwrite64", "fdatasync", "ftruncate")
# What it does on top after a failed sync, and to turn to a new segment.
RENEW = ("openat", "write", "fsync", "rename")
TURN = ("openat", "write", "fsync", "linkat", "rename", "unlink")
# What is done to open the directory.
OPEN = ("mkdir", "openat", "write", "pwrite64", "fsync", "fdatasync", "ftruncate", "rename", "unlink", "linkat")


def files(lab):
    """The journal's own files, and no socket or queue of the same thread."""
    journal = ("journal.jsonl", "journal.tmp", "journal-0000000001.jsonl")
    names = ["", *(f"/{name}" for name in (*journal, "latch", "latch.tmp", "seed", "seed.tmp", "lock"))]
    return [word for name in names for word in ("-P", f"{lab.state}{name}")]


class Strace:
    """Makes calls of one thread fail: `faults` are of the form `fsync:error=EIO:when=2`."""

    def __init__(self, lab, faults):
        self.out = lab.dir / "strace"
        self.out.unlink(missing_ok=True)
        tasks = pathlib.Path(f"/proc/{lab.process.pid}/task")
        named = lambda: [task for task in tasks.iterdir() if (task / "comm").read_text().strip() == "journal"]
        # A thread takes its name itself, as soon as it comes to run.
        check(lab.until(named), "the journal has a thread")
        thread = named()[0]
        command = ["strace", "-qq", "-o", str(self.out), *files(lab), *self.words(faults), "-p", thread.name]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE)
        traced = lambda: "TracerPid:\t0\n" not in (thread / "status").read_text()
        check(lab.until(lambda: traced() or self.process.poll() is not None), "strace attaches")
        if self.process.poll() is not None:
            raise PermissionError(self.process.stderr.read().decode())

    @staticmethod
    def words(faults):
        calls = ",".join(fault.split(":")[0] for fault in faults)
        return [f"--trace={calls}", *(f"--inject={fault}" for fault in faults)]

    def end(self):
        self.process.terminate()
        self.process.wait()

    @staticmethod
    def injected(out, call):
        return out.exists() and any(call + "(" in line and "INJECTED" in line for line in out.read_text(errors="replace").splitlines())




def orders(lab, story, faults):
    """A raise, a step down and a rollback while the disk says no. Gives what may be found after a crash."""
    served = lambda: check(lab.call()[0] == 200, f"{story}: a caller was not served")
    may_be = {50}
    strace = Strace(lab, faults)
    try:
        for percentage in (60, 40):
            status, body = lab.order("/api/v1/percentage", percentage=percentage)
            raised = percentage == 60
            check(status == 200 or (raised and status == 503), f"{story}: set {percentage} gave {status} {body}")
            served()
            if status == 200 and body["durable"]:
                may_be = {percentage}
            elif status == 200:
                may_be.add(percentage)
        status, body = lab.order("/api/v1/rollback", level="total")
        check(status == 200, f"{story}: the rollback gave {status} {body}")
        check(all(lab.call()[1] == "legacy" for _ in range(5)), f"{story}: after the rollback a call went to new")
        served()
        durable = body["durable"] and lab.status()["durable"]
    finally:
        strace.end()
    return set() if durable else may_be


def found(lab, story, may_be):
    """Looks at the state after a restart: latched, or what it may be; and makes it 50 % again."""
    status = lab.status()
    latched = status["latched"] and status["phase"] == "rolled-back"
    right = latched or (not status["latched"] and status["percentage"] in may_be)
    check(right, f"{story}: after the crash it is {status['phase']} at {status['percentage']} %, expected rolled back or {may_be}")
    check(lab.call()[0] == 200, f"{story}: no caller is served after the crash")
    if latched:
        answer = lab.order("/api/v1/resume", percentage=40)
        check(answer[0] in (200, 409), f"{story}: resume gave {answer}")
    answer = lab.order("/api/v1/percentage", percentage=50)
    check(answer[0] == 200, f"{story}: after the crash nothing can be raised: {answer}")


def each(calls, long, first=()):
    """Every fault, one after the other: its name, what strace is told, and the call. `send`
    whether it came to it; the next call's faults follow when it did not."""
    for call in calls:
        for nth in itertools.count(1):
            # In brief, ENOSPC and EIO take turns; the second way is a disk that stays full.
            errors = ERRORS if long else (ERRORS[nth % 2],)
            hit = False
            for error, stays in itertools.product(errors, ("", "+") if long else ("",)):
                fault = f"{call}:error={error}:when={nth}{stays}"
                hit |= (yield " and ".join([*first, fault]), [*first, fault], call)
            if not hit:
                break


def records(long):
    """Faults at what is done for every entry, and to renew a file whose sync failed."""
    lab = Lab(percentage=50)
    lab.start()
    count = 0
    for calls, first in ((RECORD, ()), (RENEW, ("fdatasync:error=EIO:when=1",))):
        faults = each(calls, long, first)
        hit = None
        with contextlib.suppress(StopIteration):
            while True:
                story, told, call = faults.send(hit)
                may_be = orders(lab, story, told)
                lab.kill()
                lab.start()
                found(lab, story, may_be)
                hit = Strace.injected(lab.dir / "strace", call)
                count += hit
    lab.kill()
    return count


def turns(long):
    """Faults, and kills, at what is done to turn to a new segment."""
    home = pathlib.Path(tempfile.mkdtemp(prefix="switchback-turn-"))
    lab = Lab(percentage=50, state=home / "state")
    try:
        lab.start()
        lab.stop()
        shutil.copytree(lab.state, home / "before")
        # Of 2020, at 50 % with three tenants disabled: closed with the next entry.
        shutil.copy(ROOT / "tests" / "old_journal.jsonl", home / "before" / "journal.jsonl")
        closed = lambda: list(lab.state.glob("journal-*.jsonl"))
        count = 0

        def again():
            shutil.rmtree(lab.state)
            shutil.copytree(home / "before", lab.state)
            lab.start()

        for calls, first in ((TURN, ()), (("unlink",), ("rename:error=EIO:when=1",))):
            faults = each(calls, long, first)
            hit = None
            with contextlib.suppress(StopIteration):
                while True:
                    story, told, call = faults.send(hit)
                    again()
                    may_be = orders(lab, story, told)
                    lab.kill()
                    lab.start()
                    found(lab, story, may_be)
                    check(len(closed()) <= 1, f"{story}: one segment is closed at most: {closed()}")
                    hit = Strace.injected(lab.dir / "strace", call)
                    count += hit
                    lab.kill()
        for call, nth in (("openat", 1), ("write", 1), ("fsync", 1), ("linkat", 1), ("fsync", 2), ("rename", 1), ("openat", 3), ("fsync", 3)):
            story = f"killed at {call} number {nth}"
            again()
            strace = Strace(lab, [f"{call}:signal=KILL:when={nth}"])
            with contextlib.suppress(OSError):
                lab.order("/api/v1/percentage", percentage=40)
                lab.order("/api/v1/percentage", percentage=39)
            check(lab.until(lambda: lab.process.poll() is not None), f"{story}: it is not dead")
            strace.end()
            lab.start()
            now = lab.status()
            check(not now["latched"] and now["percentage"] in (40, 39), f"{story}: {now['phase']} at {now['percentage']} %")
            check(len(now["tenants"]["disabled"]) == 3, f"{story}: a disabled tenant was forgotten")
            count += 1
            lab.kill()
        return count
    finally:
        lab.leave()
        shutil.rmtree(home, ignore_errors=True)


def held(lab):
    """Does a process still have the state directory? One under strace dies after strace."""
    try:
        with open(lab.state / "lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True


def openings(long):
    """Faults while the state directory is opened: it serves, or it ends and says why; then the right state."""
    lab = Lab(percentage=50)
    lab.start()
    lab.stop()
    out = lab.dir / "strace"
    count = 0
    # A fresh directory makes what the other only opens.
    for fresh in (True, False) if long else (True,):
        faults = each(OPEN, long)
        hit = None
        with contextlib.suppress(StopIteration):
            while True:
                story, told, call = faults.send(hit)
                story = f"at the start, {story}"
                if fresh:
                    shutil.rmtree(lab.state)
                out.unlink(missing_ok=True)
                try:
                    lab.start(["strace", "-f", "-qq", "-o", str(out), *files(lab), *Strace.words(told)])
                    check(lab.call()[0] == 200, f"{story}: it runs and serves nobody")
                except RuntimeError:
                    check(lab.process.returncode == 1, f"{story}: it ended with {lab.process.returncode}\n{lab.tail()}")
                lab.kill()
                check(lab.until(lambda: not held(lab)), f"{story}: it is not dead")
                lab.start()
                status = lab.status()
                right = status["latched"] or lab.until(lambda: lab.status()["percentage"] in (0, 50), 2)
                check(right, f"{story}: then it is {status['phase']} at {status['percentage']} %")
                lab.kill()
                hit = Strace.injected(out, call)
                count += hit
    lab.kill()
    return count


def every_call(long):
    if shutil.which("strace") is None:
        print("  LEFT OUT: faults at every system call of the journal: strace is not installed")
        return
    try:
        at_records = records(long)
    except PermissionError as why:
        print(f"  LEFT OUT: faults at every system call of the journal: {why}")
        return
    print(f"  {at_records} faults while entries were written: callers served, rolled back, right after kill -9")
    print(f"  {turns(long)} faults and kills while a segment was closed: the old or the new state")
    print(f"  {openings(long)} faults while the state directory was opened: it serves or says why, then the right state")
