#!/usr/bin/env bash
# make push: both images to REGISTRY, by the commit's name; prints the server's digest, for the pipeline as well.
set -euo pipefail
: "${REGISTRY:?such as ghcr.io/owner/name}" "${REGISTRY_USER:?}" "${REGISTRY_PASSWORD:?}"
commit=$(git rev-parse --short=12 HEAD)
printf '%s' "$REGISTRY_PASSWORD" | buildah login --username "$REGISTRY_USER" --password-stdin "${REGISTRY%%/*}"
buildah push --digestfile digest.hub "localhost/security-hub:$commit" "docker://$REGISTRY:$commit"
buildah push "localhost/hubctl:$commit" "docker://$REGISTRY-hubctl:$commit"
printf 'digest=%s\n' "$(cat digest.hub)" | tee -a "${GITHUB_OUTPUT:-/dev/null}"
