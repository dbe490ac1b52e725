#!/usr/bin/env bash
# All tests, those that take long too: every scenario, every planted defect, 200 histories of a cluster under
# faults, a hundred clients. In a program that is optimised, and not for its size, so that it builds in minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
# Which tests take turns and how long each may take stands in .config/nextest.toml.
cargo nextest --version >/dev/null 2>&1 || cargo install --locked cargo-nextest
exec cargo nextest run --workspace --locked --cargo-profile nightly --profile nightly --run-ignored all "$@"
