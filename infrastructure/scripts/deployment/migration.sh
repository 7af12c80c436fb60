#!/usr/bin/env bash
# Brings a target's database to a release's schema without deploying it: `hubctl migrate --help`. What would be done:
# `security-hub migrate --plan`.
set -euo pipefail
exec "${HUBCTL:-hubctl}" migrate "$@"
