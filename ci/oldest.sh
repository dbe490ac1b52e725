#!/usr/bin/env bash
# Compiles with the oldest compilers that the crates state (`rust-version`), with every feature. Gets them
# by rustup where they are not at hand.
set -euo pipefail
cd "$(dirname "$0")/.."
for crate in images/simulator harness; do
  version=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$crate/Cargo.toml")
  [ -n "$version" ] || {
    echo "error: $crate/Cargo.toml states no rust-version" >&2
    exit 1
  }
  echo "$crate: $version" >&2
  rustup toolchain install "$version" --profile minimal --no-self-update >/dev/null
  cargo "+$version" check --locked --all-features --manifest-path "$crate/Cargo.toml" \
    --target-dir "target/oldest-$version"
done
