#!/bin/sh
# Switchback beside HAProxy and nginx on the same work, as ratios.
# See compare.py for the method and `compare.sh --help` for the options.
command -v python3 >/dev/null || { echo "compare.sh: not installed: python3 (Debian package python3)" >&2; exit 2; }
exec python3 "$(dirname "$0")/compare.py" "$@"
