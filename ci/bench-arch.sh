#!/usr/bin/env bash
# What another architecture costs here, emulated as a rule: its figures beside this machine's own,
# taken one after the other in this one run, and their ratios.
#
#   ci/bench-arch.sh [ARCH] [--rounds N]      ARCH: s390x (the default), arm64, amd64
#
# Prints the rates of `rehearse-agent selftest --measure` (more is faster), then milliseconds of
# `up` with a warm image, medians: 3 servers alone, 3+3, and servers of ARCH with this machine's
# own clients; then the size of the program and of its image.
set -euo pipefail
cd "$(dirname "$0")/.."

arch=s390x rounds=3
while [ $# -gt 0 ]; do
  case $1 in
    --rounds) rounds=$2; shift 2 ;;
    amd64 | arm64 | s390x) arch=$1; shift ;;
    *) echo "usage: $0 [amd64|arm64|s390x] [--rounds N]" >&2; exit 2 ;;
  esac
done

ci/qemu.sh "$arch" >&2
ci/build-static.sh "$arch"
cargo build --release --locked -q
rehearse=$PWD/target/release/rehearse
scratch=$(mktemp -d)
export XDG_STATE_HOME=$scratch/state

cleanup() {
  "$rehearse" down bench >/dev/null 2>&1 || true
  rm -rf "$scratch"
}
trap cleanup EXIT

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }

# up FLAGS...: brings the cluster up; its output goes to a log shown when it fails.
up() {
  timeout 300 "$rehearse" up bench --engine simulator "$@" >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; return 1; }
}
down() { "$rehearse" down bench >/dev/null 2>&1; }

# up_ms FLAGS...: the median of `up` in milliseconds.
up_ms() {
  local start
  for _ in $(seq "$rounds"); do
    start=$(date +%s%N)
    up "$@"
    echo $((($(date +%s%N) - start) / 1000000))
    down
  done | median
}

# image FLAGS...: the image of such a cluster's agents, which is warm then.
image() {
  up --servers 1 --clients 0 "$@"
  docker inspect --format '{{.Image}}' "$(docker ps -q --filter label=rehearse.cluster=bench | head -n 1)"
  down
}

# rates IMAGE FLAGS...: `NAME VALUE` lines.
rates() {
  docker run --rm --network none "${@:2}" --entrypoint /usr/local/bin/rehearse-agent "$1" selftest --measure |
    awk '$1 == "measured" { print $2, $3 }'
}

own_image=$(image)
arch_image=$(image --arch "$arch")
printf '%s against %s, %s rounds, %s cores\n' "$arch" "$(docker version --format '{{.Server.Arch}}')" "$rounds" "$(nproc)"
printf '%-28s %12s %12s %8s\n' '' own "$arch" ratio
rates "$own_image" >"$scratch/own"
rates "$arch_image" --platform "linux/$arch" >"$scratch/arch"
while read -r name own && read -r _ other <&3; do
  printf '%-28s %12s %12s %8s\n' "$name" "$own" "$other" "$(ratio "$other" "$own")"
done <"$scratch/own" 3<"$scratch/arch"

# line WHAT FLAGS...: own, foreign, ratio.
line() {
  local own other
  own=$(up_ms "${@:2}")
  other=$(up_ms "${@:2}" --arch "$arch")
  printf '%-28s %12s %12s %8s\n' "$1" "$own" "$other" "$(ratio "$other" "$own")"
  last_own=$own
}
line 'up of 3 servers, ms' --clients 0
line 'up of 3+3, ms'
mixed=$(up_ms --server-arch "$arch")
printf '%-28s %12s %12s %8s\n' "up of 3 $arch + 3 own, ms" "$last_own" "$mixed" "$(ratio "$mixed" "$last_own")"
printf '%-28s %12s %12s\n' 'program, bytes' "$(stat -c %s "$rehearse")" "$(stat -c %s "target/static/$arch/rehearse-agent")"
printf '%-28s %12s %12s\n' 'image, bytes' "$(docker image inspect --format '{{.Size}}' "$own_image")" "$(docker image inspect --format '{{.Size}}' "$arch_image")"
