#!/usr/bin/env bash
# The images between two steps of a pipeline, in dist/images: the step that builds and looks into them has no right to publish,
# and the step that publishes builds nothing.
#   images.sh save   what `make image` built, as archives
#   images.sh scan   Trivy over the archives: fails at HIGH or CRITICAL that has a fix
#   images.sh load   the archives, back to where `make push` takes them from
set -euo pipefail
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
