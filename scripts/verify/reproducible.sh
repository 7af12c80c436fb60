#!/usr/bin/env bash
# make verify-reproducible: what goes into the images is built twice from the same commit, in folders of different names and
# from nothing, and compared byte by byte. Takes as long as two release builds.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for name in one another/one; do
  mkdir -p "$work/$name"
  git archive HEAD | tar -x -C "$work/$name"
  SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
  export SOURCE_DATE_EPOCH
  (unset CARGO_TARGET_DIR && cd "$work/$name" && scripts/image/binaries.sh out >&2)
  (cd "$work/$name/out" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$work/sums-${name%%/*}"
  rm -rf "${work:?}/$name"
done
cat "$work/sums-one"
diff "$work/sums-one" "$work/sums-another" || {
  printf 'verify-reproducible: two builds of one commit differ\n' >&2
  exit 1
}
printf 'verify-reproducible: two builds, %d files, the same bytes\n' "$(wc -l <"$work/sums-one")"
