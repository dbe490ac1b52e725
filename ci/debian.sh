#!/usr/bin/env bash
# Sourced by CI scripts: packages of another Debian release than this machine's, from the mirror
# that this machine's own apt is set up with, without touching its sources, lists or packages.
#
# Every apt call works in a folder of its own and sees an empty machine there, so that it
# resolves whole dependency closures and needs no root.

# The Debian release whose QEMU and cross compiler are known to be good (docs/s390x.md).
debian_suite=trixie

# Prints the folder where downloads are kept between runs.
rehearse_cache() {
  echo "${REHEARSE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rehearse}"
}

# Prints the address of the Debian mirror of this machine's apt; nothing where apt has none.
debian_mirror() {
  command -v apt-get >/dev/null || return 0
  local id codename
  id=$(. /etc/os-release && echo "${ID:-}")
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  [ "$id" = debian ] || return 0
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' \
    "Release: $codename" 2>/dev/null | head -n 1
}

# Runs apt-get ARGS on the release's packages. $1: working folder; $2: architectures, the
# machine's own first, parted by commas.
debian_apt() {
  local dir=$1 archs=$2
  shift 2
  # Sandbox::User: the working folder need not be readable for apt's own user.
  timeout "${REHEARSE_APT_TIMEOUT:-600}" apt-get -q \
    -o Dir::Etc::SourceList="$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State="$dir/state" -o Dir::State::Status="$dir/status" \
    -o Dir::Cache="$dir/cache" -o Dir::Log="$dir/log" \
    -o APT::Architecture="${archs%%,*}" -o APT::Architectures="$archs" \
    -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none -o Debug::NoLocking=1 "$@"
}

# Makes the working folder $1 and fetches the release's package lists for architectures $2.
debian_apt_update() {
  local dir=$1 archs=$2 mirror
  mirror=$(debian_mirror)
  if [ -z "$mirror" ]; then
    echo "error: this machine's apt has no Debian mirror to take packages from" >&2
    return 1
  fi
  rm -rf "$dir"
  mkdir -p "$dir"/{state/lists/partial,cache/archives/partial,log}
  : >"$dir/status"
  # signed-by: apt's default keyring may miss the key of a release newer than this machine.
  local keys=/usr/share/keyrings/debian-archive-keyring.gpg
  echo "deb [signed-by=$keys target=Packages] $mirror $debian_suite main" >"$dir/sources.list"
  debian_apt "$dir" "$archs" update >"$dir/log/update" 2>&1 || {
    echo "error: package lists of Debian $debian_suite were not fetched from $mirror" >&2
    tail -n 5 "$dir/log/update" >&2
    return 1
  }
}
