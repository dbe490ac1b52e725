#!/usr/bin/env bash
# Throws texts at every reader of a user's file.
#
#   ci/fuzz.sh [SECONDS [TARGET...]]      60 seconds each, all targets
#
# With `cargo fuzz` and a nightly compiler where they are at hand; else what the tests do, with many more
# texts and another seed each time. What ends a reader is printed, and is the exit code 1.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
[ $# = 0 ] || shift
targets=("$@")
[ $# -gt 0 ] || mapfile -t targets < <(ls fuzz/fuzz_targets | sed 's/\.rs$//')
if cargo +nightly fuzz --version >/dev/null 2>&1; then
  for target in "${targets[@]}"; do
    mkdir -p "fuzz/corpus/$target"
    seeds=()
    case $target in
      scenario) seeds=(scenarios) ;;
      job) seeds=(jobs) ;;
      terraform) seeds=(terraform) ;;
      report) seeds=(harness/src/report/html/fixtures) ;;
      matrix) seeds=(ci) ;;
      *) seeds=("fuzz/seeds/$target") ;;
    esac
    cargo +nightly fuzz run "$target" "fuzz/corpus/$target" "${seeds[@]}" -- -max_total_time="$seconds" -max_len=20000
  done
  exit 0
fi
echo "no \`cargo fuzz\` with a nightly compiler: random changes of the files here instead" >&2
cargo test --locked -p nomad-harness --test mutations --no-run
end=$((SECONDS + seconds))
seed=1
while [ "$SECONDS" -lt "$end" ]; do
  REHEARSE_MUTATIONS=2000 REHEARSE_MUTATIONS_SEED=$seed cargo test --quiet --locked -p nomad-harness --test mutations -- no_text_ends
  seed=$((seed + 1))
done
echo "$((seed - 1)) rounds of 2000 texts for each reader" >&2
