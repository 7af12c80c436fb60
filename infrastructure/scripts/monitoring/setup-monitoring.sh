#!/usr/bin/env bash
# setup-monitoring.sh PLACE [--dry-run]: brings the monitoring stack of an overlay (production, staging, development) to the state in
# git: the namespace security-hub-monitoring and what grants its programs rights elsewhere. --dry-run shows what that is.
set -euo pipefail
overlays=$(dirname "$0")/../../kubernetes/overlays
place=${1:-}
if [ -z "$place" ] || [ ! -d "$overlays/$place" ] || [ "${2:---dry-run}" != --dry-run ]; then
  printf 'usage: %s production|staging|development [--dry-run]\n' "$0" >&2
  exit 2
fi
objects=$(kubectl kustomize "$overlays/$place" | awk 'BEGIN { RS = "---\n"; ORS = "---\n" }
  /(^|\n)[ -]*namespace: security-hub-monitoring\n/ || /kind: Namespace\n.*\n  name: security-hub-monitoring\n/ || /kind: Role\n.*\n  name: (security-hub-)?prometheus-/')
[ -n "$objects" ] || { printf 'setup-monitoring: nothing of the overlay %s is monitoring\n' "$place" >&2; exit 1; }
if [ "${2:-}" = --dry-run ]; then
  printf '%s\n' "$objects"
else
  printf '%s\n' "$objects" | kubectl apply --server-side --field-manager=security-hub-platform -f -
fi
