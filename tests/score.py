"""Figures for the scorecard, kept while the scripts that measure them run.

With SWITCHBACK_SCORES=DIRECTORY each figure that belongs to a row of `tests/scorecard`
becomes a line of DIRECTORY/figures.jsonl; without it nothing is kept.
"""

import json
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def score(row, measured, met):
    """Keeps one figure of a row. A row is met when all its figures are."""
    directory = os.environ.get("SWITCHBACK_SCORES")
    if not directory:
        return
    script = pathlib.Path(sys.argv[0]).resolve()
    script = script.relative_to(ROOT) if script.is_relative_to(ROOT) else script.name
    # A directory given on the command line is this machine's own.
    how = " ".join([str(script), *(word for word in sys.argv[1:] if "/" not in word)])
    line = {"row": row, "measured": measured, "met": bool(met), "how": how}
    with open(pathlib.Path(directory) / "figures.jsonl", "a") as out:
        out.write(json.dumps(line) + "\n")
