#!/usr/bin/env bash
# Nothing is left behind: N cycles of `up` and `down`, then M times `up` killed by SIGKILL at a
# random moment, then one `sweep`. Fails when a container, network, volume or folder is left.
#
#   ci/soak-cleanup.sh [CYCLES] [KILLS] [SEED]
set -euo pipefail
cd "$(dirname "$0")/.."
cycles=${1:-50} kills=${2:-20} seed=${3:-$RANDOM}
RANDOM=$seed
echo "seed $seed"

cargo build --release --locked -q
rehearse=$PWD/target/release/rehearse
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export XDG_STATE_HOME=$scratch/state

left() {
  docker ps -aq --filter label=rehearse.cluster=soak
  docker network ls -q --filter label=rehearse.cluster=soak
  docker volume ls -q --filter label=rehearse.cluster=soak
  find "$XDG_STATE_HOME" -mindepth 2 -maxdepth 2 -name soak 2>/dev/null
}

for i in $(seq 1 "$cycles"); do
  timeout 120 "$rehearse" up soak --engine simulator >"$scratch/log" 2>&1 || { cat "$scratch/log"; echo "failed: cycle $i of $cycles: up"; exit 1; }
  timeout 60 "$rehearse" down soak >"$scratch/log" 2>&1 || { cat "$scratch/log"; echo "failed: cycle $i of $cycles: down"; exit 1; }
  [ -z "$(left)" ] || { echo "failed: cycle $i of $cycles left:"; left; exit 1; }
done
echo "$cycles cycles: nothing left"

for i in $(seq 1 "$kills"); do
  "$rehearse" up soak --engine simulator >/dev/null 2>&1 &
  pid=$!
  sleep "$(awk -v r=$RANDOM 'BEGIN { printf "%.3f", 0.02 + r / 32768 * 2.5 }')"
  kill -KILL "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  timeout 60 "$rehearse" sweep >"$scratch/log" 2>&1 || { cat "$scratch/log"; echo "failed: sweep after kill $i"; exit 1; }
  timeout 60 "$rehearse" down soak >/dev/null 2>&1 || true # it had come up whole before the kill
  [ -z "$(left)" ] || { echo "failed: kill $i of $kills left:"; left; exit 1; }
done
echo "$kills kills: nothing left"
