#!/usr/bin/env bash
# make performance: half a minute of requests at HUB_URL; fails if any is not answered, or if one in twenty takes longer
# than P95_MS (250).
set -euo pipefail
: "${HUB_URL:?where the hub is}"
seconds=${SECONDS_LONG:-30} limit=${P95_MS:-250} work=$(mktemp)
trap 'rm -f "$work"' EXIT
end=$(($(date +%s) + seconds))
asks() {
  while [ "$(date +%s)" -lt "$end" ]; do
    curl -s -m 10 -o /dev/null -w '%{http_code} %{time_total}\n' "$HUB_URL/openapi.json" || true
  done
}
for _ in 1 2 3 4; do asks >>"$work" & done
wait
sort -k2 -n "$work" | awk -v limit="$limit" '
  { all++; took[all] = $2 * 1000; if ($1 != 200) wrong++ }
  END {
    at = int(all * 0.95); if (at < 1) at = 1
    printf "performance: %d requests, %d not answered well, p95 %d ms, at most %d ms\n", all, wrong, took[at], limit
    exit !(all > 0 && wrong == 0 && took[at] <= limit)
  }'
