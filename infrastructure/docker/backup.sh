#!/usr/bin/env bash
# Base backups of the compose file's PostgreSQL, and the way back; as root, beside docker-compose.production.yml.
#   backup.sh              what a timer calls each night (backup.timer): whole on Sundays and the first time, else what changed since
#   backup.sh full|diff    the one or the other now
#   backup.sh info         what there is
#   backup.sh restore …    back to the newest commit, or as pgBackRest's options say: --type=time --target='…' --target-action=promote
# COMPOSE: another compose command than docker's.
set -euo pipefail
cd "$(dirname "$0")"
read -ra compose <<<"${COMPOSE:-docker compose --env-file images.env --env-file hub.env -f docker-compose.production.yml}"
# shellcheck disable=SC2016 # the container's shell is to read the secret
inside='export PGBACKREST_REPO1_CIPHER_PASS=$(cat /run/secrets/backup_passphrase); exec pgbackrest --stanza=hub --log-level-console=warn "$@"'
there() { "${compose[@]}" exec -T postgres bash -c "$inside" pgbackrest "$@"; }
# Whoever gets alerts hears of it: nothing else here asks whether there are backups.
failed() {
  "${compose[@]}" exec -T alertmanager amtool --alertmanager.url=http://127.0.0.1:9093 alert add BackupFailed severity=page \
    --end="$(date -u -d '+25 hours' +%Y-%m-%dT%H:%M:%SZ)" --annotation=summary="The database's backup failed: $1" || true
  printf 'backup: %s\n' "$1" >&2
  exit 1
}
what=${1:-}
[ -n "$what" ] || { if [ "$(date +%u)" -eq 7 ]; then what="full"; else what="diff"; fi; }
case $what in
  full | diff)
    there check || failed 'the log is not archived'
    # Without a whole one a `diff` is whole. What is older than the retention (config/pgbackrest.conf) goes.
    there --type="$what" backup || failed 'no base backup was made'
    ;;
  info) there info ;;
  restore)
    shift
    # Nobody serves or writes meanwhile; a deploy brings the hub back.
    "${compose[@]}" --profile blue --profile green stop hub-blue hub-green postgres
    "${compose[@]}" run --rm --no-deps -T postgres bash -c "$inside" pgbackrest --delta "$@" restore
    # Made anew: its folders in memory are as at its first start.
    "${compose[@]}" up -d --no-deps --force-recreate postgres
    printf 'backup: restored; look at the data, then start the colour that served: docker start security-hub-blue (or -green)\n'
    ;;
  *) printf 'backup: %s is none of full, diff, info, restore\n' "$what" >&2 && exit 2 ;;
esac
