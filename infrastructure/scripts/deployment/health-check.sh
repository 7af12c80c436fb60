#!/usr/bin/env bash
# Whether what is deployed is well: colours, shares, nothing unfinished. Exit 0 if so, 1 if not: `hubctl status --help`.
set -euo pipefail
exec "${HUBCTL:-hubctl}" status "$@"
