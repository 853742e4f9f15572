#!/usr/bin/env python3
"""Runs the k6 scripts of k6/ against a fresh Switchback each. See run.sh."""

import argparse
import os
import sys
import threading
import time

import rig

SCRIPTS = ("steady", "fault", "reload")
# Seconds of load, calls a second, seconds between two SIGHUPs. Long: 200 SIGHUPs in 60 s.
SHORT = {"seconds": 10, "calls": 100, "sighup_every": 1.0}
LONG = {"seconds": 61, "calls": 300, "sighup_every": 0.3}


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", nargs="?", default="all", choices=(*SCRIPTS, "all"))
    parser.add_argument("--long", action="store_true", help="a minute each, three times the load, 200 SIGHUPs")
    parser.add_argument("--seconds", type=int, help="of load, for each script")
    parser.add_argument("--fault", default="500", help="how new fails: 500, reset, close, html, empty, broken, slow, …")
    return parser.parse_args()


def main():
    given = options()
    rig.need("k6")
    programs = rig.Programs()
    size = dict(LONG if given.long else SHORT)
    size["seconds"] = given.seconds or size["seconds"]
    outcomes = {}
    for name in SCRIPTS if given.which == "all" else (given.which,):
        print(f"== {name}: {size['seconds']} s, {size['calls']} calls/s", flush=True)
        outcomes[name] = run(name, programs, size, given.fault)
    for name, trouble in outcomes.items():
        print(f"{name}: {'passed' if not trouble else 'FAILED: ' + '; '.join(trouble)}")
    return 1 if any(outcomes.values()) else 0


def run(name, programs, size, fault):
    """One script against a fresh proxy; what went wrong."""
    directory = rig.work_dir()
    backends = rig.Backends(programs, None, "--watch")
    proxy = rig.Switchback(programs, "k6/switchback.toml", backends, directory, name=name)
    trouble = []
    sighups = Sighups(proxy, size["sighup_every"]) if name == "reload" else None
    k6 = rig.start(
        [rig.find("k6"), "run", "--quiet", "--summary-mode", "compact", "--no-usage-report", "--no-color",
         "-e", f"BASE=http://127.0.0.1:{proxy.port}", "-e", f"ADMIN=http://127.0.0.1:{proxy.admin}",
         "-e", f"BACKEND_NEW=http://127.0.0.1:{backends.new}", "-e", f"SECONDS={size['seconds']}",
         "-e", f"CALLS_PER_SECOND={size['calls']}", "-e", f"FAULT={fault}",
         rig.HERE / "k6" / f"{name}.js"],
        stdout=None)
    code = k6.wait()
    if sighups:
        trouble += sighups.stop()
    if code != 0:
        trouble.append(f"k6 ended with {code} (99: a threshold was missed)")
    if proxy.process.poll() is not None:
        trouble.append(f"switchback ended by itself with {proxy.process.returncode}")
    else:
        twice = sum(backends.seen(port)["duplicates"] for port in (backends.legacy, backends.new))
        if twice:
            trouble.append(f"{twice} webhooks reached one backend twice")
        try:
            proxy.stop()
        except rig.Trouble as late:
            trouble.append(str(late))
    if trouble:
        print(proxy.log.read_text(errors="replace")[-3000:], file=sys.stderr)
    backends.process.terminate()
    return trouble


class Sighups:
    """Changes the percentage in the file and sends SIGHUP, again and again."""

    def __init__(self, proxy, every):
        self.proxy, self.every, self.sent, self.missed = proxy, every, 0, []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()

    def loop(self):
        # k6 needs a second to begin; the script compares generations from then on.
        self.ended.wait(1.5)
        while not self.ended.is_set():
            percentage = 40 if self.sent % 2 == 0 else 50
            self.proxy.write_config(percentage=percentage)
            before = time.monotonic()
            self.proxy.process.send_signal(rig.signal.SIGHUP)
            self.sent += 1
            self.ended.wait(max(0.0, self.every - (time.monotonic() - before)))

    def stop(self):
        """Ends the loop; what went wrong."""
        self.ended.set()
        self.thread.join()
        print(f"{self.sent} SIGHUPs sent")
        wanted = self.proxy.values["percentage"]
        for _ in range(50):
            if self.proxy.process.poll() is not None:
                return ["switchback died of a SIGHUP"]
            if abs(float(self.proxy.status()["percentage"]) - wanted) < 0.005:
                return []
            time.sleep(0.1)
        return [f"the last SIGHUP was not obeyed: {self.proxy.status()['percentage']} % instead of {wanted} %"]


if __name__ == "__main__":
    os.environ["K6_NO_USAGE_REPORT"] = "true"
    os.environ["K6_AUTO_EXTENSION_RESOLUTION"] = "false"  # no script here asks for anything from outside
    rig.main(main)
