#!/usr/bin/env bash
# Compiles the probe for ARCH... (amd64, arm64, s390x; all of them by default) with the cross
# compilers that are at hand, beside this script or into OUT. The committed binaries come from
# the build image of ci/build-static.sh, where Debian's gcc 14.2.0 is.
set -euo pipefail
cd "$(dirname "$0")"
out=${OUT:-.}

compile() {
  local arch=$1 compiler=$2
  shift 2
  # One segment, no build id, no unwinding tables: a few kilobytes, the same bytes each time.
  # -march=z10: the oldest IBM Z that any emulator offers. No library, and no calls to memset
  # which the compiler would like to make out of loops.
  "$compiler" -Os -std=c11 -Wall -Wextra -Werror -static -nostdlib -ffreestanding \
    -fno-stack-protector -fno-asynchronous-unwind-tables -fno-builtin \
    -fno-tree-loop-distribute-patterns -fno-strict-aliasing -fcf-protection=none -fno-pic -no-pie \
    "$@" -Wl,--build-id=none -Wl,-z,noseparate-code -Wl,-z,max-page-size=4096 \
    -Wl,-z,noexecstack -s -o "$out/probe-$arch" probe.c
}

for arch in "${@:-all}"; do
  case $arch in
    amd64) compile amd64 x86_64-linux-gnu-gcc ;;
    arm64) compile arm64 aarch64-linux-gnu-gcc ;;
    s390x) compile s390x s390x-linux-gnu-gcc -march=z10 ;;
    all) "./$(basename "$0")" amd64 arm64 s390x ;;
    *)
      echo "error: no architecture \`$arch\`: amd64, arm64 or s390x" >&2
      exit 2
      ;;
  esac
done
