#!/usr/bin/env bash
# make dast: a hub on loopback with an administrator, and schemathesis at its whole interface: made-up and malformed requests
# by its own OpenAPI document. No answer may be a server error or contradict the document. (That no route answers without a
# credential is tested route by route: tests/tests/e2e/unauthorized.rs.)
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/verify/tools.sh
. scripts/verify/tools.sh
schemathesis=$(pip_tool schemathesis 4.32.5)/schemathesis
cargo build --quiet --locked --bins -p security-hub -p hubctl
target=${CARGO_TARGET_DIR:-target}/debug
work=$(mktemp -d)
port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
url=http://127.0.0.1:$port
HUB_DATA_DIR=$work/data HUB_LOG_FORMAT=json HUB_LIMITS_REQUESTS_PER_SECOND=100000 HUB_LIMITS_BURST=100000 \
  "$target/security-hub" serve --listen "127.0.0.1:$port" >"$work/hub.log" 2>&1 &
hub=$!
finish() {
  kill "$hub" 2>/dev/null || true
  wait "$hub" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT
until curl -fsS -o /dev/null "$url/health/ready" 2>/dev/null; do
  kill -0 "$hub" || { tail -5 "$work/hub.log" >&2; exit 1; }
  sleep 0.2
done
secret=$(sed -n 's/.*(shown once): \([^ "]*\).*/\1/p' "$work/hub.log" | head -1)
password=$(head -c 18 /dev/urandom | base64)
post() { curl -fsS -H 'content-type: application/json' -d "$2" "$url$1"; }
post /api/v2/enrol "{\"secret\":\"$secret\",\"username\":\"root\",\"email\":\"root@example.org\",\"password\":\"$password\"}" >/dev/null
token=$(post /api/v2/login "{\"tenant\":\"system\",\"username\":\"root\",\"password\":\"$password\"}" |
  python3 -c 'import json,sys; print(json.load(sys.stdin)["access_token"])')
curl -fsS "$url/openapi.json" >"$work/openapi.json"
# What ends the session that is used, or never ends by itself, is left to the tests.
"$schemathesis" run "$url/openapi.json" --url "$url" \
  --header "authorization: Bearer $token" \
  --exclude-path-regex '/(logout|sessions|live|password)' \
  --checks not_a_server_error,content_type_conformance,response_schema_conformance \
  --max-examples "${EXAMPLES:-20}" --workers 2 --seed 1 --no-color --request-timeout 10
