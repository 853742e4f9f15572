#!/bin/sh
# The k6 load tests: run.sh [steady|fault|reload|all] [--long] [--seconds N] [--fault KIND]
# Starts sample backends and Switchback on free ports with a temporary state
# directory for each script, runs it, stops everything; exits non-zero on failure.
command -v python3 >/dev/null || { echo "run.sh: not installed: python3 (Debian package python3)" >&2; exit 2; }
exec python3 "$(dirname "$0")/run.py" "$@"
