#!/usr/bin/env bash
# make coverage: how much of the code the tests run; fails under 90 % of the lines. Reports in target/coverage.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo llvm-cov --version >/dev/null 2>&1 || cargo install --locked --quiet cargo-llvm-cov
rustup component add llvm-tools >/dev/null
mkdir -p target/coverage
PREVIOUS_HUB_BIN=$(scripts/previous.sh)
[ -z "$PREVIOUS_HUB_BIN" ] || export PREVIOUS_HUB_BIN
# Beside the usual build, not over it; the mapping needs no debug information.
export CARGO_TARGET_DIR=$PWD/target/coverage/build CARGO_PROFILE_DEV_DEBUG=0 CARGO_INCREMENTAL=0
# shellcheck disable=SC1090
source <(cargo llvm-cov show-env --sh)
# Tests kill servers, and a killed program writes no profile at its end: counters live in the file (%c) instead.
export RUSTFLAGS="${RUSTFLAGS:-} -Cllvm-args=-runtime-counter-relocation"
export LLVM_PROFILE_FILE=${LLVM_PROFILE_FILE%-%p-*}-%c%m.profraw
cargo llvm-cov clean --workspace
# The binaries that the tests start are measured as well.
cargo build --workspace --bins --locked
export HUB_BIN=$CARGO_TARGET_DIR/debug/security-hub HUBCTL_BIN=$CARGO_TARGET_DIR/debug/hubctl
cargo nextest run --workspace --locked
cargo llvm-cov report --lcov --output-path target/coverage/lcov.info
cargo llvm-cov report --fail-under-lines 90
