# shellcheck shell=bash disable=SC1091,SC2034,SC2154
# A hub with a backup, of which a tenant loses a person to the wrong SQL, and everybody the table of sessions after that.
. "$(dirname "${BASH_SOURCE[0]}")/default.sh"
DATA=$HUB_DATA_DIR
BESIDE=$PWD/beside
NEW=$PWD/new
REPOSITORY=$PWD/rescue.toml
KEY=$PWD/recovery.key
TENANT=acme
person() {
  hubctl --token-file owner.token user create --username "$1" --email "$1@acme.example" --password-file owner-password.txt --role member
}
sql() { psql -qXAt -U hub_root -d hub -h "$DATA/postgres/run" -c "$1"; }
moment() { date -u +%Y-%m-%dT%H:%M:%S.%6NZ; }
hubctl backup run --data-dir "$DATA" --recovery-key "$KEY"
printf '[[repository]]\npath = "%s"\n' "$DATA/backup/repository" >"$REPOSITORY"
person before
THEN=$(moment)
sql "with one as (delete from app_user where username = 'before' returning id) delete from user_role where user_id in (select id from one)"
TO=$(moment)
person after
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
