#!/usr/bin/env python3
"""A backend that is not there: how often anybody is asked for each webhook.

Method
  All calls are placed on new, and nobody listens on its port. strace counts the proxy's
  connect() calls to that port; legacy's own record counts what it was asked. Together,
  divided by the webhooks that callers sent, they are the attempts per request: without a
  breaker it would be two of a call's first webhook.
"""

import argparse
import pathlib
import re
import shutil
import subprocess

import rig


def options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30, help="of load (30)")
    parser.add_argument("--rate", type=int, default=500, help="requests/s (500)")
    parser.add_argument("--brief", action="store_true", help="8 seconds, as CI runs it")
    return parser.parse_args()


def main():
    given = options()
    seconds = 8 if given.brief else given.seconds
    if not shutil.which("strace"):
        raise rig.Trouble("not installed:\n  strace: Debian package strace")
    programs, cores, directory, verdicts = rig.Programs(), rig.Cores(), rig.work_dir(), rig.Verdicts()
    backends = rig.Backends(programs, cores.load, "--watch")
    backends.new = rig.free_port()  # where nobody listens
    proxy = rig.Switchback(programs, "strain.toml", backends, directory, cores.proxy, percentage=100)
    proxy.wait_for_percentage()
    trace = directory / "connects"
    watching = rig.start(["strace", "-f", "-e", "trace=connect", "-e", "signal=none", "-o", trace, "-p", proxy.pid],
                         stderr=subprocess.PIPE)
    if b"attached" not in watching.stderr.readline():
        raise rig.Trouble("strace may not attach to the proxy here")
    rig.time.sleep(0.3)
    result = rig.run_load(programs, cores, proxy.port, "-c", 32, "-r", given.rate, "-d", seconds)
    watching.terminate()
    watching.wait()
    # A line for each call; what was interrupted comes again as "resumed", without its address.
    refused = len(re.findall(rf"connect\(.*htons\({backends.new}\)", pathlib.Path(trace).read_text()))
    served = backends.seen(backends.legacy)["requests"]
    attempts = (refused + served) / result["answered"]
    errors = result["n"] - result["from_backend"] + result["closed"] + result["unanswered"]
    verdicts.tell(f"{attempts:.3f} attempts for each of {result['answered']:,} webhooks: {refused:,} on new, which is not there, "
                  f"{served:,} on legacy", "at most 1.1, and some on new", 0 < refused and attempts <= 1.1, row=19)
    verdicts.tell(f"{errors} callers' errors", "none: all of them were rescued", errors == 0, row=19)
    proxy.stop()
    return verdicts.code()


if __name__ == "__main__":
    rig.main(main)
