#!/usr/bin/env bash
# Finds hubctl and passes everything on: `hubctl rollback --help`.
set -euo pipefail
exec "${HUBCTL:-hubctl}" rollback "$@"
