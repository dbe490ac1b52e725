#!/usr/bin/env bash
# Prints the cells of an occasion (change, nightly) as a GitHub workflow takes them; checks
# ci/matrix.hcl on the way.
#
#   ci/matrix.sh change
set -euo pipefail
cd "$(dirname "$0")/.."
cargo run --quiet --locked --package nomad-harness -- matrix --github --when "${1:?which occasion? change or nightly}"
