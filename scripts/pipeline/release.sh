#!/usr/bin/env bash
# make release: the folder that `hubctl deploy` takes, in dist/release: the image by digest, its SBOM, the scan of its
# dependencies, sealed. IMAGE=registry/name@sha256:…; RELEASE_KEY: file with the key that seals.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${IMAGE:?the image by digest: registry/name@sha256:…}" "${RELEASE_KEY:?file with the key that seals releases}"
out=dist/release
rm -rf "$out"
mkdir -p "$out"
printf '%s\n' "$IMAGE" >"$out/image"
make --no-print-directory sbom
mv sbom.cdx.json "$out/"
cargo audit --json >"$out/audit.json" || [ -s "$out/audit.json" ]
version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
commit=$(git rev-parse HEAD)
# Built by whom, from what: where the registry keeps provenance, it is asked.
if command -v gh >/dev/null && [ -n "${GH_TOKEN:-}" ]; then
  gh attestation verify "oci://$IMAGE" --owner "${GITHUB_REPOSITORY_OWNER:?}"
fi
hubctl release seal "$out" --named "$version" --commit "$commit" --key "$RELEASE_KEY"
