#!/usr/bin/env bash
# Brings the database to a release's schema without deploying it: `security-hub migrate --help`.
set -euo pipefail
exec "${SECURITY_HUB:-security-hub}" migrate "$@"
