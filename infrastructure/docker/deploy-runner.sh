#!/usr/bin/env bash
# The start of the image Dockerfile.deploy-runner, whose root is read-only: GitHub's runner out of /work. How the pipeline knows it is
# kept on the disk that lasts, so the registration token (secrets/registration-token) is needed once.
#   deploy-runner run | live | ready
set -euo pipefail
state=${RUNNER_STATE:-/var/lib/security-hub-deploy} settings=${RUNNER_SETTINGS:-/etc/security-hub}
source=${RUNNER_SOURCE:-/home/runner} work=${RUNNER_WORK:-/work} known=(.runner .credentials .credentials_rsaparams)
case ${1:-run} in
  live) exec pgrep -f Runner.Listener ;;
  ready)
    # A deploy needs to write its journal, and to read how it is done.
    for file in "$settings"/*.toml "$settings/release.key"; do [ -r "$file" ]; done
    exec test -w "$state" -a -e "$state/runner/.runner"
    ;;
  run) ;;
  *) printf 'deploy-runner: %s is none of run, live, ready\n' "$1" >&2 && exit 2 ;;
esac
mkdir -p "$work/home" "$work/tmp" "$work/runner" "$state/runner" "$state/approvals" "$state/releases"
cp -a "$source/." "$work/runner/"
cd "$work/runner"
if [ -e "$state/runner/.runner" ]; then
  for file in "${known[@]}"; do cp -p "$state/runner/$file" .; done
else
  # GitHub's program takes the token by its environment as well: nobody reads it in the list of processes.
  ACTIONS_RUNNER_INPUT_TOKEN=$(cat "$settings/secrets/registration-token") ./config.sh --unattended --replace --url "${RUNNER_URL:?of the organisation}" \
    ${RUNNER_GROUP:+--runnergroup "$RUNNER_GROUP"} \
    --name "$(hostname)" --labels "${RUNNER_LABELS:?such as security-hub-production}" --work "$work/jobs"
  umask 077
  for file in "${known[@]}"; do cp -p "$file" "$state/runner/"; done
fi
exec ./run.sh
