#!/usr/bin/env bash
# alert-setup.sh [--check]: checks the alert rules, their tests and Alertmanager's routes (promtool, amtool), then has Prometheus
# (PROMETHEUS_URL) and Alertmanager (ALERTMANAGER_URL), those that are named, read theirs again. MONITORING: another folder than the
# shipped one. Nothing is read again if a check fails.
set -euo pipefail
cd "${MONITORING:-$(dirname "$0")/../../kubernetes/monitoring}"
promtool check rules prometheus/*.rules.yml
(cd tests && promtool test rules ./*.test.yml)
amtool check-config alertmanager/alertmanager.yml
[ "${1:-}" != --check ] || exit 0
[ -n "${PROMETHEUS_URL:-}${ALERTMANAGER_URL:-}" ] || { printf 'alert-setup: set PROMETHEUS_URL, ALERTMANAGER_URL or both\n' >&2; exit 2; }
for url in ${PROMETHEUS_URL:+"$PROMETHEUS_URL"} ${ALERTMANAGER_URL:+"$ALERTMANAGER_URL"}; do
  curl -fsS -m 30 -X POST "$url/-/reload"
  printf 'alert-setup: %s has read its files again\n' "$url"
done
