#!/usr/bin/env bash
# Says, signed and beside the image in its registry, that staging bore IMAGE: brought in, watched, not taken back. `make release` for
# production asks for it. By what staging's jobs left: the sealed release (dist/release) and the record of the deploy (dist/record.json).
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${IMAGE:?the image by digest: registry/name@sha256:…}" "${REGISTRY_USER:?}" "${REGISTRY_PASSWORD:?}"
predicate=$(mktemp)
trap 'rm -f "$predicate"' EXIT
# deploy.sh keeps a release under the sum of its manifest.
kept=$(sha256sum dist/release/release.note | cut -c1-16)
python3 - "$IMAGE" "$(cat dist/release/image)" "$kept" >"$predicate" <<'PYTHON'
import json, sys
image, released, kept = sys.argv[1:]
record = json.load(open("dist/record.json"))
last = (record["history"] or [{}])[-1]
for holds, why in [
    (released == image, f"the release is of {released}"),
    (record["unfinished"] is None, "something is unfinished there"),
    (last.get("kind") == "deploy" and last.get("outcome") == "deployed", f"the last there was a {last.get('kind')}, {last.get('outcome')}"),
    (last.get("to", {}).get("dir", "").endswith("/staging/" + kept), "the last deploy there was of another release"),
]:
    if not holds:
        sys.exit(f"bore: staging did not bear {image}: {why}")
json.dump({"environment": "staging", "outcome": "deployed", "image": image, "operation": last["id"], "ended": last["ended"]}, sys.stdout)
PYTHON
key=()
[ -z "${COSIGN_KEY:-}" ] || key=(--key "$COSIGN_KEY")
printf '%s' "$REGISTRY_PASSWORD" | cosign login "${IMAGE%%/*}" --username "$REGISTRY_USER" --password-stdin
cosign attest --yes "${key[@]}" --predicate "$predicate" \
  --type https://github.com/security-hub/security-hub/blob/main/scripts/ci/bore.sh "$IMAGE"
