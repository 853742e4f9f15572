#!/bin/sh
# Healthy days: new fails 1 % of its calls, as legacy does, and no preset may reverse for it.
#
#   loadtests/calm.sh          one seed of 30 days at 2 calls a minute, every preset
#   loadtests/calm.sh --long   20 seeds of 30 days at 2, 10 and 60 calls a minute
#
# Uses a release build of the binary (SWITCHBACK=path for another one). Exit code 1 if any
# play went otherwise; at the end it says how often rules acted in all.
set -eu
cd "$(dirname "$0")/.."
binary=${SWITCHBACK:-target/release/switchback}
[ -x "$binary" ] || { echo "no $binary: cargo build --release" >&2; exit 2; }
runs=1 rates="2"
if [ "${1:-}" = --long ]; then runs=20 rates="2 10 60"; fi
out=$(mktemp)
trap 'rm -f "$out"' EXIT
wrong=0
for preset in ivr-texml voice-agent-v2 ws4 fincafacil; do
    for rate in $rates; do
        # Not --expect none: one step back in all is allowed, and counted below.
        "$binary" simulate --config "config/presets/$preset.toml" --errors 1% --days 30 \
            --calls-per-hour $((rate * 60)) --runs "$runs" -o json > "$out"
        count() { grep -o "\"$1\":[0-9]*" "$out" | awk -F: '{ sum += $2 } END { print sum + 0 }'; }
        reversals=$(count reversals) back=$(count steps_back) tenants=$(count tenants_rolled_back)
        echo "$preset, $rate calls a minute, $runs x 30 days: $reversals reversals, $back steps back, $tenants tenants rolled back"
        wrong=$((wrong + reversals * 100 + back))
    done
done
[ "$wrong" -le 1 ] || { echo "rules acted on healthy days" >&2; exit 1; }
