#!/usr/bin/env bash
# Proves infrastructure/terraform: format, wiring, arguments and types against the AWS provider's schema, every module's
# and environment's tests with a mocked provider, policy checks; and that these checks notice what is wrong. Reaches no
# cloud. Needs terraform >= 1.11, kubectl, python3 with venv, npm.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/verify/tools.sh
. scripts/verify/tools.sh

step() { printf '\n== %s\n' "$*"; }
fail() {
  printf 'verify-terraform: %s\n' "$*" >&2
  exit 1
}
command -v terraform >/dev/null || fail 'terraform is missing: install 1.11 or later'
command -v kubectl >/dev/null || fail 'kubectl is missing (Debian 13: apt-get install kubectl)'
modules=(networking kubernetes databases security monitoring)
environments=(production staging development)
here=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Never in the tree itself: `terraform get` leaves folders behind.
tree=$work/terraform
copy() { # to where
  mkdir -p "$1"
  tar -C infrastructure/terraform --exclude=.terraform -cf - . | tar -C "$1" -xf -
}
copy "$tree"

step 'format, wiring'
export TF_CLI_CONFIG_FILE=/dev/null CHECKPOINT_DISABLE=1 TF_IN_AUTOMATION=1
python=$(pip_tool tf 1.2.0)/python
package=$(npm_tool @cdktf/provider-aws 21.22.1)/@cdktf/provider-aws
checkov=$(pip_tool checkov 3.3.30)/checkov
yaml=$(pip_tool check-jsonschema 0.39.0)/python
terraform fmt -check -recursive -diff "$tree" || fail 'not formatted: terraform fmt -recursive infrastructure/terraform'
check() { "$yaml" -B scripts/verify/terraform_check.py "$@"; }
check "$tree"

step "the provider's own checks, where its registry answers"
# It judges values as well: lengths, formats, what goes with what. A registry that answers and a provider that cannot be had is a fault.
registry="not run: Terraform's registry does not answer here"
own_checks() {
  local place
  mkdir -p "$work/plugins"
  copy "$work/own"
  for place in "${environments[@]}"; do
    (
      # One download for the three: there is no lock file that it could break.
      export TF_PLUGIN_CACHE_DIR=$work/plugins TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE=1
      cd "$work/own/environments/$place"
      terraform init -backend=false -input=false -no-color && terraform validate -no-color
    ) >"$work/out" 2>&1 || { cat "$work/out" >&2; fail "$place, by the provider itself"; }
  done
  registry='run, with the provider itself'
}
if curl -fsS -m 10 -o /dev/null "${TERRAFORM_REGISTRY:-https://registry.terraform.io}/.well-known/terraform.json" 2>/dev/null; then
  own_checks
fi
printf '%s\n' "$registry"

step 'the provider: its schemas, and nothing behind them'
"$python" -B scripts/verify/terraform_schema.py "$package" "$tree" "$work/schema"
mkdir "$work/provider"
cat >"$work/provider/terraform-provider-aws" <<SH
#!/bin/sh
HOME=$work exec "$python" -B "$here/scripts/verify/terraform_provider.py" 2>/dev/null
SH
chmod +x "$work/provider/terraform-provider-aws"
cat >"$work/rc" <<RC
provider_installation {
  dev_overrides {
    "hashicorp/aws" = "$work/provider"
  }
}
RC
export TF_CLI_CONFIG_FILE=$work/rc TERRAFORM_SCHEMA=$work/schema
# No credentials of whoever runs this, and no way to ask a machine's metadata for some.
unset AWS_PROFILE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN
export AWS_EC2_METADATA_DISABLED=true

validate() { # folder; every fault but the warning that the provider is ours
  local out
  out=$(cd "$1" && terraform get >/dev/null 2>&1 && terraform validate -json) || true
  python3 -c '
import json, sys
said = json.loads(sys.argv[1] or "{}")
for d in said.get("diagnostics", []):
    if "development overrides" not in d["summary"]:
        at = d.get("range", {})
        place = at.get("filename"), at.get("start", {}).get("line")
        print(*place, d["summary"], d.get("detail", ""), file=sys.stderr)
        said["valid"] = said.get("valid") and d["severity"] != "error"
sys.exit(0 if said.get("valid") else 1)' "$out"
}
tests=0
run_tests() { # folder, options of the test…
  local out
  (cd "$1" && terraform test -no-color "${@:2}") >"$work/out" 2>&1 || return 1
  out=$(sed -n 's/^Success! \([0-9]*\) passed.*/\1/p' "$work/out")
  [ "${out:-0}" -gt 0 ] || return 1
  tests=$((tests + out))
  printf '%-32s %2d tests\n' "${1#"$work"/}" "$out"
}

