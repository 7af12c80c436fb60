# shellcheck shell=bash disable=SC1091,SC2034,SC2154
# A place whose machine was restarted: nothing runs there.
. "$(dirname "${BASH_SOURCE[0]}")/place.sh"
RAN=$PWD/1.0.0
hubctl status --token-file "$TOKEN"
server=$(pgrep -f "^$RAN/security-hub serve")
kill -KILL "$server"
until_down() {
  for _ in {1..200}; do
    { hubctl --json status || true; } | jq -e 'all(.colours[]; .is_up | not)' >/dev/null && return
    sleep 0.05
  done
  return 1
}
until_down
