#!/usr/bin/env bash
# dashboard-import.sh [BOARD.json…]: puts the shipped boards (or those that are named) into the Grafana at GRAFANA_URL, over what is
# there under the same uid. GRAFANA_TOKEN_FILE: a file with a service account's token. In the cluster and under compose Grafana
# reads them from files; this is for one that others run.
set -euo pipefail
: "${GRAFANA_URL:?where Grafana is}" "${GRAFANA_TOKEN_FILE:?file with the token of a service account}"
[ "$#" -gt 0 ] || set -- "$(dirname "$0")"/../../kubernetes/monitoring/grafana/boards/*.json
# The token on no command line.
header=$(mktemp)
trap 'rm -f "$header"' EXIT
printf 'authorization: Bearer %s\n' "$(cat "$GRAFANA_TOKEN_FILE")" >"$header"
for board in "$@"; do
  printf '{"dashboard": %s, "overwrite": true, "message": "%s"}' "$(cat "$board")" "${0##*/}" |
    curl -fsS -m 30 -H @"$header" -H 'content-type: application/json' --data-binary @- -o /dev/null "$GRAFANA_URL/api/dashboards/db"
  printf 'dashboard-import: %s\n' "${board##*/}"
done