step 'validate and test, modules and environments'
for folder in "${modules[@]/#/modules/}" "${environments[@]/#/environments/}"; do
  validate "$tree/$folder" || fail "$folder is not valid"
  run_tests "$tree/$folder" || { grep -v '^ *$' "$work/out" >&2; fail "$folder: its tests fail"; }
done

for place in production staging; do
  folder=environments/$place
  [ -e "$tree/$folder/managed-data.tfvars" ] || continue
  run_tests "$tree/$folder" -test-directory=tests/managed-data -var-file=managed-data.tfvars ||
    { grep -v '^ *$' "$work/out" >&2; fail "$folder with managed databases: its tests fail"; }
done

step 'policy checks (checkov)'
policies() { "$checkov" -d "$1" --framework terraform --skip-download --quiet --compact >"$work/checkov" 2>&1; }
policies "$tree" || { cat "$work/checkov" >&2; fail 'checkov finds faults'; }
"$checkov" -d "$tree" --framework terraform --skip-download --compact -o json 2>/dev/null >"$work/checkov.json" || true
python3 - "$work/checkov.json" <<'PY'
import json, sys
said = json.load(open(sys.argv[1]))["summary"]
print(f"{said['passed']} passed, {said['failed']} failed, {said['skipped']} left out, each with its reason in place")
assert said["passed"] > 300 and said["parsing_errors"] == 0
PY

step 'would these checks notice?'
noticed=0
must_notice() { # what, file, sed expression, command that must fail…
  local bad=$work/bad what=$1 file=$2 change=$3
  shift 3
  rm -rf "$bad"
  copy "$bad"
  sed -i "$change" "$bad/$file"
  ! cmp -s "$bad/$file" "infrastructure/terraform/$file" || fail "nothing to change for: $what"
  if "$@" >/dev/null 2>&1; then fail "nobody notices: $what"; fi
  noticed=$((noticed + 1))
  printf 'noticed: %s\n' "$what"
}
bad=$work/bad
check_bad() { check "$bad"; }
must_notice 'a misspelt argument' modules/networking/main.tf 's/map_public_ip_on_launch/map_public_ip_at_launch/' validate "$bad/modules/networking"
must_notice 'an argument left out' modules/databases/main.tf '/instance_class = each.value.machine/d' validate "$bad/modules/databases"
must_notice 'a module that is not given what it needs' environments/staging/main.tf '/log_key_arn /d' validate "$bad/environments/staging"
must_notice 'a public endpoint of the cluster' modules/kubernetes/main.tf 's/endpoint_public_access  = false/endpoint_public_access  = true/' run_tests "$bad/modules/kubernetes"
must_notice 'addresses of Services that EKS chooses' modules/kubernetes/main.tf '/service_ipv4_cidr/d' run_tests "$bad/modules/kubernetes"
must_notice 'a trail that can be deleted' modules/security/trail.tf 's/"COMPLIANCE"/"GOVERNANCE"/' run_tests "$bad/modules/security"
must_notice 'a key that nobody may name' modules/security/main.tf 's/"kms:CreateAlias", //' run_tests "$bad/modules/security"
must_notice 'a key that the cluster is not given' modules/security/main.tf '/Sid .*"ClusterIsMade"/,/Resource/s/"kms:CreateGrant", //' run_tests "$bad/modules/security"
must_notice 'a trail that moves after it is deleted' modules/security/trail.tf 's/max(var.trail_retention_days + 30, 180)/var.trail_retention_days + 30/' run_tests "$bad/modules/security"
must_notice 'an endpoint that refuses who comes with a token' modules/networking/endpoints.tf 's/"sts:AssumeRoleWithWebIdentity"/"sts:GetCallerIdentity"/' run_tests "$bad/modules/networking"
must_notice 'no way in' environments/staging/terraform.tfvars '/^  headquarters = /d' run_tests "$bad/environments/staging"
must_notice 'machines without the tag that costs are told apart by' modules/kubernetes/nodes.tf 's/      tags          = merge(var.tags, {/      tags          = merge({}, {/' run_tests "$bad/modules/kubernetes"
must_notice 'nodes whose disks cannot be opened' modules/kubernetes/identities.tf 's/toset(\["disks", "karpenter"\])/toset(["disks"])/' run_tests "$bad/modules/kubernetes"
must_notice 'a copy of backups that fails in silence' modules/monitoring/alarms.tf 's/OperationFailedReplication/OperationMissedThreshold/' run_tests "$bad/modules/monitoring"
must_notice 'a database open to the network' modules/databases/main.tf 's/referenced_security_group_id = var.client_group_id/cidr_ipv4 = "10.0.0.0\/8"/' run_tests "$bad/modules/databases"
must_notice 'a wildcard without a reason' modules/kubernetes/deploy.tf 's/\["eks:DescribeCluster"\]/"eks:*"/; s/# wildcard:/#/' check_bad
must_notice 'a policy of AWS that nobody weighed' modules/kubernetes/deploy.tf 's/policy\/ReadOnlyAccess/policy\/PowerUserAccess/' check_bad
# shellcheck disable=SC2016 # the page's own marks
must_notice 'an output that another cloud would not have' README.md 's/, `registry_urls`//' check_bad
# shellcheck disable=SC2016 # sed's dollar
must_notice 'a variable that nobody uses' modules/monitoring/variables.tf '$a variable "idle" { type = string }' check_bad
must_notice 'an environment that goes its own way' environments/staging/main.tf 's/# One environment/# An environment/' check_bad
must_notice 'state without encryption' environments/production/backend.tf '/encrypt /d' check_bad
must_notice 'a secret under another name' modules/security/secrets.tf 's/^    "security-hub\/redis"/    "security-hub\/cache"/' run_tests "$bad/modules/security"
must_notice 'an unencrypted database' modules/databases/main.tf 's/storage_encrypted     = true/storage_encrypted     = false/' policies "$bad"

