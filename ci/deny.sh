#!/usr/bin/env bash
# What dependencies may be, as deny.toml says it. Gets cargo-deny where it is not at hand.
#
#   ci/deny.sh [CHECK...]      all: advisories (a database on the internet), bans, licenses, sources
set -euo pipefail
cd "$(dirname "$0")/.."
cargo deny --version >/dev/null 2>&1 || cargo install --locked --version 0.20.2 cargo-deny
[ $# -gt 0 ] || set -- advisories bans licenses sources
cargo deny check "$@"
