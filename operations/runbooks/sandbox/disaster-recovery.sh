# shellcheck shell=bash disable=SC1091,SC2034,SC2154
# A hub that is backed up into two repositories, and its table of sessions dropped. Redis is down as well.
. "$(dirname "${BASH_SOURCE[0]}")/default.sh"
DATA=$HUB_DATA_DIR
TOKEN=$PWD/operations.key
KEY=$PWD/recovery.key
CHECKPOINT=$PWD/checkpoint
EVIDENCE=$PWD/evidence
NEW=$PWD/clean
STANDBY=$PWD/standby
CONFIG=$PWD/backup.toml
export HUB_BACKUP_CONFIG=$CONFIG
printf '[[repository]]\npath = "%s"\n\n' "$PWD/first-region" "$PWD/second-region" >"$CONFIG"

hubctl --token-file operator.token key create operations --save "$TOKEN" \
  --scope health.read --scope ledger.read --scope operations.record
hubctl --token-file "$TOKEN" ledger head >"$CHECKPOINT"
hubctl backup run --data-dir "$DATA" --recovery-key "$KEY"
sql() { psql -qXAt -U hub_root -d hub -h "$DATA/postgres/run" -c "$1"; }
TO=$(date -u +%Y-%m-%dT%H:%M:%S.%6NZ)
sql 'set client_min_messages = error; drop table session cascade'
if hubctl login --tenant acme --username ada --password-file owner-password.txt --save nobody.token; then
  echo "people still sign in" >&2
  exit 1
fi
# What is archived survives; the archive is asked to take the newest at once.
segment=$(sql 'select pg_walfile_name(pg_switch_wal())')
for _ in {1..600}; do
  [ "$(sql "select last_archived_wal >= '$segment' from pg_stat_archiver")" = t ] && break
  sleep 0.05
done

echo "exec redis-server --bind 127.0.0.1 --port $(free_port) --dir $PWD --save ''" >units/redis-server

# Somebody works as soon as the hub is back, as anywhere: on a timeline on which nothing was committed no moment can be reached.
cat >>units/security-hub.ready <<'READY'
hubctl login --tenant acme --username ada --password-file owner-password.txt --save again.token || true
READY
