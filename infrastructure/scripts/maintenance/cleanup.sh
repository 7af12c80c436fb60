#!/usr/bin/env bash
# Removes what the retention policy says, after showing it; `--dry-run` only shows it: `hubctl cleanup --help`.
set -euo pipefail
exec "${HUBCTL:-hubctl}" cleanup "$@"
