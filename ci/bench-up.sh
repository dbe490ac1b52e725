#!/usr/bin/env bash
# How fast a cluster comes up, as ratios within this one run (absolute times of a shared machine
# mean little). Prints, for an engine:
#   first    `up` with the image not yet loaded
#   up       `up` of 3+3 with a warm image, median
#   down     `down` of 3+3, median
#   up-3+20  `up` of 3 servers and 20 clients, once
#   bare     six and 23 such containers, started side by side, doing nothing: Docker's own share
#   agents   from every container running to the last node being ready: the agents' own waits
#            (election, and the random 0 to 10 s before a client of real Nomad is ready)
#   above    `up` less that, less six bare containers: what rehearse adds
#   plain    the same six agents started one after the other by the docker command, with a plain
#            configuration (no TLS, no ACL, default join), until three nodes are ready
# and the memory of `rehearse` and of an agent, the program's and the image's size.
#
#   ci/bench-up.sh [--engine simulator|binary] [--nomad-binary PATH] [--rounds N] [--skip-plain]
set -euo pipefail
cd "$(dirname "$0")/.."

engine=simulator nomad="" rounds=5 plain=yes
while [ $# -gt 0 ]; do
  case $1 in
    --engine) engine=$2; shift 2 ;;
    --nomad-binary) nomad=$2; shift 2 ;;
    --rounds) rounds=$2; shift 2 ;;
    --skip-plain) plain=no; shift ;;
    *) echo "usage: $0 [--engine E] [--nomad-binary PATH] [--rounds N] [--skip-plain]" >&2; exit 2 ;;
  esac
done

cargo build --release --locked -q
rehearse=$PWD/target/release/rehearse
scratch=$(mktemp -d)
export XDG_STATE_HOME=$scratch/state
net=rehearse-bench-$$
up_flags=(--engine "$engine")
[ -n "$nomad" ] && up_flags+=(--nomad-binary "$nomad")

cleanup() {
  local ids
  "$rehearse" down bench >/dev/null 2>&1 || true
  ids=$(docker ps -aq --filter "label=rehearse-bench=$$") || ids=""
  # shellcheck disable=SC2086 # a list of ids
  [ -z "$ids" ] || docker rm -f $ids >/dev/null 2>&1 || true
  docker network rm "$net" >/dev/null 2>&1 || true
  rm -rf "$scratch"
}
trap cleanup EXIT

now_ms() { echo $(($(date +%s%N) / 1000000)); }
# Runs a command, prints its milliseconds; its output goes to a log shown when it fails.
timed() {
  local start end
  start=$(now_ms)
  timeout 300 "$@" >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; return 1; }
  end=$(now_ms)
  echo $((end - start))
}
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }

image_of() { docker inspect --format '{{.Image}}' "$(docker ps -q --filter label=rehearse.cluster=bench | head -n 1)"; }

# Resident memory of each agent in KiB, the pages of its program included.
agents_memory() {
  local id init pid
  for id in $(docker ps -q --filter label=rehearse.cluster=bench); do
    init=$(docker inspect --format '{{.State.Pid}}' "$id")
    # Process 1 is Docker's init; the agent is its child.
    pid=$(cut -d' ' -f1 "/proc/$init/task/$init/children")
    awk '/^VmRSS/ { print $2 }' "/proc/$pid/status"
  done
}

# First run: the image is made and loaded. Only an image that nothing else uses can be removed.
"$rehearse" up bench "${up_flags[@]}" >/dev/null 2>&1
image=$(image_of)
"$rehearse" down bench >/dev/null 2>&1
docker rmi "$image" >/dev/null 2>&1 || true
first=$(timed "$rehearse" up bench "${up_flags[@]}")
"$rehearse" down bench >/dev/null 2>&1

# Milliseconds of `up` from its first condition, that every container runs, to its last.
agents_wait() {
  awk '$2 == "s" && /every container runs/ { from = $1 } $2 == "s" { to = $1 } END { print int((to - from) * 1000) }' "$scratch/log"
}

ups="" downs="" memory="" waits="" rests=""
for _ in $(seq 1 "$rounds"); do
  this=$(timed "$rehearse" up bench "${up_flags[@]}")
  wait=$(agents_wait)
  ups+="$this " waits+="$wait " rests+="$((this - wait)) "
  memory+="$(agents_memory)"$'\n'
  downs+="$(timed "$rehearse" down bench) "
done
up=$(tr ' ' '\n' <<<"${ups% }" | median)
down=$(tr ' ' '\n' <<<"${downs% }" | median)
wait=$(tr ' ' '\n' <<<"${waits% }" | median)
rest=$(tr ' ' '\n' <<<"${rests% }" | median)

many=$(timed "$rehearse" up bench --clients 20 "${up_flags[@]}")
"$rehearse" down bench >/dev/null 2>&1

