#!/usr/bin/env bash
# Finds hubctl and passes everything on: `hubctl restore --help`.
set -euo pipefail
exec "${HUBCTL:-hubctl}" restore "$@"
