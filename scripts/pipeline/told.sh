#!/usr/bin/env bash
# make told: tells people that a pipeline failed, and where to look: the pipelines' last job. TOLD_URL is a webhook that takes
# {"text": …}, as Slack's and Mattermost's do; who has it may write there, so it is a secret. What `hubctl` does, it tells by itself
# (deploy.toml [notify]); this is for what fails before and beside it.
set -euo pipefail
if [ -n "${GITHUB_ACTIONS:-}" ]; then
  what=$GITHUB_WORKFLOW where=$GITHUB_SERVER_URL/$GITHUB_REPOSITORY/actions/runs/$GITHUB_RUN_ID
elif [ -n "${GITLAB_CI:-}" ]; then
  what=$CI_PROJECT_PATH where=$CI_PIPELINE_URL
else
  what=${JOB_NAME:-a run by hand} where=${BUILD_URL:-nowhere}
fi
if [ -z "${TOLD_URL:-}" ]; then
  printf 'told: TOLD_URL is not set: nobody but the platform tells that %s failed\n' "$what" >&2
  exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -c 'import json, sys; print(json.dumps({"text": sys.argv[1]}))' "$what failed: $where" >"$work/body"
# In a file: whoever is on this machine reads command lines.
printf 'url = "%s"\n' "$TOLD_URL" >"$work/curl"
curl -fsS -m 20 --retry 2 -o /dev/null --config "$work/curl" -H 'content-type: application/json' --data @"$work/body"
printf 'told: %s failed\n' "$what"