# `up` again, watching its own memory: VmHWM just before it ends is read by the shell's child.
peak=$( (command -v /usr/bin/time >/dev/null && /usr/bin/time -f %M "$rehearse" up bench "${up_flags[@]}" 2>&1 >/dev/null | tail -n 1) || echo unknown)
image=$(image_of)
size=$(docker image inspect --format '{{.Size}}' "$image")
"$rehearse" down bench >/dev/null 2>&1

docker network create --label "rehearse-bench=$$" "$net" >/dev/null
# Containers that do nothing, started side by side: what Docker itself takes.
bare() {
  local start i
  start=$(now_ms)
  for i in $(seq 1 "$1"); do
    docker run -d --network "$net" --label "rehearse-bench=$$" --entrypoint /usr/local/bin/rehearse-agent \
      "$image" workload -port 8080 >/dev/null &
  done
  wait
  echo $(($(now_ms) - start))
  # shellcheck disable=SC2046 # a list of ids
  docker rm -f $(docker ps -aq --filter "label=rehearse-bench=$$") >/dev/null
}
bare=$(bare 6)
bare_many=$(bare 23)

plain_ms=""
if [ "$plain" = yes ]; then
  program=/usr/local/bin/rehearse-agent
  [ "$engine" = simulator ] || program=/usr/local/bin/nomad
  plain_start=$(now_ms)
  for i in 1 2 3; do
    cat >"$scratch/nomad.hcl" <<CONF
data_dir = "/opt/nomad/data"
server {
  enabled          = true
  bootstrap_expect = 3
  server_join {
    retry_join = ["server-1", "server-2", "server-3"]
  }
}
CONF
    id=$(docker create --network "$net" --hostname "server-$i" --network-alias "server-$i" -p 127.0.0.1::4646 \
      --label "rehearse-bench=$$" --entrypoint "$program" "$image" agent -config /etc/nomad.d)
    [ "$i" = 1 ] && first_server=$id
    docker cp -q "$scratch/nomad.hcl" "$id:/etc/nomad.d/nomad.hcl"
    docker start "$id" >/dev/null
  done
  for i in 1 2 3; do
    cat >"$scratch/nomad.hcl" <<CONF
data_dir = "/opt/nomad/data"
client {
  enabled           = true
  network_interface = "eth0"
  server_join {
    retry_join = ["server-1", "server-2", "server-3"]
  }
}
plugin "raw_exec" {
  config {
    enabled = true
  }
}
CONF
    id=$(docker create --network "$net" --hostname "client-$i" --label "rehearse-bench=$$" \
      --entrypoint "$program" "$image" agent -config /etc/nomad.d)
    docker cp -q "$scratch/nomad.hcl" "$id:/etc/nomad.d/nomad.hcl"
    docker start "$id" >/dev/null
  done
  port=$(docker port "$first_server" 4646/tcp | head -n 1)
  until [ "$(curl -s "http://$port/v1/nodes" | grep -o '"Status":"ready"' | wc -l)" -ge 3 ]; do
    [ $(($(now_ms) - plain_start)) -lt 120000 ] || { echo "the plain cluster was not ready within 120 s" >&2; exit 1; }
    sleep 0.05
  done
  plain_ms=$(($(now_ms) - plain_start))
fi

printf 'engine %s, 3 servers + 3 clients, %s rounds, %s cores\n' "$engine" "$rounds" "$(nproc)"
printf '%-28s %8s ms  %s\n' \
  'up, warm image (median)' "$up" '1.00' \
  'up, image made and loaded' "$first" "$(ratio "$first" "$up")" \
  'down (median)' "$down" "$(ratio "$down" "$up")" \
  'up of 3+20' "$many" "$(ratio "$many" "$up")" \
  'six bare containers' "$bare" "$(ratio "$bare" "$up")" \
  '23 bare containers' "$bare_many" "$(ratio "$bare_many" "$up")" \
  "agents' own waits (median)" "$wait" "$(ratio "$wait" "$up")" \
  'up less waits and six bare' "$((rest - bare))" "$(ratio "$((rest - bare))" "$up")"
printf '3+20 over 3+3: %s; 23 bare containers over six: %s\n' "$(ratio "$many" "$up")" "$(ratio "$bare_many" "$bare")"
[ -z "$plain_ms" ] || printf '%-28s %8s ms  %s\n' 'plain, one after the other' "$plain_ms" "$(ratio "$plain_ms" "$up")"
largest=$(sort -n <<<"$memory" | tail -n 1)
printf 'memory: rehearse %s KiB at its peak, the largest agent %s KiB resident\n' "$peak" "$largest"
printf 'size: program %s bytes, image %s bytes\n' "$(stat -c %s "$rehearse")" "$size"
