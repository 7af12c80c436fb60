#!/usr/bin/env bash
# make release: the folder that `hubctl deploy` takes, in dist/release: the image by digest, its SBOM, the scan of its
# dependencies, what the linter says of its migrations, sealed. IMAGE=registry/name@sha256:…; RELEASE_KEY: file with the key that seals.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${IMAGE:?the image by digest: registry/name@sha256:…}" "${RELEASE_KEY:?file with the key that seals releases}"
[[ $IMAGE =~ ^[^[:space:]]+@sha256:[0-9a-f]{64}$ ]] || { printf 'release: %s is no image by digest\n' "$IMAGE" >&2; exit 2; }
out=dist/release
rm -rf "$out"
mkdir -p "$out"
printf '%s\n' "$IMAGE" >"$out/image"
# Not `make sbom`, which would first install what a build needs: the deploy runner may install nothing, and has it.
scripts/image/sbom.sh >"$out/sbom.cdx.json"
cargo audit --json >"$out/audit.json" || [ -s "$out/audit.json" ]
HUB_MIGRATIONS_REPORT=$PWD/$out/migrations.json cargo test --quiet --workspace --locked --test it migration_lint
[ -s "$out/migrations.json" ] || { printf 'release: nobody linted the migrations: no test is called migration_lint\n' >&2; exit 1; }
version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
commit=$(git rev-parse HEAD)
# Where images are not for everybody, what was said of them is not either.
if [ -n "${REGISTRY_PASSWORD:-}" ]; then
  cosign login "${IMAGE%%/*}" --username "${REGISTRY_USER:?}" --password-stdin <<<"$REGISTRY_PASSWORD"
fi
# Built by whom, from what: by our pipeline, on the main branch, from the commit that stands here. Nothing is sealed without.
if [ -n "${GITHUB_ACTIONS:-}" ]; then
  gh attestation verify "oci://$IMAGE" --repo "$GITHUB_REPOSITORY" --source-ref refs/heads/main --source-digest "$commit" \
    --signer-workflow "$GITHUB_REPOSITORY/.github/workflows/ci.yml" --deny-self-hosted-runners
elif [ -n "${COSIGN_KEY:-}" ]; then
  cosign verify --key "$COSIGN_KEY" --annotations "commit=$commit" "$IMAGE" >/dev/null
else
  cosign verify --certificate-identity "${COSIGN_IDENTITY:?who signs images}" --certificate-oidc-issuer "${COSIGN_ISSUER:?}" \
    --annotations "commit=$commit" "$IMAGE" >/dev/null
fi
# To production only what staging bore (scripts/ci/bore.sh).
if [ "${ENVIRONMENT:-}" = production ]; then
  if [ -n "${GITHUB_ACTIONS:-}" ]; then
    who=(--certificate-oidc-issuer https://token.actions.githubusercontent.com
      --certificate-identity "https://github.com/$GITHUB_REPOSITORY/.github/workflows/cd-staging.yml@refs/heads/main")
  elif [ -n "${COSIGN_KEY:-}" ]; then
    who=(--key "$COSIGN_KEY")
  else
    who=(--certificate-oidc-issuer "$COSIGN_ISSUER" --certificate-identity "$COSIGN_IDENTITY")
  fi
  cosign verify-attestation "${who[@]}" --type https://github.com/security-hub/security-hub/blob/main/scripts/ci/bore.sh "$IMAGE" |
    python3 -c '
import base64, json, sys
said = [json.loads(base64.b64decode(json.loads(line)["payload"])) for line in sys.stdin if line.strip()]
wanted = {"environment": "staging", "outcome": "deployed", "image": sys.argv[1]}
digest = sys.argv[1].partition("@sha256:")[2]
bore = any(wanted.items() <= one["predicate"].items() and any(s["digest"]["sha256"] == digest for s in one["subject"]) for one in said)
sys.exit(0 if bore else f"release: staging did not bear {sys.argv[1]}")' "$IMAGE"
fi
hubctl release seal "$out" --named "$version" --commit "$commit" --committed "$(git log -1 --format=%cI "$commit")" \
  --key "$RELEASE_KEY"
