#!/usr/bin/env bash
# Finds hubctl and passes everything on: `hubctl backup --help`.
set -euo pipefail
exec "${HUBCTL:-hubctl}" backup "$@"
