#!/usr/bin/env bash
# Sees to it that programs of a foreign architecture really run here, in containers too.
#
#   ci/qemu.sh [ARCH]...     ARCH: s390x (the default), arm64, amd64
#   ci/qemu.sh --undo        takes back whatever this script registered or mounted
#
# Nothing happens where the functional probe (images/probe) already passes. Otherwise, as root on
# Debian: QEMU from the release that is known to be good (facts in docs/s390x.md: Debian 12's and
# its backports' are not) is unpacked into the cache folder and registered with the F flag, under a
# name of our own. The kernel tries the newest registration first, so a broken one of the user's
# stays where it is, unused until --undo.
#
# Exit code: 0 when every ARCH works, 2 for bad arguments, else 10.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/debian.sh

binfmt=/proc/sys/fs/binfmt_misc
mounted_mark=/run/rehearse-binfmt-mounted

fail() {
  echo "error: $1" >&2
  shift
  local line
  for line; do echo "  $line" >&2; done
  exit 10
}

# The kernel's own word for this boot: a mark of an earlier boot says nothing.
boot_id() { cat /proc/sys/kernel/random/boot_id; }

native_arch() {
  case $(uname -m) in
    x86_64) echo amd64 ;;
    aarch64) echo arm64 ;;
    s390x) echo s390x ;;
    *) uname -m ;;
  esac
}

qemu_name() {
  case $1 in
    amd64) echo qemu-x86_64 ;;
    arm64) echo qemu-aarch64 ;;
    s390x) echo qemu-s390x ;;
  esac
}

# Prints the head and the mask of an ELF program (binfmt_misc's form): class, byte order, version
# and machine count; the ABI byte and whether it is position-independent do not.
elf_magic() {
  local little='\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00'
  local big='\x7f\x45\x4c\x46\x02\x02\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02'
  local head='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff'
  case $1 in
    amd64) echo "$little\\x3e\\x00:$head\\xfe\\xff\\xff\\xff" ;;
    arm64) echo "$little\\xb7\\x00:$head\\xfe\\xff\\xff\\xff" ;;
    s390x) echo "$big\\x00\\x16:$head\\xff\\xfe\\xff\\xff" ;;
  esac
}

# Runs the probe of architecture $1 and prints its log; succeeds when it proves that emulation
# works. As root the probe runs in an empty root folder, where an emulator which was registered
# without F is not found: as it would be in a container.
run_probe() {
  local arch=$1 log code=0 room
  if [ "$(id -u)" = 0 ]; then
    room=$(mktemp -d)
    cp "images/probe/probe-$arch" "$room/probe"
    log=$(timeout -s KILL 20 chroot "$room" /probe 2>&1) || code=$?
    rm -rf "$room"
  else
    log=$(timeout -s KILL 20 "images/probe/probe-$arch" 2>&1) || code=$?
  fi
  printf '%s\n' "$log"
  [ "$code" = 0 ] && [[ "$log" == "arch $arch "* ]] && [[ "$log" == *$'\nprobe ok' ]]
}

mount_binfmt() {
  [ -e "$binfmt/register" ] && return 0
  modprobe binfmt_misc 2>/dev/null || true
  mount -t binfmt_misc binfmt_misc "$binfmt" ||
    fail "binfmt_misc cannot be mounted on $binfmt" \
      "in a container this needs --privileged; else run this script on the host itself"
  boot_id >"$mounted_mark"
}

# Unpacks a good QEMU for architecture $1 into the cache; prints its path.
fetch_qemu() {
  local arch=$1 name folder room version
  name=$(qemu_name "$arch")
  folder=$(rehearse_cache)/qemu-$debian_suite
  if [ ! -x "$folder/$name" ]; then
    mkdir -p "$folder"
    room=$(mktemp -d "$folder/fetch.XXXXXX")
    echo "fetching qemu-user of Debian $debian_suite" >&2
    debian_apt_update "$room/apt" "$(native_arch)" >&2 &&
      (cd "$room" && debian_apt "$room/apt" "$(native_arch)" download qemu-user >&2) || {
      rm -rf "$room"
      fail "Debian $debian_suite's qemu-user was not fetched" \
        "hint: docker run --privileged --rm tonistiigi/binfmt --install $arch"
    }
    dpkg-deb --fsys-tarfile "$room"/qemu-user_*.deb |
      tar -x -C "$room" --strip-components=3 "./usr/bin/$name"
    mv "$room/$name" "$folder/$name"
    rm -rf "$room"
  fi
  version=$("$folder/$name" --version | head -n 1)
  echo "QEMU: $version" >&2
  echo "$folder/$name"
}

