#!/usr/bin/env bash
# make performance: half a minute of requests at HUB_URL: a document that needs nothing, and with a credential (HUB_TOKEN_FILE or
# HUB_TOKEN) who the caller is, for which the hub asks its database. Fails if any is not answered, or if one in twenty of either takes
# longer than P95_MS (250).
set -euo pipefail
: "${HUB_URL:?where the hub is}"
seconds=${SECONDS_LONG:-30} limit=${P95_MS:-250} work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
token=${HUB_TOKEN:-}
[ -z "${HUB_TOKEN_FILE:-}" ] || token=$(cat "$HUB_TOKEN_FILE")
paths=(/openapi.json)
: >"$work/header"
if [ -n "$token" ]; then
  # In a file: whoever is on this machine reads command lines.
  printf 'Authorization: Bearer %s\n' "$token" >"$work/header"
  paths+=(/api/v2/me)
else
  printf 'performance: no HUB_TOKEN: nothing that asks the database is measured\n' >&2
fi
end=$(($(date +%s) + seconds))
asks() {
  while [ "$(date +%s)" -lt "$end" ]; do
    for path in "${paths[@]}"; do
      curl -s -m 10 -o /dev/null -H @"$work/header" -w "$path %{http_code} %{time_total}\n" "$HUB_URL$path" || true
    done
  done
}
for _ in 1 2 3 4; do asks >>"$work/told" & done
wait
sort -k1,1 -k3,3n "$work/told" | awk -v limit="$limit" -v wanted="${#paths[@]}" '
  { all[$1]++; took[$1, all[$1]] = $3 * 1000; if ($2 != 200) wrong[$1]++ }
  END {
    for (path in all) {
      at = int(all[path] * 0.95); if (at < 1) at = 1
      p95 = took[path, at]
      printf "performance: %s: %d requests, %d not answered well, p95 %d ms, at most %d ms\n", path, all[path], wrong[path], p95, limit
      if (wrong[path] > 0 || p95 > limit) bad = 1
      asked++
    }
    exit bad || asked != wanted
  }'
