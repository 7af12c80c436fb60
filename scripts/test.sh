#!/usr/bin/env bash
# Builds everything that the tests run, then runs every test. Prints the runner's closing lines.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --workspace --bins --locked
if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run --workspace --locked --no-fail-fast "$@"
else
  cargo test --workspace --locked --no-fail-fast "$@"
fi
