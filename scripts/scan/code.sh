#!/usr/bin/env bash
# make scan: our own rules over the code (SAST), each of which is then shown to find what was planted for it, and secrets that do not
# belong in git.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/verify/tools.sh
. scripts/verify/tools.sh
rules=infrastructure/docker/security-scanning
semgrep=$(pip_tool semgrep 1.179.0)/semgrep
secrets=$(pip_tool detect-secrets 1.5.0)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

printf '== our own rules (semgrep)\n'
"$semgrep" scan --metrics=off --disable-version-check --quiet --error --exclude crates/testkit \
  --config "$rules/semgrep.yml" crates scripts
cp "$rules/planted.rs.txt" "$work/planted.rs"
found=$("$semgrep" scan --metrics=off --disable-version-check --quiet --json --config "$rules/semgrep.yml" "$work" |
  python3 -c 'import json,sys; print(len({r["check_id"] for r in json.load(sys.stdin)["results"]}))')
wanted=$(grep -c '^  - id:' "$rules/semgrep.yml")
[ "$found" -eq "$wanted" ] || tool_fail "of $wanted rules only $found find what was planted for them"
printf '%s rules, each shown to find what it is for\n' "$wanted"

printf '== secrets (detect-secrets)\n'
git ls-files -z -- ':!*.png' ':!Cargo.lock' ':!fuzz/Cargo.lock' ':!*secrets.baseline' |
  xargs -0 "$secrets/detect-secrets-hook" --baseline "$rules/secrets.baseline"
printf 'nothing that the baseline does not know\n'
