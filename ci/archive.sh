#!/usr/bin/env bash
# Sourced from the source tree's top by what makes archives of it: its version, and a tar that is the same
# whenever the same files are packed.
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
# The last change's time, or where there is no history that of nothing.
time=$(git log -1 --format=%ct 2>/dev/null || echo 0)
pack() { tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$time" --format=ustar "$@"; }
