#!/usr/bin/env python3
"""Hostile HTTP framing against the real binary, with a public collection's runner.

    tests/hostile.py DIRECTORY          tier 1
    tests/hostile.py DIRECTORY --long   every case

DIRECTORY holds `cases.jsonl` and its runner. The proxy gets the runner's recorder
as both of its backends. No case may be smuggled, none may send unclean bytes
upstream, no sound request may be refused; the remaining remarks are listed.
"""

import collections
import json
import pathlib
import subprocess
import sys

from lab import Lab, check, free_port

# Ways in which we are more lenient than the collection's judge, by case name. None.
KNOWN = set()


def main():
    directory = pathlib.Path(sys.argv[1]).resolve()
    recorder = free_port()
    lab = Lab(percentage=0)
    text = lab.config.read_text()
    for backend in (lab.legacy, lab.new):
        text = text.replace(f"127.0.0.1:{backend.port}", f"127.0.0.1:{recorder}")
    lab.config.write_text(text.replace('path = "/ivr"', 'path = "/"'))
    lab.start()
    report = lab.dir / "report.json"
    tier = "2" if "--long" in sys.argv else "1"
    subprocess.run(
        [sys.executable, str(directory / "run_cases.py"), "--proxy", f"127.0.0.1:{lab.port}", "--backend-port", str(recorder), "--tier", tier, "--json", str(report)],
        check=True)
    rows = json.loads(report.read_text())
    by_verdict = collections.defaultdict(list)
    for row in rows:
        for verdict in row["verdict"]:
            by_verdict[verdict].append(f"{row['source']}: {row['name']}")
    for verdict in ("LENIENT", "FORWARDED_BAD", "HALF", "STALL"):
        for name in by_verdict[verdict]:
            print(f"  {verdict:<14} {name}")
    for verdict in ("SMUGGLED", "DIRTY", "REFUSED_OK"):
        check(not by_verdict[verdict], f"{verdict}: {by_verdict[verdict]}")
    check(lab.process.poll() is None, "the proxy is still alive")
    lab.stop()
    print(f"  {len(by_verdict['ok'])} of {len(rows)} cases without remark; none smuggled, none unclean upstream, no sound one refused")


main()
