#!/usr/bin/env bash
# Packs the crates as `cargo publish` would, and builds and tries the program from these packages
# alone, outside of the source tree: what they lack is missed here and not by whoever installs them.
#
#   ci/package.sh      takes as long as a first build
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/archive.sh
out=$PWD/target/package-test
mkdir -p "$out"
# Where there are changes that are not committed, they are packed, too.
crate_of() { cargo package --no-verify --allow-dirty --quiet --target-dir "$out" "$@"; }
# The registry has no crate of that name of ours.
own() { echo "patch.crates-io.agent.path='$1'"; }
crate_of --package agent
crate_of --package nomad-harness --config "$(own "$PWD/images/simulator")"

away=$(mktemp -d)
trap 'rm -rf "$away"' EXIT
for crate in agent nomad-harness; do
  tar -xzf "$out/package/$crate-$version.crate" -C "$away"
done
cd "$away/nomad-harness-$version"
CARGO_TARGET_DIR=$out cargo build --bin rehearse --config "$(own "$away/agent-$version")"
cd /
rehearse=$out/debug/rehearse
"$rehearse" --version
"$rehearse" scenario show leader-failover >/dev/null
"$rehearse" job check --help >/dev/null
listed=$("$rehearse" scenario list | wc -l)
[ "$listed" -gt 30 ] || {
  echo "error: the packed program lists $listed lines of scenarios, expected all" >&2
  exit 1
}
