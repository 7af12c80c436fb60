#!/usr/bin/env bash
# Incidents: finds hubctl and passes everything on: `hubctl incident --help`. Without arguments it lists them.
set -euo pipefail
[ "$#" -gt 0 ] || set -- list
exec "${HUBCTL:-hubctl}" incident "$@"
