#!/usr/bin/env bash
# Checks infrastructure/kubernetes: every overlay rendered, against the schemas of the three newest Kubernetes releases and of
# the custom kinds, policy checks, the first migration in a new database, alert rules with their tests, and our own rules over the
# rendered objects (Rust).
# `scripts/verify/kubernetes.sh --no-cargo` leaves the last out.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/verify/tools.sh
. scripts/verify/tools.sh

releases=(1.35 1.36 1.37)
here=infrastructure/kubernetes
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
faults=0
fault() {
  printf 'kubernetes: %s\n' "$*" >&2
  faults=$((faults + 1))
}

command -v kubectl >/dev/null || tool_fail "kubectl is missing (Debian 13: apt-get install kubectl)"
validate=$(pip_tool kubernetes-validate 1.37.0)/kubernetes-validate
schema=$(pip_tool check-jsonschema 0.39.0)/check-jsonschema
policy=$(pip_tool checkov 3.3.30)/checkov
lint=$(pip_tool yamllint 1.38.0)/yamllint
cel=$(pip_tool cel-python 0.5.0 ruamel.yaml==0.18.15)/python

# The programs of Prometheus: installed, or unpacked from Debian's packages into the tools' folder.
monitoring=$tools_root/prometheus
if ! command -v promtool >/dev/null || ! command -v amtool >/dev/null; then
  if [ ! -e "$monitoring/.done" ]; then
    mkdir -p "$monitoring"
    (cd "$monitoring" && apt-get download -qq prometheus prometheus-alertmanager 2>/dev/null &&
      for package in *.deb; do dpkg -x "$package" .; done && touch .done) ||
      tool_fail "promtool and amtool are missing: apt-get install prometheus prometheus-alertmanager"
  fi
  PATH=$monitoring/usr/bin:$PATH
fi

# The written files: their form. Lines may be as long as our own texts are.
"$lint" -s -d '{extends: default, ignore: ["schemas"], rules: {document-start: disable, line-length: {max: 240}, comments: {min-spaces-from-content: 1},
  braces: {max-spaces-inside: 1}, brackets: {max-spaces-inside: 0}, indentation: {indent-sequences: consistent}, truthy: {check-keys: false}}}' \
  "$here" || fault "yamllint"
