#!/usr/bin/env bash
# For a timer, every five minutes: the backup that is due, what the retention policy no longer keeps removed, and a look at
# whether anything was missed or lags, for people (the hub opens an incident) and for Prometheus. Exit 1 if anything is.
#
#   HUB_DATA_DIR, HUB_BACKUP_CONFIG   the installation and its backup.toml
#   HUB_URL, HUB_TOKEN_FILE           the hub that is told (an API key with the scope operations.record)
#   BACKUP_METRICS                    a file for the node exporter's textfile collector, none if empty
set -euo pipefail

tell=()
[ -z "${HUB_TOKEN_FILE:-}" ] || tell=(--token-file "$HUB_TOKEN_FILE")
metrics=()
[ -z "${BACKUP_METRICS:-}" ] || metrics=(--metrics "$BACKUP_METRICS")

hubctl() { command "${HUBCTL:-hubctl}" "$@"; }

failed=0
hubctl "${tell[@]}" backup run --due || failed=1
# Only after a backup that went well: what is old may be all there is.
[ "$failed" -ne 0 ] || hubctl backup prune || failed=1
hubctl "${tell[@]}" backup schedule "${metrics[@]}" || failed=1
exit "$failed"