# Makes emulation of architecture $1 work, or says why it does not.
provide() {
  local arch=$1 log entry qemu
  if log=$(run_probe "$arch"); then
    echo "$arch: works already: $(whose "$arch")"
    return 0
  fi
  echo "$arch: does not work yet: $(grep -m 1 '^FAIL' <<<"$log" ||
    echo "the probe does not start (no emulator, one registered without F, or one that crashes)")"
  if [ "$(id -u)" != 0 ] || [ -z "$(debian_mirror)" ]; then
    fail "$arch programs do not run here, and only root on Debian can mend that with this script" \
      "hint, with Docker: docker run --privileged --rm tonistiigi/binfmt --install $arch" \
      "hint, on Debian: sudo ci/qemu.sh $arch" \
      "hint, on Fedora: sudo dnf install qemu-user-static" \
      "then: ci/qemu.sh $arch, which only looks"
  fi
  mount_binfmt
  entry=rehearse-$(qemu_name "$arch")
  # One of ours which does not work: it was made by an older release, or by hand.
  [ ! -e "$binfmt/$entry" ] || echo -1 >"$binfmt/$entry"
  qemu=$(fetch_qemu "$arch")
  printf '%s' ":$entry:M::$(elf_magic "$arch"):$qemu:F" >"$binfmt/register"
  if ! log=$(run_probe "$arch"); then
    echo -1 >"$binfmt/$entry"
    printf '%s\n' "$log" >&2
    fail "$qemu was tried and does not work on kernel $(uname -r) either; nothing is registered" \
      "hint: rm -r $(dirname "$qemu") and run this again: a newer QEMU may have come out"
  fi
  echo "$arch: works now: $(whose "$arch")"
}

# Prints who runs programs of architecture $1, as far as can be seen.
whose() {
  local arch=$1 entry
  if [ "$arch" = "$(native_arch)" ]; then
    echo "this machine's own architecture"
    return 0
  fi
  for entry in "rehearse-$(qemu_name "$arch")" "$(qemu_name "$arch")"; do
    if [ -r "$binfmt/$entry" ]; then
      echo "$(sed -n 's/^interpreter //p' "$binfmt/$entry") ($entry)"
      return 0
    fi
  done
  echo "an emulator that is not visible from here"
}

undo() {
  [ "$(id -u)" = 0 ] || fail "only root can take a registration back" "hint: sudo ci/qemu.sh --undo"
  local entry count=0
  for entry in "$binfmt"/rehearse-qemu-*; do
    [ -e "$entry" ] || continue
    echo -1 >"$entry"
    echo "took back: $(basename "$entry")"
    count=$((count + 1))
  done
  if [ -e "$mounted_mark" ]; then
    if [ "$(cat "$mounted_mark")" = "$(boot_id)" ]; then
      umount "$binfmt" && echo "unmounted: $binfmt"
    fi
    rm -f "$mounted_mark"
  fi
  [ "$count" != 0 ] || echo "nothing of ours was registered"
  echo "the unpacked QEMU stays in the cache: $(rehearse_cache)/qemu-$debian_suite"
}

case ${1:-} in
  --undo) undo ;;
  -*)
    echo "error: unknown option \`$1\`: ci/qemu.sh [ARCH]... or ci/qemu.sh --undo" >&2
    exit 2
    ;;
  *)
    for arch in "${@:-s390x}"; do
      if [ -z "$(qemu_name "$arch")" ]; then
        echo "error: no architecture \`$arch\`: amd64, arm64 or s390x" >&2
        exit 2
      fi
      provide "$arch"
    done
    ;;
esac
