#!/usr/bin/env bash
# Sourced by CI scripts: is there a Docker engine, and can one be started?

# Answers whether an engine answers on the default address.
docker_answers() {
  timeout 10 docker version --format '{{.Server.APIVersion}}' >/dev/null 2>&1
}

# Installs the engine from Debian's packages and starts it, where that is possible: as root,
# with apt, and no engine answering yet.
start_docker_if_possible() {
  docker_answers && return 0
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 0
  if ! command -v dockerd >/dev/null; then
    echo "installing a Docker engine from Debian's packages" >&2
    timeout 300 apt-get update -q >&2 || return 0
    timeout 600 apt-get install -y -q --no-install-recommends docker.io iptables tini >&2 || return 0
  fi
  echo "starting dockerd" >&2
  mkdir -p target
  nohup dockerd >target/dockerd.log 2>&1 &
  local tries
  for tries in $(seq 1 60); do
    docker_answers && return 0
    sleep 0.5
  done
  echo "dockerd did not answer within 30 s; its last lines:" >&2
  tail -n 5 target/dockerd.log >&2
  return 0
}
