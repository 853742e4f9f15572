#!/usr/bin/env bash
# Fuzzes what reads strangers' bytes: recognition, documents, signatures.
#
#   tests/fuzz.sh            20 seconds a target
#   tests/fuzz.sh --long     10 minutes a target
#   tests/fuzz.sh 90         so many seconds a target
#
# A finding is kept under tests/fuzz/artifacts, and the command to repeat it is printed.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=20
# What we write has no unsafe code; what others wrote is looked at in the long run, because
# with the address sanitizer, and optimized in one piece, everything takes longer to build
# than to be fuzzed.
sanitizer=none units=16
export CARGO_PROFILE_RELEASE_OPT_LEVEL=1
case "${1:-}" in
  "") ;;
  --long) seconds=600 sanitizer=address units=1 CARGO_PROFILE_RELEASE_OPT_LEVEL=3 ;;
  *) seconds=$1 ;;
esac

command -v cargo-fuzz >/dev/null || cargo install --locked -q cargo-fuzz
for target in recognition documents signatures; do
  printf 'fuzzing %s for %s s\n' "$target" "$seconds"
  mkdir -p "tests/fuzz/corpus/$target"
  # Inputs are small, as webhooks are; what is slow for its size is a finding too.
  cargo +nightly fuzz run --sanitizer "$sanitizer" --codegen-units "$units" --fuzz-dir tests/fuzz "$target" "tests/fuzz/corpus/$target" "tests/fuzz/seeds/$target" \
    -- -max_total_time="$seconds" -max_len=8192 -timeout=5 -rss_limit_mb=1024 -print_final_stats=1 \
    2>&1 | grep -E "stat::number_of_executed|ERROR|panicked|Test unit|SUMMARY|Reproduce" || true
  test "${PIPESTATUS[0]}" = 0 || { echo "a finding in $target"; exit 1; }
done