# And in the overlays' own folder.
must_notice_overlay() { # what, file, sed expression
  local bad=$work/overlays what=$1 file=$2 change=$3
  rm -rf "$bad"
  cp -r infrastructure/kubernetes "$bad"
  sed -i "$change" "$bad/$file"
  ! cmp -s "$bad/$file" "infrastructure/kubernetes/$file" || fail "nothing to change for: $what"
  if check "$tree" "$bad" >/dev/null 2>&1; then fail "nobody notices: $what"; fi
  noticed=$((noticed + 1))
  printf 'noticed: %s\n' "$what"
}
must_notice 'an output that goes nowhere' environments/production/outputs.tf 's/    region  /    area    /' check_bad
# shellcheck disable=SC2016 # sed's dollar
must_notice 'databases in the cloud and in the cluster' environments/staging/terraform.tfvars '$a postgresql = {\n}' check_bad
must_notice_overlay 'databases nowhere' overlays/staging/kustomization.yaml '/  - cluster-data/d'
must_notice_overlay 'a value that is another network' overlays/production/place.yaml 's|trusted_proxies: .*|trusted_proxies: "10.41.0.0/16"|'
must_notice_overlay 'a value that no object takes' components/place/kustomization.yaml 's/parameters.kmsKeyId/parameters.fsType/'
must_notice_overlay 'metrics that are written nowhere' monitoring/prometheus/prometheus.yml 's/  - url: .*/  - url: https:\/\/elsewhere/'
must_notice_overlay 'backups that their copy cannot open' deployments/postgresql-cluster.yaml 's/^      compression: gzip/&\n      encryption: aws:kms/'
must_notice_overlay 'a zone whose database is not reached' components/managed-data/kustomization.yaml 's/index: 2}/index: 1}/'

printf '\nverify-terraform: %d modules, %d environments, %d tests, %d planted faults noticed. The provider'\''s own checks: %s. Not run: plan and apply against AWS.\n' \
  "${#modules[@]}" "${#environments[@]}" "$tests" "$noticed" "$registry"
