#!/usr/bin/env bash
# Formatting, lints, licences and bans, shell scripts, content, migrations. Any fault ends it.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

step 'cargo fmt --check'
cargo fmt --all -- --check
step 'cargo clippy -D warnings'
cargo clippy --workspace --all-targets --locked -- -D warnings
step 'cargo deny check bans licenses sources'
cargo deny --locked --log-level error check bans licenses sources
step 'shellcheck'
git ls-files -z '*.sh' '.ci/run' | xargs -0 shellcheck
step 'hubctl content check'
cargo run --quiet --locked --bin hubctl -- content check
step 'every migration expands (squawk)'
cargo test --quiet --workspace --locked --test it migration_lint
