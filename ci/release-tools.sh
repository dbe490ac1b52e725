#!/usr/bin/env bash
# Gets what ci/release.sh wants for an architecture, on Debian or Ubuntu with rustup: the target's
# standard library and linker. What is there already is left as it is.
#
#   ci/release-tools.sh ARCH [--print]      --print: only says what would be done
set -euo pipefail
case ${1:-} in
  amd64) triple=x86_64-unknown-linux-gnu gnu=x86_64-linux-gnu ;;
  arm64) triple=aarch64-unknown-linux-gnu gnu=aarch64-linux-gnu ;;
  s390x) triple=s390x-unknown-linux-gnu gnu=s390x-linux-gnu ;;
  *)
    echo "error: which architecture? ci/release-tools.sh ARCH (amd64, arm64, s390x)" >&2
    exit 2
    ;;
esac
do_it() {
  echo "+ $*" >&2
  [ "$print" = yes ] || "$@"
}
print=no
[ "${2:-}" != --print ] || print=yes
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
if ! ls "$(rustc --print target-libdir --target "$triple")"/libstd-*.rlib >/dev/null 2>&1; then
  do_it rustup target add "$triple"
fi
if ! command -v "$gnu-gcc" >/dev/null; then
  do_it "${as_root[@]}" apt-get update
  do_it "${as_root[@]}" apt-get install --yes --no-install-recommends "gcc-${gnu/_/-}" "libc6-dev-$1-cross"
fi
