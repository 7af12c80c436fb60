# shellcheck shell=bash disable=SC1091,SC2034,SC2154
# A hub with a backup, a person of before the minute in question, and damage done after it.
. "$(dirname "${BASH_SOURCE[0]}")/default.sh"
DATA=$HUB_DATA_DIR
BESIDE=$PWD/beside
NEW=$PWD/new
REPOSITORY=$PWD/rescued
KEY=$PWD/recovery.key
person() {
  hubctl --token-file owner.token user create --username "$1" --email "$1@acme.example" --password-file owner-password.txt --role member
}
hubctl backup run --data-dir "$DATA" --recovery-key "$KEY"
person before
TO=$(date -u +%Y-%m-%dT%H:%M:%S.%6NZ)
person after
# What is archived survives; the archive is asked to take the newest at once.
sql() { psql -qAt -U hub_root -d hub -h "$DATA/postgres/run" -c "$1"; }
segment=$(sql 'select pg_walfile_name(pg_switch_wal())')
for _ in {1..600}; do
  [ "$(sql "select last_archived_wal >= '$segment' from pg_stat_archiver")" = t ] && break
  sleep 0.05
done
cp -a "$DATA/backup/repository" "$REPOSITORY"
