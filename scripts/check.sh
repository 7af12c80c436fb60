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
# Its report is asked for: a name without a test would pass as well.
report=$(mktemp)
trap 'rm -f "$report"' EXIT
HUB_MIGRATIONS_REPORT=$report cargo test --quiet --workspace --locked --test it migration_lint
[ -s "$report" ] || { printf 'check: nobody linted the migrations: no test is called migration_lint\n' >&2; exit 1; }
