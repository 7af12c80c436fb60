#!/usr/bin/env bash
# Signs both images that `make push` put into REGISTRY and HUBCTL_REGISTRY, with the commit they are of; and says what built them, from
# what (SLSA provenance), unless the platform does that better itself (GitHub: an attestation that the build cannot forge).
# Keyless where the pipeline has an OIDC identity for sigstore; otherwise COSIGN_KEY names the key.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${REGISTRY:?such as ghcr.io/owner/name}" "${REGISTRY_USER:?}" "${REGISTRY_PASSWORD:?}"
images=("$REGISTRY@$(cat digest.hub)" "${HUBCTL_REGISTRY:-$REGISTRY-hubctl}@$(cat digest.hubctl)")
commit=$(git rev-parse HEAD)
key=()
[ -z "${COSIGN_KEY:-}" ] || key=(--key "$COSIGN_KEY")
printf '%s' "$REGISTRY_PASSWORD" | cosign login "${REGISTRY%%/*}" --username "$REGISTRY_USER" --password-stdin
for image in "${images[@]}"; do cosign sign --yes "${key[@]}" --annotations "commit=$commit" "$image"; done
[ -z "${GITHUB_ACTIONS:-}" ] || exit 0

predicate=$(mktemp)
trap 'rm -f "$predicate"' EXIT
python3 - "$commit" "$(git config --get remote.origin.url || true)" \
  "${CI_RUNNER_DESCRIPTION:-${NODE_NAME:-unknown}}" "${CI_JOB_URL:-${BUILD_URL:-}}" >"$predicate" <<'PYTHON'
import json, re, sys
commit, source, builder, run = sys.argv[1:]
source = re.sub(r"//[^/@]*@", "//", source)  # a remote may carry a password
json.dump({
    "buildDefinition": {
        "buildType": "https://github.com/security-hub/security-hub/blob/main/scripts/image/build.sh",
        "externalParameters": {"source": source, "commit": commit},
        "resolvedDependencies": [{"uri": f"git+{source}", "digest": {"gitCommit": commit}}],
    },
    "runDetails": {"builder": {"id": builder}, "metadata": {"invocationId": run}},
}, sys.stdout)
PYTHON
for image in "${images[@]}"; do cosign attest --yes "${key[@]}" --type slsaprovenance1 --predicate "$predicate" "$image"; done
