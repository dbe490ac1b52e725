#!/usr/bin/env bash
# Runs one cell of ci/matrix.hcl: a cluster of that architecture and engine, and its scenarios.
#
#   ci/cell.sh ARCH ENGINE [VERSION|-] [SCENARIO]...
#   ci/cell.sh s390x simulator - leader-failover
#
# Reports and the logs of clusters that failed are under target/rehearsals. Exit code: that of
# `rehearse run`; 10 where programs of the architecture do not run here.
set -euo pipefail
cd "$(dirname "$0")/.."

arch=${1:?which architecture? ci/cell.sh ARCH ENGINE [VERSION|-] [SCENARIO]...}
engine=${2:?which engine? ci/cell.sh ARCH ENGINE [VERSION|-] [SCENARIO]...}
version=${3:--}
shift $(($# < 3 ? $# : 3))

# Says what is wrong, and mends it where it may.
ci/qemu.sh "$arch"
options=(--arch "$arch" --engine "$engine")
[ "$version" = - ] || options+=(--nomad-version "$version")
exec cargo run --quiet --locked --package nomad-harness -- run "${options[@]}" "$@"
