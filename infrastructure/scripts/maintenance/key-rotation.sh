#!/usr/bin/env bash
# Exchanges keys, passwords and certificates while everything serves: `hubctl keys --help`. Without arguments it shows what
# is in use and what is under way.
set -euo pipefail
[ "$#" -gt 0 ] || set -- list
exec "${HUBCTL:-hubctl}" keys "$@"
