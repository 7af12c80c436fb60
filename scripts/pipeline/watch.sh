#!/usr/bin/env bash
# make watch: no alert may begin between the deploy and WATCH_SECONDS (120) from now. ALERTMANAGER_URL says where to ask. Any alert counts,
# the database's and the backups' as well: a migration can harm those. What fired before the deploy is not its fault, and does
# not take a good release back; Heartbeat always fires.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${ALERTMANAGER_URL:?where Alertmanager is}"
# deploy.sh wrote it down.
began=$(cat dist/began 2>/dev/null || date +%s)
end=$(($(date +%s) + ${WATCH_SECONDS:-120}))
while :; do
  firing=$(curl -fsS -m 10 -G "$ALERTMANAGER_URL/api/v2/alerts" --data-urlencode 'filter=alertname!="Heartbeat"' \
    --data-urlencode 'active=true' --data-urlencode 'silenced=false' |
    python3 -c '
import datetime, json, re, sys
# Whole seconds: Alertmanager writes up to nine digits of one, and a Z, which Python before 3.11 takes in no other way.
def since(alert):
    whole = re.sub(r"[.][0-9]+", "", alert["startsAt"])
    return datetime.datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S%z").timestamp()
new = {alert["labels"].get("alertname", "?") for alert in json.load(sys.stdin) if since(alert) >= float(sys.argv[1])}
print(" ".join(sorted(new)))' "$began")
  if [ -n "$firing" ]; then
    printf 'watch: firing since the deploy: %s\n' "$firing" >&2
    exit 1
  fi
  [ "$(date +%s)" -lt "$end" ] || break
  sleep 10
done
printf 'watch: nothing began to fire\n'
