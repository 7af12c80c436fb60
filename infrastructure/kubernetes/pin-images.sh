#!/usr/bin/env bash
# Writes the digest of each third-party image's tag into components/images/kustomization.yaml. Needs `skopeo` and the network.
set -euo pipefail
cd "$(dirname "$0")"
file=components/images/kustomization.yaml
command -v skopeo >/dev/null || { echo "pin-images: skopeo is missing: apt-get install skopeo" >&2; exit 1; }
while read -r name tag; do
  digest=$(skopeo inspect --no-tags --format '{{.Digest}}' "docker://$name:$tag")
  [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || { echo "pin-images: $name:$tag has no digest" >&2; exit 1; }
  sed -i "\\#name: $name\$#,/digest:/s/digest: .*/digest: $digest/" "$file"
  printf '%s:%s %s\n' "$name" "$tag" "$digest"
done < <(awk '/- name: /{name=$3} /newTag: /{gsub(/"/, "", $2); print name, $2}' "$file")
