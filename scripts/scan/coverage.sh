#!/usr/bin/env bash
# make coverage: how much of the code the tests run; fails under 90 % of the lines. Reports in target/coverage.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo llvm-cov --version >/dev/null 2>&1 || cargo install --locked --quiet cargo-llvm-cov
rustup component add llvm-tools >/dev/null
mkdir -p target/coverage
# The binaries that the tests start are measured as well.
# shellcheck disable=SC1090
source <(cargo llvm-cov show-env --export-prefix)
cargo llvm-cov clean --workspace
cargo build --workspace --bins --locked
export HUB_BIN=$CARGO_TARGET_DIR/debug/security-hub HUBCTL_BIN=$CARGO_TARGET_DIR/debug/hubctl
cargo nextest run --workspace --locked
cargo llvm-cov report --lcov --output-path target/coverage/lcov.info
cargo llvm-cov report --fail-under-lines 90
