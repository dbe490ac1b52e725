#!/usr/bin/env bash
# Formatting and lints: warnings are errors.
set -euo pipefail
cd "$(dirname "$0")/.."
if cargo fmt --version >/dev/null 2>&1; then
  cargo fmt --all --check
else
  echo "WARNING: rustfmt is not installed: formatting was not checked" >&2
fi
if cargo clippy --version >/dev/null 2>&1; then
  cargo clippy --workspace --all-targets --locked -- -D warnings
else
  echo "WARNING: clippy is not installed: lints were not checked" >&2
fi
