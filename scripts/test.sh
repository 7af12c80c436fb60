#!/usr/bin/env bash
# Builds everything that the tests run, then runs every test. Prints the runner's closing lines.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --workspace --bins --locked
# It leaves its own server where this one's was.
PREVIOUS_HUB_BIN=$(scripts/previous.sh)
[ -z "$PREVIOUS_HUB_BIN" ] || export PREVIOUS_HUB_BIN
cargo build --workspace --bins --locked --quiet
# The tests run these; without it each would ask cargo again.
target=${CARGO_TARGET_DIR:-$PWD/target}
export HUB_BIN=$target/debug/security-hub HUBCTL_BIN=$target/debug/hubctl
# Debian 12 has no kubectl that knows kustomize; `make verify-kubernetes` insists on one.
if command -v kubectl >/dev/null; then
  cargo test --quiet --locked --workspace --test kubernetes
else
  printf 'SKIPPED, since there is no kubectl here: tests/tests/kubernetes (rules over the Kubernetes overlays)\n' >&2
fi
if cargo nextest --version >/dev/null 2>&1; then
  # One more at a time than there are processors: what starts databases and servers waits as much as it computes (measured on
  # two: 75 backups, drills and runbooks in 618 s, in 823 s without).
  export NEXTEST_TEST_THREADS=${NEXTEST_TEST_THREADS:-$(($(nproc) + 1))}
  cargo nextest run --workspace --locked --no-fail-fast "$@"
else
  cargo test --workspace --locked --no-fail-fast "$@"
fi
