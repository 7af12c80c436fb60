#!/usr/bin/env bash
# Builds the server as it was before the newest migration and prints where it is: the test of old and new on one schema runs
# it. Prints nothing where git does not have that commit (a shallow clone). A commit that does not build gives way to the one
# before it: its schema is that old as well.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
newest=$(git log -1 --diff-filter=A --format=%H -- 'migrations/*.sql' 2>/dev/null || true)
before=$(git rev-parse --verify --quiet "$newest^" 2>/dev/null || true)
if [ -z "$newest" ] || [ -z "$before" ]; then
  printf 'previous: git does not have the commit before the newest migration\n' >&2
  exit 0
fi
place=$target/previous/$before

# What it depends on is built already, with the same features: the folder of what is built is the same.
build() {
  rm -rf "$place/src" && mkdir -p "$place/src" &&
    git archive --format=tar "$1" | tar -x -C "$place/src" &&
    (cd "$place/src" && CARGO_TARGET_DIR=$target cargo build --quiet --locked --workspace --bin security-hub) >&2 &&
    mv "$target/debug/security-hub" "$place/security-hub"
}

if [ ! -x "$place/security-hub" ]; then
  rm -rf "$target/previous"
  for commit in $(git rev-list --first-parent --max-count=5 "$before"); do
    if build "$commit"; then break; fi
    printf 'previous: %s does not build, the one before it is taken\n' "$commit" >&2
  done
  rm -rf "$place/src"
fi
[ -x "$place/security-hub" ] || { printf 'previous: no server built\n' >&2; exit 1; }
printf '%s\n' "$place/security-hub"
