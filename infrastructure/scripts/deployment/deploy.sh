#!/usr/bin/env bash
# Finds hubctl and passes everything on: `hubctl deploy --help`.
set -euo pipefail
exec "${HUBCTL:-hubctl}" deploy "$@"
