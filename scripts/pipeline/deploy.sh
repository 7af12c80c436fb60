#!/usr/bin/env bash
# make deploy | rollback: dist/release into ENVIRONMENT, or the release before back. `hubctl` decides and takes back.
set -euo pipefail
cd "$(dirname "$0")/../.."
export HUB_DEPLOY_CONFIG=${HUB_DEPLOY_CONFIG:-infrastructure/deploy/${ENVIRONMENT:?production, staging or development}.toml}
case ${1:?deploy or rollback} in
  deploy) exec hubctl deploy --release dist/release ;;
  rollback) exec hubctl rollback ;;
  *) exit 2 ;;
esac