shellcheck "$here"/*.sh "$here"/platform/*.sh "$here"/deployments/redis/*.sh || fault "shellcheck"

# One document per file, named by its kind, so that each goes to its own schema.
split() { # rendered folder
  mkdir -p "$2"
  awk -v to="$2" 'BEGIN { n = 0 } /^---$/ { n++; next } { print > sprintf("%s/%04d.yaml", to, n) }' "$1"
}

# The optional components are checked in overlays of their own; kustomize wants them inside the tree.
variants=()
trap 'rm -rf "$work" "${variants[@]}"' EXIT
for optional in mesh-mtls timescaledb; do
  variant=$(mktemp -d "$here/overlays/.$optional-XXXXXX")
  variants+=("$variant")
  printf 'resources: [../production]\ncomponents: [../../components/%s]\n' "$optional" >"$variant/kustomization.yaml"
done
for place in staging production; do
  managed=$(mktemp -d "$here/overlays/.managed-$place-XXXXXX")
  variants+=("$managed")
  cp -r "$here/overlays/$place/." "$managed/"
  sed -i 's|^  - cluster-data$|  - ../../components/managed-data|' "$managed/kustomization.yaml"
done

for overlay in development staging production "${variants[@]##*/}"; do
  name=${overlay#.}
  name=${name%-??????}
  kubectl kustomize "$here/overlays/$overlay" >"$work/$name.yaml" || { fault "$name does not render"; continue; }
  # What stands for a value of the place, and the marks that only rendering uses.
  if grep -nE '~[a-z_]+~|\.invalid|local-config' "$work/$name.yaml"; then fault "$name: a value of the place is not filled in"; fi
  split "$work/$name.yaml" "$work/$name"
  builtin=()
  declare -A custom=()
  for file in "$work/$name"/*.yaml; do
    group=$(sed -n 's/^apiVersion: //p' "$file" | head -1)
    kind=$(sed -n 's/^kind: //p' "$file" | head -1)
    case "$group" in
      v1 | apps/* | batch/* | autoscaling/* | policy/* | *.k8s.io/*) builtin+=("$file") ;;&
      autoscaling.k8s.io/*) unset 'builtin[-1]' ;;&
      autoscaling.k8s.io/* | cert-manager.io/* | external-secrets.io/* | *cnpg.io/* | *istio.io/*) custom[$kind]+=" $file" ;;
      v1 | apps/* | batch/* | autoscaling/* | policy/* | *.k8s.io/*) ;;
      *) fault "$name: nothing checks $group $kind" ;;
    esac
  done
  versions=()
  for release in "${releases[@]}"; do versions+=(-k "$release"); done
  "$validate" --strict --quiet "${versions[@]}" "${builtin[@]}" || fault "$name: a built-in kind breaks its schema"
  for kind in "${!custom[@]}"; do
    # shellcheck disable=SC2086 # a list of files without spaces
    "$schema" --quiet --schemafile "$here/schemas/$kind.json" ${custom[$kind]} || fault "$name: a $kind breaks its schema"
  done
  "$policy" --skip-download --framework kubernetes --file "$work/$name.yaml" --compact --quiet || fault "$name: a policy check failed"
  printf 'kubernetes: %s: %d built-in objects against %s, %d custom kinds\n' "$name" "${#builtin[@]}" "${releases[*]}" "${#custom[@]}"
  unset custom
done

# The admission policies' expressions, evaluated: a deploy passes, whatever else the deployer's rights allow does not.
for name in development staging production; do
  "$cel" -B scripts/verify/admission.py "$work/$name.yaml" || fault "$name: the admission policies"
done

# Nodes that come by themselves, in each place; and a field that does not exist would be seen.
for place in development staging production; do
  kubectl kustomize "$here/platform/overlays/$place" >"$work/nodes-$place.yaml" || { fault "platform: $place does not render"; continue; }
  if grep -nE '~[a-z_]+~|local-config' "$work/nodes-$place.yaml"; then fault "platform: $place: a value is not filled in"; fi
  split "$work/nodes-$place.yaml" "$work/nodes-$place"
  for file in "$work/nodes-$place"/*.yaml; do
    kind=$(sed -n 's/^kind: //p' "$file" | head -1)
    "$schema" --quiet --schemafile "$here/schemas/$kind.json" "$file" || fault "platform: $place: a $kind breaks its schema"
    sed 's/^spec:$/&\n  planted: 1/' "$file" >"$work/planted.yaml"
    if "$schema" --quiet --schemafile "$here/schemas/$kind.json" "$work/planted.yaml" >/dev/null 2>&1; then fault "the schema of $kind sees no planted field"; fi
  done
done

# The roles that a new database is given suffice for the first deploy's migrations.
scripts/verify/first_migration.sh "${schema%/*}/python" || fault "the first migration"

# Redis' nodes become a cluster, and find each other again.
scripts/verify/redis_join.sh || fault "redis-join"

# Alerts: form, and when they fire and when not.
promtool check rules "$here"/monitoring/prometheus/*.rules.yml || fault "rules"
(cd "$here/monitoring/tests" && promtool test rules ./*.test.yml) || fault "a rule's test failed"
amtool check-config "$here/monitoring/alertmanager/alertmanager.yml" >/dev/null || fault "alertmanager.yml"
while read -r severity receivers; do
  amtool config routes test --config.file="$here/monitoring/alertmanager/alertmanager.yml" \
    --verify.receivers="$receivers" alertname=Any severity="$severity" >/dev/null || fault "severity $severity does not go to $receivers"
done <<<$'page pager,chat\nticket chat\nheartbeat heartbeat'
# Debian's promtool is built without discovery by the Kubernetes API: those lines are taken out for the check of the rest.
sed -e 's/kubernetes_sd_configs:/static_configs:/' -e 's/{role: pod, .*}$/{targets: ["127.0.0.1:1"]}/' \
  "$here/monitoring/prometheus/prometheus.yml" >"$work/prometheus.yml"
promtool check config --syntax-only "$work/prometheus.yml" || fault "prometheus.yml"

if [ "${1:-}" != --no-cargo ]; then
  cargo test --quiet -p hub-e2e --test kubernetes || fault "the rules over the rendered objects"
fi
[ "$faults" -eq 0 ] || tool_fail "$faults faults in $here"
echo "kubernetes: good"
