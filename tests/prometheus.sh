#!/usr/bin/env bash
# A real Prometheus scrapes the metrics listener; what it stored is asked back.
set -euo pipefail
cd "$(dirname "$0")"
exec python3 prometheus.py
