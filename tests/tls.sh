#!/usr/bin/env bash
# testssl judges the TLS listener, with HTTP/1 alone and with HTTP/2. About a minute.
cd "$(dirname "$0")/.." && exec python3 tests/tls.py "$@"
