#!/usr/bin/env bash
# One page about all cells of the matrix: architectures, versions and engines side by side.
#
#   ci/compare-cells.sh FOLDER     FOLDER: the cells' reports, a folder each, named as the cell is
#
# -> FOLDER/comparison.html, comparison.txt. Drift between cells is told, and is no failure of the
# comparison: each cell has judged itself. Exit code: 0 when there is a page.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:?where are the reports? ci/compare-cells.sh FOLDER}
sides=("$folder"/*/)
code=0
cargo run --quiet --locked --package nomad-harness -- compare "${sides[@]}" --html "$folder/comparison.html" \
  >"$folder/comparison.txt" || code=$?
cat "$folder/comparison.txt"
# 40: drift.
[ "$code" = 0 ] || [ "$code" = 40 ] || exit "$code"
