#!/usr/bin/env bash
# Sees to it that moto's server, a stand-in for AWS, is at hand for the tests of `--target aws`, and
# prints its path.
#
#   ci/moto.sh               into $XDG_CACHE_HOME/rehearse (~/.cache/rehearse), from PyPI, once
#   ci/moto.sh --remove      takes it away again
#
# The version is fixed: 5.2.5 cannot change an instance's user data.
#
# Exit code: 0 when it is there, 2 for bad arguments, else 10.
set -euo pipefail

version=5.1.12
place=${XDG_CACHE_HOME:-$HOME/.cache}/rehearse/moto-$version

case "${1:-}" in
  '') ;;
  --remove)
    rm -rf "$place"
    exit 0
    ;;
  *)
    echo "usage: ci/moto.sh [--remove]" >&2
    exit 2
    ;;
esac

if [ ! -x "$place/bin/moto_server" ]; then
  room=$place.$$
  trap 'rm -rf "$room"' EXIT
  mkdir -p "$room"
  if ! python3 -m venv --upgrade-deps "$room" >&2 && ! python3 -m venv "$room" >&2; then
    echo "error: python3 cannot make a virtual environment" >&2
    echo "  hint: apt-get install python3-venv" >&2
    exit 10
  fi
  if ! "$room/bin/pip" install --quiet "moto[server,ec2,iam,ssm,sts]==$version" >&2; then
    echo "error: moto $version cannot be had from PyPI" >&2
    exit 10
  fi
  # Its programs name the folder that they were made in.
  grep -rlF "$room" "$room/bin" | xargs sed -i "s|$room|$place|g"
  rm -rf "$place"
  mv "$room" "$place"
fi
echo "$place/bin/moto_server"
