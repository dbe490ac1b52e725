#!/usr/bin/env bash
# Makes the probe's programs again from their source, in the images of ci/cross-image.sh, and
# compares them with the committed ones.
#
#   ci/probe.sh [ARCH]...            ARCH: s390x and this machine's own by default
#   ci/probe.sh --update [ARCH]...   puts the new ones in their place
#
# Exit code: 0 when all are the same (or were updated), else 1.
set -euo pipefail
cd "$(dirname "$0")/.."

update=no
if [ "${1:-}" = --update ]; then
  update=yes
  shift
fi
if [ $# = 0 ]; then set -- s390x "$(docker version --format '{{.Server.Arch}}')"; fi

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
chmod 755 "$room"
host=$(docker version --format '{{.Server.Arch}}')
code=0
for arch; do
  # Any of the images has a compiler for the machine's own architecture, too.
  foreign=$arch
  [ "$arch" != "$host" ] || foreign=s390x
  image=$(ci/cross-image.sh "$foreign" | tail -n 1)
  docker run --rm --network none --user "$(id -u):$(id -g)" -e OUT=/made \
    -v "$PWD/images/probe:/source:ro" -v "$room:/made" "$image" bash /source/build.sh "$arch"
  committed=images/probe/probe-$arch
  if cmp -s "$room/probe-$arch" "$committed"; then
    echo "same: $committed"
  elif [ "$update" = yes ]; then
    install -m 0755 "$room/probe-$arch" "$committed"
    echo "updated: $committed"
  else
    echo "error: $committed is not what its source gives ($(docker run --rm "$image" gcc --version | head -n 1))" >&2
    echo "  hint: ci/probe.sh --update $arch" >&2
    code=1
  fi
done
if [ "$update" = yes ]; then
  (cd images/probe && sha256sum probe.c arch/*.h build.sh probe-amd64 probe-arm64 probe-s390x >SHA256SUMS)
fi
exit "$code"
