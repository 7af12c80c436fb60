#!/usr/bin/env bash
# make deploy | rollback | undo | record: dist/release into ENVIRONMENT, the release before back, what was cut off half-way taken
# back, or what was done there and how it stands (dist/record.json). `hubctl` decides and takes back; it takes this script's place, so
# that whoever ends the job ends it.
# CLUSTER_NAME and AWS_REGION: the cluster is found by the job's own cloud role, and its kubeconfig is the job's alone, away from
# whoever runs jobs beside it. Without CLUSTER_NAME it is the runner's KUBECONFIG, as on a host that has one.
set -euo pipefail
cd "$(dirname "$0")/../.."
export HUB_DEPLOY_CONFIG=${HUB_DEPLOY_CONFIG:-infrastructure/deploy/${ENVIRONMENT:?production, staging or development}.toml}
what=${1:?deploy, rollback, undo or record}
mkdir -p dist
if [ -n "${CLUSTER_NAME:-}" ]; then
  export KUBECONFIG=$PWD/dist/kubeconfig
  # Holds no secret: a token is asked for at each use (`aws eks get-token`).
  aws eks update-kubeconfig --name "$CLUSTER_NAME" --region "${AWS_REGION:?of the cluster}" --kubeconfig "$KUBECONFIG" >&2
fi
case $what in
  deploy)
    # Kept under its own name: the way back needs a release's folder, and the next run writes over dist.
    kept=${HUB_RELEASES:-/var/lib/security-hub-deploy/releases}/${ENVIRONMENT:?}/$(sha256sum dist/release/release.note | cut -c1-16)
    mkdir -p "$kept"
    cp -a dist/release/. "$kept/"
    # Since when alerts are its fault (watch.sh).
    date +%s >dist/began
    exec hubctl deploy --release "$kept"
    ;;
  rollback) exec hubctl rollback ;;
  undo) exec hubctl rollback --unfinished ;;
  record) exec hubctl status --json >dist/record.json ;;
  *) exit 2 ;;
esac
