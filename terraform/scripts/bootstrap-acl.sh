#!/bin/bash
# Makes the cluster's first management token, once, from the operator's machine.
#
# The token is chosen here and written to a file before the cluster hears of it: if the reply gets
# lost on the way, the token is not. Running it again is harmless: it then checks that the token of
# the file is the cluster's.
#
#   scripts/bootstrap-acl.sh            after `terraform apply`, in the folder of the configuration
set -euo pipefail
umask 077

output() { terraform output -raw "$1"; }
die() {
  echo "error: $*" >&2
  exit 1
}

TOKEN_FILE="$(output token_file)"
NAME="$(output tls_server_name)"
ADDRESS="$(output nomad_addr)"
HOST="${ADDRESS#https://}"
HOST="${HOST%:*}"
DEADLINE=$((SECONDS + ${TIMEOUT:-600}))

# call METHOD PATH [curl's options]: prints the body, then the status on a line of its own.
call() {
  local method="$1" path="$2"
  shift 2
  curl --silent --show-error --max-time 15 --request "$method" \
    --cacert "$(output ca_file)" --cert "$(output cert_file)" --key "$(output key_file)" \
    --connect-to "$NAME:4646:$HOST:4646" --write-out '\n%{http_code}' "$@" "https://$NAME:4646$path"
}

if [ ! -s "$TOKEN_FILE" ]; then
  tr -d '\n' < /proc/sys/kernel/random/uuid > "$TOKEN_FILE" 2> /dev/null ||
    uuidgen | tr 'A-Z' 'a-z' | tr -d '\n' > "$TOKEN_FILE"
fi
TOKEN="$(cat "$TOKEN_FILE")"

# Machines take a minute or two to become agents; a cluster without a leader cannot bootstrap.
until LEADER="$(call GET /v1/status/leader 2> /dev/null)" && [[ "$LEADER" == *:4647*$'\n'200 ]]; do
  [ "$SECONDS" -lt "$DEADLINE" ] || die "no leader at $ADDRESS. Look at a server: aws ssm start-session --target INSTANCE, then: journalctl -u nomad"
  sleep 5
done

# The secret goes through standard input: arguments can be read by everybody on this machine.
REPLY="$(printf '{"BootstrapSecret":"%s"}' "$TOKEN" | call PUT /v1/acl/bootstrap --data @-)"
STATUS="${REPLY##*$'\n'}"
case "$STATUS" in
  200) echo "done: the management token is in $TOKEN_FILE" ;;
  400)
    SELF="$(printf 'header = "X-Nomad-Token: %s"\n' "$TOKEN" | call GET /v1/acl/token/self --config -)"
    [ "${SELF##*$'\n'}" = 200 ] || die "the cluster was bootstrapped with another token than that in $TOKEN_FILE: ${REPLY%$'\n'*}"
    echo "nothing to do: the token in $TOKEN_FILE is the cluster's"
    ;;
  *) die "the cluster answered $STATUS: ${REPLY%$'\n'*}" ;;
esac
