#!/usr/bin/env bash
# make push: both images, by the commit's name, the server's to REGISTRY and hubctl's to HUBCTL_REGISTRY on the same host, for not every
# registry takes a name beside the project's own; prints the digests, for the pipeline as well.
set -euo pipefail
# The images are in root's storage (scripts/ci/images.sh).
if [ "$(id -u)" -ne 0 ]; then
  exec sudo -E env "PATH=$PATH" "$0" "$@"
fi
cd "$(dirname "$0")/../.."
: "${REGISTRY:?such as ghcr.io/owner/name}" "${REGISTRY_USER:?}" "${REGISTRY_PASSWORD:?}"
commit=$(git rev-parse --short=12 HEAD)
printf '%s' "$REGISTRY_PASSWORD" | buildah login --username "$REGISTRY_USER" --password-stdin "${REGISTRY%%/*}"
buildah push --digestfile digest.hub "localhost/security-hub:$commit" "docker://$REGISTRY:$commit"
buildah push --digestfile digest.hubctl "localhost/hubctl:$commit" "docker://${HUBCTL_REGISTRY:-$REGISTRY-hubctl}:$commit"
chmod 0644 digest.hub digest.hubctl
printf 'digest=%s\nhubctl_digest=%s\n' "$(cat digest.hub)" "$(cat digest.hubctl)" | tee -a "${GITHUB_OUTPUT:-/dev/null}"
