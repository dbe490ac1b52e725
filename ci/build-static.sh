#!/usr/bin/env bash
# Builds the program that runs inside containers, statically linked, for one architecture:
#
#   ci/build-static.sh ARCH      ARCH: amd64, arm64, s390x
#
# Result: target/static/ARCH/rehearse-agent. Nothing is built where that is up to date with its
# sources. Natively where this machine's compiler has the target's standard library and a linker
# for it (`rustup target add`), else in the image of ci/cross-image.sh, without network, from
# vendored sources.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/debian.sh

limit_bytes=$((25 * 1024 * 1024))

choose_target() {
  case $1 in
    amd64) triple=x86_64-unknown-linux-gnu gnu=x86_64-linux-gnu machine='X86-64' ;;
    arm64) triple=aarch64-unknown-linux-gnu gnu=aarch64-linux-gnu machine='AArch64' ;;
    s390x) triple=s390x-unknown-linux-gnu gnu=s390x-linux-gnu machine='S/390' ;;
    *)
      echo "error: no architecture \`$1\`: amd64, arm64 or s390x" >&2
      exit 2
      ;;
  esac
  # cc's and cargo's names for the target's tools.
  local lower=${triple//-/_}
  # For size: half of the code, and of the compiler's work. Speed is the host's own program's. Without
  # link-time optimisation: a quarter larger, and made in half of the time, which somebody waits for.
  build_settings=(
    "CARGO_PROFILE_RELEASE_OPT_LEVEL=s"
    "CARGO_PROFILE_RELEASE_LTO=off"
    "CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16"
    "RUSTFLAGS=-C target-feature=+crt-static"
    "CARGO_TARGET_$(tr a-z A-Z <<<"$lower")_LINKER=$gnu-gcc"
    "CC_$lower=$gnu-gcc"
    "AR_$lower=$gnu-ar"
  )
  build_arguments=(build --release --locked --package agent --bin agent --target "$triple")
}

# What the program is made of. Not the build image: a newer one makes the same program again.
sources_hash() {
  { find images/simulator -type f | LC_ALL=C sort | tr '\n' '\0' | xargs -0 sha256sum
    sha256sum Cargo.toml Cargo.lock ci/build-static.sh; } | sha256sum | cut -d' ' -f1
}

can_build_natively() {
  command -v cargo >/dev/null && command -v "$gnu-gcc" >/dev/null &&
    ls "$(rustc --print target-libdir --target "$triple" 2>/dev/null)"/libstd-*.rlib >/dev/null 2>&1
}

build_natively() {
  echo "building for $arch with this machine's $(rustc --version)" >&2
  env "${build_settings[@]}" CARGO_TARGET_DIR="$work" cargo "${build_arguments[@]}"
  readelf=readelf
}

# Puts the sources of every dependency into the cache; sets `vendor` to the folder.
vendor_sources() {
  vendor=$(rehearse_cache)/vendor-$(sha256sum Cargo.lock | cut -c1-16)
  [ -e "$vendor/.complete" ] && return 0
  echo "vendoring the dependencies' sources" >&2
  mkdir -p "$(rehearse_cache)"
  find "$(rehearse_cache)" -maxdepth 1 -name 'vendor-*' -exec rm -rf {} +
  cargo vendor --quiet --locked --versioned-dirs "$vendor" >/dev/null
  touch "$vendor/.complete"
}

build_in_image() {
  local image
  image=$(ci/cross-image.sh "$arch" | tail -n 1)
  vendor_sources
  # Two folders deep: cargo does not take a configuration that lies in the root folder.
  cat >"$work/vendored.toml" <<'END'
[source.crates-io]
replace-with = "vendored"
[source.vendored]
directory = "/build/vendor"
END
  in_image=(docker run --rm --interactive --network none --user "$(id -u):$(id -g)"
    -v "$PWD:/build/src:ro" -v "$vendor:/build/vendor:ro" -v "$PWD/$work:/build/out"
    -w /build/src -e CARGO_TARGET_DIR=/build/out -e CARGO_HOME=/build/out/home)
  local setting
  for setting in "${build_settings[@]}"; do in_image+=(-e "$setting"); done
  in_image+=("$image")
  echo "building for $arch in $image" >&2
  # The build ends with this script, whatever ends that: it reads from a pipe that only we hold open.
  local pipe=$work/alive
  rm -f "$pipe"
  mkfifo "$pipe"
  exec 9<>"$pipe"
  local with_us='exec 3<&0; "$@" & build=$!; { cat >/dev/null; kill $build; } <&3 & wait $build'
  "${in_image[@]}" sh -c "$with_us" sh \
    cargo --config /build/out/vendored.toml "${build_arguments[@]}" --offline <"$pipe" 9>&-
  exec 9>&-
  readelf=in_image_readelf
}

in_image_readelf() {
  local file=${!#}
  "${in_image[@]}" readelf "${@:1:$#-1}" "/build/out/${file#"$work"/}" </dev/null
}

# The program must be of the asked architecture, need no loader, and be small.
check_program() {
  local program=$1 headers bytes
  headers=$("$readelf" -hlW "$program")
  grep -q "Machine:.*$machine" <<<"$headers" || {
    echo "error: $program is not for $arch: $(grep Machine: <<<"$headers")" >&2
    return 1
  }
  ! grep -q INTERP <<<"$headers" || {
    echo "error: $program is not static: $(grep -i 'interpreter' <<<"$headers")" >&2
    return 1
  }
  bytes=$(wc -c <"$program")
  [ "$bytes" -le "$limit_bytes" ] || {
    echo "error: $program has $bytes bytes, more than $limit_bytes" >&2
    return 1
  }
}

[ $# = 1 ] || {
  echo "error: which architecture? ci/build-static.sh ARCH (amd64, arm64, s390x)" >&2
  exit 2
}
arch=$1
choose_target "$arch"
result=target/static/$arch/rehearse-agent
work=target/static/build-$arch
made_of=$(sources_hash)
if [ -x "$result" ] && [ "$(cat "$result.made-of" 2>/dev/null)" = "$made_of" ]; then
  echo "up to date: $result" >&2
  exit 0
fi
mkdir -p "target/static/$arch" "$work"
begin=$SECONDS
if can_build_natively; then build_natively; else build_in_image; fi
program=$work/$triple/release/agent
check_program "$program"
# Renamed into place: somebody may be starting the old one.
install -m 0755 "$program" "$result.new"
mv -f "$result.new" "$result"
echo "$made_of" >"$result.made-of"
echo "built: $result ($(($(wc -c <"$result") / 1024)) KiB, $((SECONDS - begin)) s)" >&2
