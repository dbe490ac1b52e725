#!/usr/bin/env bash
# Makes what is given out for one architecture: the program, static, with its manual, completions,
# documents, jobs, scenarios, Terraform configuration and licences.
#
#   ci/release.sh ARCH      ARCH: amd64, arm64, s390x
#
# Result: target/release-archives/rehearse-VERSION-linux-ARCH.tar.gz and its checksum beside it. The
# same sources and compiler make the same archive again: names are sorted, owners and times are fixed.
# Wanted: this machine's compiler with the target's standard library (`rustup target add`) and linker.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/archive.sh

[ $# = 1 ] || {
  echo "error: which architecture? ci/release.sh ARCH (amd64, arm64, s390x)" >&2
  exit 2
}
arch=$1
case $arch in
  amd64) triple=x86_64-unknown-linux-gnu gnu=x86_64-linux-gnu machine='X86-64' ;;
  arm64) triple=aarch64-unknown-linux-gnu gnu=aarch64-linux-gnu machine='AArch64' ;;
  s390x) triple=s390x-unknown-linux-gnu gnu=s390x-linux-gnu machine='S/390' ;;
  *)
    echo "error: no architecture \`$arch\`: amd64, arm64 or s390x" >&2
    exit 2
    ;;
esac
lower=${triple//-/_}

wanted=$(rustc --print target-libdir --target "$triple")
ls "$wanted"/libstd-*.rlib >/dev/null 2>&1 || {
  echo "error: this compiler has no standard library for $triple" >&2
  echo "  hint: rustup target add $triple" >&2
  exit 10
}
command -v "$gnu-gcc" >/dev/null || {
  echo "error: no linker \`$gnu-gcc\`" >&2
  echo "  hint: sudo apt-get install gcc-$gnu libc6-dev-$arch-cross    # native: gcc" >&2
  exit 10
}

env "RUSTFLAGS=-C target-feature=+crt-static --remap-path-prefix=$PWD=. --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo" \
  "CARGO_TARGET_$(tr a-z A-Z <<<"$lower")_LINKER=$gnu-gcc" \
  "CC_$lower=$gnu-gcc" "AR_$lower=$gnu-ar" \
  cargo build --release --locked --package nomad-harness --bin rehearse --target "$triple"
program=target/$triple/release/rehearse

headers=$(readelf -hlW "$program")
grep -q "Machine:.*$machine" <<<"$headers" || {
  echo "error: $program is not for $arch" >&2
  exit 1
}
! grep -q INTERP <<<"$headers" || {
  echo "error: $program is not static" >&2
  exit 1
}

# The manual and the completions are the same everywhere: any program that runs here writes them.
writer=$program
"$writer" --version >/dev/null 2>&1 || {
  cargo build --release --locked --package nomad-harness --bin rehearse
  writer=target/release/rehearse
}

name=rehearse-$version-linux-$arch
out=target/release-archives
rm -rf "$out/$name" "$out/$name.tar.gz" "$out/$name.tar.gz.sha256"
mkdir -p "$out/$name/completions"
install -m 0755 "$program" "$out/$name/rehearse"
install -m 0644 README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE SECURITY.md "$out/$name/"
# What the documents tell to type is about these; what is in the folders and not in the repository stays out.
git ls-files -z docs jobs scenarios terraform | xargs -0 cp -P --parents -t "$out/$name"
"$writer" man "$out/$name/man" >/dev/null
for shell in bash zsh fish powershell; do
  "$writer" completions "$shell" >"$out/$name/completions/rehearse.$shell"
done
chmod -R u=rwX,go=rX "$out/$name"

pack -C "$out" -cf - "$name" | gzip -9 -n >"$out/$name.tar.gz"
rm -rf "${out:?}/$name"
(cd "$out" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
echo "$out/$name.tar.gz ($(($(wc -c <"$out/$name.tar.gz") / 1024)) KiB)"
