# shellcheck shell=bash disable=SC1091,SC2034,SC2154
# A new release, a caller that asks all the time, and a session that was forgotten and holds a lock that others wait for.
. "$(dirname "${BASH_SOURCE[0]}")/watched.sh"
hubctl release approve 1.1.0 --for production --named ben --key ben.key
hubctl deploy --release 1.1.0
hubctl --token-file deploys.token key create collector --scope users.read --save collector.key
KEY=$(hubctl --token-file deploys.token --json key list | jq -r '.items[] | select(.name == "collector") | .id')
OWNER_TOKEN=$PWD/deploys.token
DATABASE="host=$socket port=$port user=hub_root dbname=deploys"
sql() { psql -qAt "$DATABASE" "$@"; }
call() { printf 'Authorization: Bearer %s' "$(cat collector.key)" | curl -sS -o called.txt -H @- "$HUB_URL/api/v2/users"; }
for _ in {1..40}; do call; done
# Some are slow and answered, others still wait.
held() {
  for _ in {1..200}; do
    [ "$(sql -c "select count(*) from pg_locks where relation = 'app_user'::regclass and mode = 'AccessExclusiveLock'")" = 1 ] && return
    sleep 0.05
  done
  return 1
}
sql -c 'begin; lock table app_user' -c 'select pg_sleep(1.5)' -c commit >held.txt 2>&1 &
short=$!
held
for _ in {1..3}; do call & done
wait "$short"
until_known '(hub_request_seconds_count{route="/api/v2/users"} - on (colour) group_left hub_request_seconds_bucket{route="/api/v2/users", le="0.5"}) > 0'
PGAPPNAME=forgotten sql -c 'begin; lock table app_user' -c 'select pg_sleep(600)' >held.txt 2>&1 &
held
PID=$(sql -c "select pid from pg_stat_activity where application_name = 'forgotten'")
for _ in {1..3}; do call & done
