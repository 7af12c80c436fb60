#!/usr/bin/env bash
# make dast: a hub on loopback with an administrator, and schemathesis at its whole interface: made-up and malformed requests
# by its own OpenAPI document. No answer may be a server error or contradict the document, and what answers with the credential must
# not answer without one or with a made-up one; a door that is unlocked on purpose is shown to be found first. (That no route
# answers without a credential is tested route by route as well: tests/tests/e2e/unauthorized.rs.)
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
door=
finish() {
  [ -z "$door" ] || kill "$door" 2>/dev/null || true
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

# The same hub behind a door that lets anybody in to /api/v2/me: it lends them the administrator's token.
python3 - "$port" "$work/door" 3<<<"$token" <<'PYTHON' &
import http.client, http.server, os, sys
hub, token = int(sys.argv[1]), os.fdopen(3).read().strip()
class Door(http.server.BaseHTTPRequestHandler):
    def pass_on(self):
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
        if self.path.partition("?")[0] == "/api/v2/me":
            headers = {k: v for k, v in headers.items() if k.lower() not in ("authorization", "cookie")}
            headers["authorization"] = f"Bearer {token}"
        there = http.client.HTTPConnection("127.0.0.1", hub, timeout=10)
        there.request(self.command, self.path, self.rfile.read(int(self.headers.get("content-length", 0))), headers)
        answer = there.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        self.send_header("content-type", answer.headers.get("content-type", "text/plain"))
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door)
with open(sys.argv[2] + ".new", "w") as file:
    file.write(str(server.server_port))
os.rename(sys.argv[2] + ".new", sys.argv[2])
server.serve_forever()
PYTHON
door=$!
until [ -e "$work/door" ]; do
  kill -0 "$door" || exit 1
  sleep 0.1
done
unlocked=http://127.0.0.1:$(cat "$work/door")
if "$schemathesis" run "$unlocked/openapi.json" --url "$unlocked" --header "Authorization: Bearer $token" \
  --include-path /api/v2/me --include-method GET --checks ignored_auth --max-examples 5 --seed 1 --no-color >"$work/planted.log" 2>&1 ||
  ! grep -qiE 'ignored_auth|not enforced|without (valid )?auth' "$work/planted.log"; then
  cat "$work/planted.log" >&2
  printf 'dast: an unlocked door is not found\n' >&2
  exit 1
fi
printf 'dast: the unlocked door was found\n'

# (Schemathesis takes the credential away again by its name, which has to be spelled as the document's parameter is.)
# What ends the session that is used, or never ends by itself, is left to the tests.
"$schemathesis" run "$url/openapi.json" --url "$url" \
  --header "Authorization: Bearer $token" \
  --exclude-path-regex '/(logout|sessions|live|password)' \
  --checks not_a_server_error,content_type_conformance,response_schema_conformance,ignored_auth \
  --max-examples "${EXAMPLES:-20}" --workers 2 --seed 1 --no-color --request-timeout 10
