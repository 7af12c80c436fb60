#!/usr/bin/env bash
# Writes the digest of each image's tag into images.env, as the registries have it now. Needs `skopeo` and the network.
set -euo pipefail
cd "$(dirname "$0")"
command -v skopeo >/dev/null || { echo "pin-images: skopeo is missing: apt-get install skopeo" >&2; exit 1; }
while IFS='=' read -r name image; do
  tag=${image%@*}
  digest=$(skopeo inspect --no-tags --format '{{.Digest}}' "docker://$tag")
  [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || { echo "pin-images: $tag has no digest" >&2; exit 1; }
  sed -i "s|^$name=.*|$name=$tag@$digest|" images.env
  [ "$image" = "$tag@$digest" ] || printf '%s moved to %s\n' "$tag" "$digest"
done < <(grep -E '^[A-Z_]+_IMAGE=' images.env)
