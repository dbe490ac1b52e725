#!/usr/bin/env bash
# How much of the libraries and the program the tests reach that need no Docker, in regions, functions and
# lines. Gets cargo-llvm-cov, and the compiler's tools that it needs, where they are not at hand.
#
#   ci/coverage.sh             a line for each folder, and the whole
#   ci/coverage.sh --docker    all tests, as ci/test.sh runs them: what runs in containers is not counted
#   ci/coverage.sh --html      and a page of every line: target/llvm-cov/html/index.html
set -euo pipefail
cd "$(dirname "$0")/.."
tests=(-E 'not (binary(docker) or binary(scenarios))')
html=
for option in "$@"; do
  case $option in
    --docker) tests=() ;;
    --html) html=yes ;;
    *)
      echo "usage: ci/coverage.sh [--docker] [--html]" >&2
      exit 2
      ;;
  esac
done
cargo llvm-cov --version >/dev/null 2>&1 || cargo install --locked --version 0.8.7 cargo-llvm-cov
rustup component add llvm-tools >/dev/null 2>&1 || true # a compiler of the system's may bring its own
# nextest gives each test a process of its own, with signals as they should be.
cargo nextest --version >/dev/null 2>&1 || cargo install --locked cargo-nextest
cargo llvm-cov nextest --workspace --locked --no-report "${tests[@]}"
cargo llvm-cov report --json --summary-only >target/coverage.json
python3 - "$PWD" <<'PYTHON'
import collections, json, os, sys
root = sys.argv[1]
folders = collections.defaultdict(lambda: [0, 0])
data = json.load(open("target/coverage.json"))["data"][0]
for file in data["files"]:
    parts = os.path.relpath(file["filename"], root).split(os.sep)
    # images/simulator/src/FOLDER, harness/src/FOLDER
    at = parts.index("src") + 2
    folder = "/".join(parts[:at]).removesuffix(".rs")
    lines = file["summary"]["lines"]
    folders[folder][0] += lines["covered"]
    folders[folder][1] += lines["count"]
for folder, (covered, count) in sorted(folders.items()):
    print(f"{folder:<45}{covered:>7} of {count:>6} lines{100 * covered / max(count, 1):>7.1f} %")
for kind in ("regions", "functions", "lines"):
    total = data["totals"][kind]
    print(f"{kind:<45}{total['covered']:>7} of {total['count']:>6}      {total['percent']:>7.1f} %")
PYTHON
[ -z "$html" ] || cargo llvm-cov report --html
