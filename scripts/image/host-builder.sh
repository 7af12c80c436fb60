#!/usr/bin/env bash
# Makes localhost/host-builder: an empty image into which this machine's own /usr, /etc and toolchain are mounted while
# it builds. It stands in for the pinned builder image where no registry can be reached; the stages are the same.
set -euo pipefail
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/{usr,etc,tmp,proc,dev,sys,root,src,out}
for name in bin sbin lib lib64; do
  [ ! -L "/$name" ] || ln -s "usr/$name" "$root/$name"
done
chmod 1777 "$root/tmp"
printf 'root:x:0:0:root:/root:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\n' >"$root/etc/group"
container=$(buildah from scratch)
buildah copy --quiet "$container" "$root" / >/dev/null
variables=()
for name in $(compgen -e | grep -E '^(CARGO|RUSTUP)_|^(HOME|PATH|SSL_CERT_(FILE|DIR)|HTTPS?_PROXY|NO_PROXY)$'); do
  [ "$name" = CARGO_TARGET_DIR ] || variables+=(--env "$name=${!name}")
done
buildah config "${variables[@]}" "$container"
buildah commit --quiet "$container" localhost/host-builder >/dev/null
buildah rm "$container" >/dev/null
