#!/usr/bin/env python3
"""Hostile HTTP framing against the real binary, with a public collection's runner.

    tests/hostile.py DIRECTORY          tier 1
    tests/hostile.py DIRECTORY --long   every case

DIRECTORY holds `cases.jsonl` and its runner. The proxy gets the runner's recorder
as both of its backends. No case may be smuggled, none may send unclean bytes
upstream, no sound request may be refused; the remaining remarks are listed.
"""

import base64
import collections
import json
import pathlib
import re
import socket
import subprocess
import sys

from lab import Lab, check, free_port
from score import score

# Longer than the head of a request may take, in seconds.
PATIENCE = 8


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
    with open(directory / "cases.jsonl") as file:
        cases = {case["id"]: case for case in map(json.loads, file)}
    for row in rows:
        if row["verdict"] == ["STALL"] and refused_in_time(lab.port, base64.b64decode(cases[row["id"]]["b64"])):
            row["verdict"] = ["LATE"]
    by_verdict = collections.defaultdict(list)
    for row in rows:
        for verdict in row["verdict"]:
            by_verdict[verdict].append(f"{row['source']}: {row['name']}")
    for verdict in ("LENIENT", "FORWARDED_BAD", "HALF", "STALL", "LATE"):
        for name in by_verdict[verdict]:
            print(f"  {verdict:<14} {name}")
    tell(rows, cases)
    for verdict in ("SMUGGLED", "DIRTY", "REFUSED_OK"):
        check(not by_verdict[verdict], f"{verdict}: {by_verdict[verdict]}")
    check(lab.process.poll() is None, "the proxy is still alive")
    lab.stop()
    print(f"  {len(by_verdict['ok'])} of {len(rows)} cases without remark; none smuggled, none unclean upstream, no sound one refused")


def refused_in_time(port, stream):
    """Whether a stream that the runner did not wait for is refused or closed when its time is over.

    The runner waits half a second. An unfinished head may take `head_timeout`, 5 s.
    """
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        client.sendall(stream)
        answer = b""
        try:
            while piece := client.recv(65536):
                answer += piece
        except OSError:
            return False
    return not answer or re.match(rb"HTTP/1\.1 4\d\d ", answer) is not None


def tell(rows, cases):
    """The scorecard's rows: tier 1, all of them, and those of Http11Probe."""
    probe = [row for row in rows if row["source"] == "Http11Probe"]
    first = [row for row in rows if cases[row["id"]]["tier"] == 1]
    parts = {1: first, 3: probe} | ({2: rows} if len(rows) > len(first) else {})
    for number, part in parts.items():
        sound, late = (sum(row["verdict"] == [verdict] for row in part) for verdict in ("ok", "LATE"))
        beside = f", {late} with an unfinished head closed when its time was over" if late else ""
        score(number, f"{sound:,} of {len(part):,} without remark{beside}", part and sound + late == len(part))


main()
