#!/usr/bin/env bash
# Puts the archives of ci/release.sh and ci/tool-image.sh beside a tag, as a draft that somebody looks at before it is given
# out. Needs GitHub's command `gh`, with a token in its environment.
#
#   ci/publish.sh TAG DIR [--check]      --check: only sees that all archives are there and whole
set -euo pipefail
tag=${1:?the tag} dir=${2:?the folder of the archives}
source=$(cd "$(dirname "$0")/.." && pwd)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$source/Cargo.toml" | head -n 1)
[ "$tag" = "v$version" ] || {
  echo "error: tag \`$tag\` is not of version $version (expected \`v$version\`)" >&2
  exit 2
}
cd "$dir"
files=()
for arch in amd64 arm64 s390x; do
  for kind in linux image; do
    archive=rehearse-$version-$kind-$arch.tar.gz
    sha256sum --check --quiet --strict "$archive.sha256" || {
      echo "error: \`$archive\` is not whole" >&2
      exit 1
    }
    files+=("$archive" "$archive.sha256")
  done
done
[ "${3:-}" != --check ] || exit 0
gh release create "$tag" --draft --verify-tag --title "rehearse $version" --notes-file "$source/CHANGELOG.md" "${files[@]}"
