#!/usr/bin/env bash
# Builds everything that the tests run, then runs every test. Prints the runner's closing lines.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --workspace --bins --locked
# The tests run these; without it each would ask cargo again.
target=${CARGO_TARGET_DIR:-$PWD/target}
export HUB_BIN=$target/debug/security-hub HUBCTL_BIN=$target/debug/hubctl
if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run --workspace --locked --no-fail-fast "$@"
else
  cargo test --workspace --locked --no-fail-fast "$@"
fi
