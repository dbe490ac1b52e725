#!/usr/bin/env bash
# Makes the image in which ci/build-static.sh cross-builds for ARCH, where it is not there yet;
# prints its name as the last line.
#
#   ci/cross-image.sh ARCH           ARCH: s390x, arm64, amd64
#   ci/cross-image.sh --remove       removes every image of this kind
#
# The compiler runs as this machine's own architecture, at full speed; only what it makes is
# foreign. Compiler, linker and the target's standard library must be of one release, so all come
# from Debian, where they exist for each of our architectures. On Debian (10 on) the packages are
# unpacked without installing (no root, no emulator, nothing run of them); elsewhere a Dockerfile
# says the same on top of Debian's own image. About 0.9 GB; remade when this file changes.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/debian.sh

# Folders of packages that nothing here reads.
unread=(doc man locale info lintian gdb bash-completion)

docker_arch() {
  docker version --format '{{.Server.Arch}}'
}

# Sets `tools` and `cross` to the packages which a compiler on architecture $2 needs for $1.
choose_packages() {
  local gnu
  case $1 in
    amd64) gnu=x86-64-linux-gnu ;;
    arm64) gnu=aarch64-linux-gnu ;;
    s390x) gnu=s390x-linux-gnu ;;
    *)
      echo "error: no architecture \`$1\`: amd64, arm64 or s390x" >&2
      exit 2
      ;;
  esac
  cross=()
  [ "$1" = "$2" ] || cross=("gcc-$gnu" "libc6-dev-$1-cross")
  tools=(rustc cargo gcc libc6-dev bash dash coreutils findutils sed grep)
}

# Unpacks all packages into folder $1/root, with the standard library of architecture $2 for a
# compiler that runs on architecture $3.
unpack() {
  local room=$1 arch=$2 host=$3 deb
  debian_apt_update "$room/apt" "$host,$arch" >&2
  debian_apt "$room/apt" "$host,$arch" install --download-only -y --no-install-recommends \
    "${tools[@]}" ${cross[@]+"${cross[@]}"} >"$room/apt/log/download" 2>&1 || {
    tail -n 5 "$room/apt/log/download" >&2
    return 1
  }
  # By itself: its dependencies are the target's, and the linker takes those of the cross packages.
  (cd "$room/apt/cache/archives" &&
    debian_apt "$room/apt" "$host,$arch" download "libstd-rust-dev:$arch" >&2)
  local excludes=() name
  for name in "${unread[@]}"; do excludes+=("--exclude=./usr/share/$name"); done
  mkdir "$room/root"
  echo "unpacking $(find "$room/apt/cache/archives" -name '*.deb' | wc -l) packages" >&2
  for deb in "$room"/apt/cache/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" |
      tar -x -C "$room/root" --keep-directory-symlink "${excludes[@]}"
  done
  # What the packages' own scripts would have done, as far as it is needed.
  ln -sf gcc "$room/root/usr/bin/cc"
  ln -sf dash "$room/root/usr/bin/sh"
}

make_by_unpacking() {
  local tag=$1 arch=$2 host=$3
  mkdir -p "$(rehearse_cache)"
  room=$(mktemp -d "$(rehearse_cache)/cross-image.XXXXXX")
  trap 'rm -rf "$room"' EXIT
  unpack "$room" "$arch" "$host"
  tar -C "$room/root" -c . | docker import --change "LABEL rehearse.build=$arch" - "$tag" >&2
}

make_by_dockerfile() {
  local tag=$1 arch=$2 host=$3
  docker build --platform "linux/$host" --label "rehearse.build=$arch" -t "$tag" - >&2 <<END
FROM debian:$debian_suite-slim
RUN dpkg --add-architecture $arch && apt-get update -q \\
 && apt-get install -y -q --no-install-recommends ${tools[*]} ${cross[*]-} \\
 && cd /tmp && apt-get download libstd-rust-dev:$arch && dpkg -x libstd-rust-dev_*.deb / \\
 && rm -rf /tmp/*.deb /var/lib/apt/lists/*
END
}

main() {
  local arch=$1 host tag
  host=$(docker_arch) || {
    echo "error: no Docker engine answers, and a cross build needs one" >&2
    exit 10
  }
  choose_packages "$arch" "$host"
  tag=rehearse-build:$arch-on-$host-$(cat ci/cross-image.sh ci/debian.sh | sha256sum | cut -c1-12)
  if ! docker image inspect "$tag" >/dev/null 2>&1; then
    echo "making the build image $tag" >&2
    if [ -n "$(debian_mirror)" ]; then
      make_by_unpacking "$tag" "$arch" "$host"
    else
      make_by_dockerfile "$tag" "$arch" "$host"
    fi
  fi
  echo "$tag"
}

case ${1:-} in
  --remove)
    docker image ls -q --filter label=rehearse.build | sort -u | while read -r image; do
      docker image rm -f "$image"
    done
    ;;
  -* | "")
    echo "error: which architecture? ci/cross-image.sh ARCH or ci/cross-image.sh --remove" >&2
    exit 2
    ;;
  *) main "$1" ;;
esac
