#!/usr/bin/env bash
# All tests: with nextest where it is installed, else with plain cargo test.
#
#   ci/test.sh              all of them
#   ci/test.sh PART/PARTS   a part of them, as 1/2: the same on every machine; installs nextest for it
set -euo pipefail
cd "$(dirname "$0")/.."
part=${1:-1/1}
if ! cargo nextest --version >/dev/null 2>&1; then
  if [ "$part" = 1/1 ]; then
    cargo test --workspace --locked
    exit
  fi
  cargo install --locked cargo-nextest
fi
cargo nextest run --workspace --locked --partition "hash:$part"
# Examples in the documentation are no tests of nextest's; the first part has them.
[ "${part%%/*}" != 1 ] || cargo test --workspace --locked --doc
