#!/usr/bin/env bash
# Proves on a live cluster what nothing else can (docs/aws.md): for those who have an account. It stops,
# kills and isolates machines of the cluster that the file describes, and of no other.
#
#   terraform -chdir=terraform output -json > cluster.json
#   ci/live.sh cluster.json
#
# Exit code: that of the first step that failed; whatever happened, the cluster is healed at the end.
set -euo pipefail

if [ $# != 1 ] || [ ! -r "$1" ]; then
  echo "usage: ci/live.sh FILE    (terraform output -json > FILE)" >&2
  exit 2
fi
live=(--target aws --attach "$1")
rehearse=${REHEARSE:-rehearse}

heal() { "$rehearse" heal "${live[@]}" --yes; }
trap heal EXIT

step() {
  echo "== $*" >&2
  "$@"
}

# Whose account, which machines, which levers: nothing is changed.
step "$rehearse" run leader-failover "${live[@]}"
# Each lever alone, and back.
step "$rehearse" lever stop server-3 "${live[@]}" --yes
step "$rehearse" lever start server-3 "${live[@]}" --yes
step "$rehearse" lever reboot client-1 "${live[@]}" --yes
step "$rehearse" lever pause client-2 "${live[@]}" --yes
step "$rehearse" lever resume client-2 "${live[@]}" --yes
step "$rehearse" lever isolate server-3 "${live[@]}" --yes
step "$rehearse" lever rejoin server-3 "${live[@]}" --yes
step "$rehearse" lever kill server-3 "${live[@]}" --yes
# A fault that a dead process left: only the journal knows of it.
step "$rehearse" heal "${live[@]}" --yes
# The scenarios, and the same on Docker beside them.
step "$rehearse" run leader-failover job-rollout "${live[@]}" --yes --report target/live
step "$rehearse" run leader-failover job-rollout --report target/local
step "$rehearse" compare target/local target/live || [ $? = 40 ]
