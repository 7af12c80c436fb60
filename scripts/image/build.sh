#!/usr/bin/env bash
# Builds both images from what git tracks: localhost/security-hub and localhost/hubctl, tagged with the commit.
# Prints name, digest and size of each. BUILDER names another builder image than the pinned one; `BUILDER=host` makes
# one of this machine's own toolchain, for where no registry can be reached.
set -euo pipefail
# Into root's storage, from which `make verify-image` runs them hardened and the pipeline publishes them.
if [ "$(id -u)" -ne 0 ]; then
  exec sudo -E env "PATH=$PATH" "$0" "$@"
fi
cd "$(dirname "$0")/../.."

fail() {
  printf 'image: %s\n' "$*" >&2
  exit 1
}
command -v buildah >/dev/null || fail 'buildah is missing: scripts/bootstrap.sh verify'

commit=$(git rev-parse --short=12 HEAD)
epoch=$(git log -1 --format=%ct)
version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
# What is committed, at the commit's time: an image says what is in git, never what lay about.
git archive --format=tar --mtime="@$epoch" HEAD 2>/dev/null | tar -x -C "$tree" ||
  git archive --format=tar HEAD | tar -x -C "$tree"

options=(--format docker --layers=false --timestamp "$epoch"
  --build-arg "SOURCE_DATE_EPOCH=$epoch" --build-arg "VERSION=$version" --build-arg "REVISION=$commit"
  --build-arg "CREATED=$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)")
case "${BUILDER:-}" in
  '') ;;
  host)
    scripts/image/host-builder.sh
    cargo_home=${CARGO_HOME:-$HOME/.cargo} rustup_home=${RUSTUP_HOME:-$HOME/.rustup}
    options+=(--isolation chroot --build-arg BUILDER=localhost/host-builder
      --volume /usr:/usr:ro --volume /etc:/etc:ro --volume "$cargo_home:$cargo_home" --volume "$rustup_home:$rustup_home")
    ;;
  *) options+=(--build-arg "BUILDER=$BUILDER") ;;
esac

for target in hub hubctl; do
  name=security-hub
  [ "$target" = hub ] || name=$target
  buildah bud "${options[@]}" --target "$target" --tag "localhost/$name:$commit" \
    --file infrastructure/docker/Dockerfile.production "$tree" >&2
  buildah tag "localhost/$name:$commit" "localhost/$name:latest"
  buildah images --format '{{.Name}}:{{.Tag}} {{.Digest}} {{.Size}}' "localhost/$name:$commit"
done
