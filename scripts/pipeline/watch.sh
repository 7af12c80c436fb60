#!/usr/bin/env bash
# make watch: no alert of the hub may fire for WATCH_SECONDS (120) after a deploy. ALERTMANAGER_URL says where to ask.
set -euo pipefail
: "${ALERTMANAGER_URL:?where Alertmanager is}"
end=$(($(date +%s) + ${WATCH_SECONDS:-120}))
while :; do
  firing=$(curl -fsS -m 10 -G "$ALERTMANAGER_URL/api/v2/alerts" --data-urlencode 'filter=alertname=~"Hub.*"' \
    --data-urlencode 'active=true' --data-urlencode 'silenced=false' |
    python3 -c 'import json,sys; print(" ".join(sorted({a["labels"].get("alertname","?") for a in json.load(sys.stdin)})))')
  if [ -n "$firing" ]; then
    printf 'watch: firing after the deploy: %s\n' "$firing" >&2
    exit 1
  fi
  [ "$(date +%s)" -lt "$end" ] || break
  sleep 10
done
printf 'watch: nothing fires\n'
