#!/usr/bin/env bash
# Makes an image of the tool itself from what ci/release.sh made for an architecture: a file for
# `docker load`. Needs no Docker engine.
#
#   ci/tool-image.sh ARCH [DIR]      ARCH: amd64, arm64, s390x; DIR: target/release-archives
#
# Result: DIR/rehearse-VERSION-image-ARCH.tar.gz and its checksum beside it. In it: the program, and the
# certificate authorities of this machine, for downloads. docs/platforms.md says how it is run.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
  amd64 | arm64 | s390x) arch=$1 ;;
  *)
    echo "error: which architecture? ci/tool-image.sh ARCH (amd64, arm64, s390x)" >&2
    exit 2
    ;;
esac
dir=${2:-target/release-archives}
. ci/archive.sh
archive=$dir/rehearse-$version-linux-$arch.tar.gz
[ -e "$archive" ] || {
  echo "error: there is no $archive" >&2
  echo "  hint: ci/release.sh $arch" >&2
  exit 10
}
hash_of() { sha256sum "$1" | cut -d' ' -f1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/root/"{etc/ssl/certs,home,tmp,work} "$work/image"
tar -xzf "$archive" -C "$work/root" --strip-components=1 --wildcards '*/rehearse' '*/LICENSE-*'
authorities=/etc/ssl/certs/ca-certificates.crt
[ ! -e "$authorities" ] || install -m 0644 "$authorities" "$work/root$authorities"
chmod -R u=rwX,go=rX "$work/root"
chmod 1777 "$work/root/tmp"
pack -C "$work/root" -cf "$work/layer.tar" .
layer=$(hash_of "$work/layer.tar")
mv "$work/layer.tar" "$work/image/$layer.tar"

cat >"$work/config.json" <<JSON
{"architecture":"$arch","os":"linux","created":"$(date -u -d "@$time" +%Y-%m-%dT%H:%M:%SZ)",
"config":{"Entrypoint":["/rehearse"],"Cmd":["--help"],"Env":["PATH=/","HOME=/home"],"WorkingDir":"/work",
"Labels":{"org.opencontainers.image.title":"rehearse","org.opencontainers.image.version":"$version",
"org.opencontainers.image.licenses":"MIT OR Apache-2.0"}},
"rootfs":{"type":"layers","diff_ids":["sha256:$layer"]}}
JSON
config=$(hash_of "$work/config.json")
mv "$work/config.json" "$work/image/$config.json"
cat >"$work/image/manifest.json" <<JSON
[{"Config":"$config.json","RepoTags":["rehearse:$version-$arch"],"Layers":["$layer.tar"]}]
JSON

name=rehearse-$version-image-$arch.tar.gz
pack -C "$work/image" -cf - . | gzip -9 -n >"$dir/$name"
(cd "$dir" && sha256sum "$name" >"$name.sha256")
echo "$dir/$name ($(($(wc -c <"$dir/$name") / 1024)) KiB): docker load < $dir/$name"
