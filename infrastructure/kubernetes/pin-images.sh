#!/usr/bin/env bash
# Writes the digest of each third-party image's tag into components/images/kustomization.yaml, of TimescaleDB's into its component, and of
# those that controllers put into our pods into platform/values. Needs `skopeo` and the network.
set -euo pipefail
cd "$(dirname "$0")"
file=components/images/kustomization.yaml
command -v skopeo >/dev/null || { echo "pin-images: skopeo is missing: apt-get install skopeo" >&2; exit 1; }
ask() { # name tag
  digest=$(skopeo inspect --no-tags --format '{{.Digest}}' "docker://$1:$2")
  [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || { echo "pin-images: $1:$2 has no digest" >&2; exit 1; }
  printf '%s:%s %s\n' "$1" "$2" "$digest"
}
while read -r name tag; do
  ask "$name" "$tag"
  sed -i "\\#name: $name\$#,/digest:/s/digest: .*/digest: $digest/" "$file"
done < <(awk '/- name: /{name=$3} /newTag: /{gsub(/"/, "", $2); print name, $2}' "$file")
catalog=components/timescaledb/catalog.yaml
while IFS=: read -r name tag; do
  ask "$name" "$tag"
  sed -i "s#$name:.*#$name:$tag@$digest#" "$catalog"
done < <(sed -n 's/^ *image: \(.*\)@.*/\1/p' "$catalog")
for values in platform/values/*.yaml; do
  while read -r registry repository tag; do
    ask "${registry#-}$repository" "$tag"
    sed -i "\\#repository: $repository\$#,/tag:/s/tag: .*/tag: \"$tag@$digest\"/" "$values"
  done < <(awk '/^[a-zA-Z]+:/{registry="-"} /^  registry: /{registry=$2 "/"} /^  repository: /{repository=$2}
    /^  tag: /{gsub(/"|@.*/, "", $2); print registry, repository, $2}' "$values")
done
