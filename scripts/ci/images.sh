#!/usr/bin/env bash
# The images between two steps of a pipeline, in dist/images: the step that builds and looks into them has no right to publish,
# and the step that publishes builds nothing.
#   images.sh save   what `make image` built, as archives
#   images.sh scan   Trivy over the archives: fails at HIGH or CRITICAL that has a fix
#   images.sh load   the archives, back to where `make push` takes them from
set -euo pipefail
# What root built and ran (`make verify-image` runs containers hardened, as root) is in root's storage.
if [ "$(id -u)" -ne 0 ] && [ "${1:-}" != scan ]; then
  exec sudo -E env "PATH=$PATH" "$0" "$@"
fi
cd "$(dirname "$0")/../.."
commit=$(git rev-parse --short=12 HEAD)
place=dist/images
for name in security-hub hubctl; do
  archive=$place/$name.tar
  case ${1:?save, scan or load} in
    save)
      mkdir -p "$place"
      rm -f "$archive"
      buildah push --quiet "localhost/$name:$commit" "docker-archive:$archive:localhost/$name:$commit"
      ;;
    scan) trivy image --input "$archive" --scanners vuln,secret --severity HIGH,CRITICAL --ignore-unfixed --exit-code 1 ;;
    load) buildah pull --quiet "docker-archive:$archive" >/dev/null ;;
    *) printf 'images.sh: %s is none of save, scan, load\n' "$1" >&2 && exit 2 ;;
  esac
done
# The next step and the one that cleans up are the runner's user.
if [ -n "${SUDO_UID:-}" ] && [ -d dist ]; then chown -R "$SUDO_UID:${SUDO_GID:-}" dist; fi
