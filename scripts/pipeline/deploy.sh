#!/usr/bin/env bash
# make deploy | rollback: dist/release into ENVIRONMENT, or the release before back. `hubctl` decides and takes back.
set -euo pipefail
cd "$(dirname "$0")/../.."
export HUB_DEPLOY_CONFIG=${HUB_DEPLOY_CONFIG:-infrastructure/deploy/${ENVIRONMENT:?production, staging or development}.toml}
case ${1:?deploy or rollback} in
  deploy)
    # Kept under its own name: the way back needs a release's folder, and the next run writes over dist.
    kept=${HUB_RELEASES:-/var/lib/security-hub-deploy/releases}/${ENVIRONMENT:?}/$(sha256sum dist/release/release.note | cut -c1-16)
    mkdir -p "$kept"
    cp -a dist/release/. "$kept/"
    exec hubctl deploy --release "$kept"
    ;;
  rollback) exec hubctl rollback ;;
  *) exit 2 ;;
esac
