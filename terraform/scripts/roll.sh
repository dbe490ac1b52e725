#!/bin/bash
# Replaces agents one at a time, after a change of version, image, configuration or certificates,
# and waits between two of them until the cluster is whole again. The leader comes last, so that
# leadership moves once.
#
#   scripts/roll.sh servers|clients|AGENT...     as: scripts/roll.sh servers; scripts/roll.sh client-2
#
# A replaced server starts with an empty disk and takes the data from the others; the machine it
# replaces leaves Raft when the cluster's autopilot sees it dead (40 to 50 s).
set -euo pipefail

output() { terraform output -raw "$1"; }
die() {
  echo "error: $*" >&2
  exit 1
}
[ $# -gt 0 ] || die "say whom: servers, clients, or names as server-2"

NAME="$(output tls_server_name)"
CA="$(output ca_file)" CERT="$(output cert_file)" KEY="$(output key_file)"
TOKEN_FILE="$(output token_file)"
LIMIT="${TIMEOUT:-900}"

agents() { terraform output -json cluster | python3 -c '
import json, sys
wanted = sys.argv[1]
for name, agent in sorted(json.load(sys.stdin)["agents"].items()):
    if wanted in ("any", agent["role"]):
        print(name, agent["private_ip"], agent["public_ip"])
' "$1"; }

# get PATH: asks the servers in turn; the first that answers 200 is believed.
get() {
  local name private public
  while read -r name private public; do
    printf 'header = "X-Nomad-Token: %s"\n' "$(cat "$TOKEN_FILE")" |
      curl --silent --fail --max-time 10 --cacert "$CA" --cert "$CERT" --key "$KEY" --config - \
        --connect-to "$NAME:4646:$public:4646" "https://$NAME:4646$1" && return 0
  done < <(agents server)
  return 1
}

# whole: the healthy voters are exactly the servers of the state, every client of it is a ready node.
# Compared by address: the machine that was replaced may still look alive for half a minute.
whole() {
  get /v1/operator/autopilot/health > "$WORK/health" && get /v1/nodes > "$WORK/nodes" || return 1
  agents server > "$WORK/servers" && agents client > "$WORK/clients"
  (cd "$WORK" && python3 -c '
import json, sys
def addresses(file):
    return {line.split()[1] for line in open(file)}
health, nodes = json.load(open("health")), json.load(open("nodes"))
servers = health.get("Servers") or []
voters = {s["Address"].split(":")[0] for s in servers if s["Healthy"] and s["Voter"]}
ready = {n["Address"] for n in nodes if n["Status"] == "ready"}
whole = health["Healthy"] and len(servers) == len(voters) and voters == addresses("servers")
sys.exit(0 if whole and addresses("clients") <= ready else 1)
')
}

await_whole() {
  local deadline=$((SECONDS + LIMIT))
  until whole; do
    [ "$SECONDS" -lt "$deadline" ] || die "$1: the cluster is not whole after $LIMIT s; nothing more is replaced"
    sleep 5
  done
}

WORK="$(mktemp -d)"
trap 'rm -rf "$WORK"' EXIT
ALL="$(agents any)"
SERVERS="$(agents server)"

case "$1" in
  servers | clients) LIST="$(agents "${1%s}" | cut -d ' ' -f 1)" ;;
  *) LIST="$(printf '%s\n' "$@")" ;;
esac
for agent in $LIST; do
  grep -q "^$agent " <<< "$ALL" || die "there is no agent \`$agent\`; there are: $(cut -d ' ' -f 1 <<< "$ALL" | tr '\n' ' ')"
  # Its disk goes with a replaced machine: there must be others that hold the data, and that are a majority.
  if grep -q "^$agent " <<< "$SERVERS" && [ "$(wc -l <<< "$SERVERS")" -lt 3 ]; then
    die "\`$agent\` holds the cluster's data, and fewer than two other servers do: take a snapshot, and raise server_count to 3 first"
  fi
done

await_whole "before the first replacement"
LEADER="$(get /v1/status/leader | tr -d '"' | cut -d : -f 1)"
LEADING="$(awk -v ip="$LEADER" '$2 == ip { print $1 }' <<< "$ALL")"
LIST="$(grep -vx "$LEADING" <<< "$LIST" || true) $(grep -x "$LEADING" <<< "$LIST" || true)"

for agent in $LIST; do
  echo "replacing $agent"
  terraform apply -auto-approve -replace="aws_instance.${agent%-*}[\"$agent\"]"
  await_whole "after $agent"
done
echo "done: $(wc -w <<< "$LIST") replaced"
