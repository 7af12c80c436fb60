#!/usr/bin/env bash
# make drill: backups proven by restoring them. A hub with a database of DRILL_MB (1024) under continuous load is backed up,
# the backup restored beside it and proven (the drill), and then everything is killed, the database deleted and restored for
# real. Then every scenario of content/disasters, told to this hub's ledger. Prints RTO, RPO, the proofs, and the pace beside plain
# pg_basebackup; fails if an objective is missed.
set -euo pipefail
cd "$(dirname "$0")/.."

megabytes=${DRILL_MB:-1024}
out=$(realpath -m "${DRILL_OUT:-drill-out}")
address=${DRILL_LISTEN:-127.0.0.1:8015}
export HUB_URL="http://$address" HUB_DATA_DIR="$out/data"
bin=$PWD/target/demo
hubctl=$bin/hubctl

say() { printf '\n%s\n' "$*"; }
now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.1f", b - a }'; }

say "Building"
cargo build --locked --profile demo --bin security-hub --bin hubctl

say "A hub with a database of $megabytes MiB"
rm -rf "$out"
mkdir -p "$out"
umask 077
# The database's user must get to its files.
chmod 755 "$out"
"$bin/security-hub" init > "$out/init.txt" 2> "$out/init.log"
grep -o 'she_[A-Za-z0-9_-]*' "$out/init.txt" > "$out/enrolment-secret.txt"
hub=
serve() {
  "$bin/security-hub" serve --listen "$address" >> "$out/hub.log" 2>&1 &
  hub=$!
  "$hubctl" health --wait 60s
}
load=
stop() {
  [ -z "$load" ] || kill "$load" 2>/dev/null || true
  kill "$hub" 2>/dev/null || true
  wait 2>/dev/null || true
}
trap stop EXIT
serve
head -c 24 /dev/urandom | base64 > "$out/password.txt"
"$hubctl" enrol --secret-file "$out/enrolment-secret.txt" --username operator --email operator@hub.example \
  --password-file "$out/password.txt"
"$hubctl" login --username operator --password-file "$out/password.txt" --save "$out/operator.token"
"$hubctl" --token-file "$out/operator.token" tenant create drill --name Drill --username owner --email owner@drill.example \
  --password-file "$out/password.txt"
"$hubctl" login --tenant drill --username owner --password-file "$out/password.txt" --save "$out/owner.token"
"$hubctl" --token-file "$out/owner.token" key create load --scope events.ingest --save "$out/load.key"
"$hubctl" --token-file "$out/operator.token" key create backup --scope operations.record --save "$out/backup.key"

# Lines that do not compress to nothing: PostgreSQL would store a GiB of zeros in a MiB.
lines() {
  python3 - "$1" <<'PYTHON'
import base64, os, sys
for number in range(int(sys.argv[1])):
    text = base64.b64encode(os.urandom(600)).decode()
    print(f'{{"time":"2026-11-24T00:00:00Z","number":{number},"text":"{text}"}}')
PYTHON
}
size() { du -sm --apparent-size "$HUB_DATA_DIR/postgres/data/base" | cut -f1; }
while [ "$(size)" -lt "$megabytes" ]; do
  # New ones each time: what was taken once is not taken again.
  lines 40000 > "$out/lines.ndjson"
  "$hubctl" --token-file "$out/load.key" ingest --format json --source drill/load "$out/lines.ndjson" > /dev/null
  printf '  %s MiB\n' "$(size)"
done

say "Backup while it works, and plain pg_basebackup for comparison"
keep_loading() {
  while :; do
    lines 200 > "$out/few.ndjson"
    "$hubctl" --token-file "$out/load.key" ingest --format json --source drill/load "$out/few.ndjson" > /dev/null || true
  done
}
keep_loading 2>/dev/null &
load=$!
began=$(now)
"$hubctl" --token-file "$out/backup.key" backup run --type full --recovery-key "$out/recovery.key"
backup=$(since "$began")
socket=$(realpath "$HUB_DATA_DIR/postgres/run")
pg_basebackup=$(find /usr/lib/postgresql -name pg_basebackup | sort -V | tail -n 1)
began=$(now)
"$pg_basebackup" --host "$socket" --username hub_root --pgdata "$out/basebackup" --format tar --gzip --checkpoint fast
base=$(since "$began")
rm -rf "$out/basebackup"
awk -v ours="$backup" -v theirs="$base" 'BEGIN { printf "backup: %.1f s, pg_basebackup --gzip of the same database: %.1f s, pace %.2f of it\n", ours, theirs, theirs / ours }'

say "The drill, under load: restored beside it, proven, thrown away; and what production feels of it"
# How long the slowest twentieth of an owner's requests took while `$1` seconds passed, or while the process `$2` lived.
p95() {
  python3 - "$HUB_URL" "$out/owner.token" "$@" <<'PYTHON'
import os, sys, time, urllib.request
url, token, seconds = sys.argv[1], open(sys.argv[2]).read().strip(), float(sys.argv[3])
process = int(sys.argv[4]) if len(sys.argv) > 4 else None
took, until = [], time.monotonic() + seconds
def goes_on():
    if process is None:
        return time.monotonic() < until
    try:
        # A zombie has ended.
        return open(f"/proc/{process}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
while goes_on():
    began = time.monotonic()
    request = urllib.request.Request(url + "/api/v2/users", headers={"authorization": "Bearer " + token})
    urllib.request.urlopen(request).read()
    took.append(time.monotonic() - began)
    time.sleep(0.02)
took.sort()
print(f"{1000 * took[int(len(took) * 0.95)]:.1f}")
PYTHON
}
calm=$(p95 20)
"$hubctl" --token-file "$out/backup.key" drill --scratch "$out" --recovery-key "$out/recovery.key" --rto 5m --rpo 1m &
drill=$!
during=$(p95 0 "$drill")
wait "$drill"
printf 'p95 of production: %s ms before the drill, %s ms during it (both under load; it must not double)\n' "$calm" "$during"
awk -v calm="$calm" -v during="$during" 'BEGIN { exit !(during < 2 * calm || during < 10) }'

say "The disaster: hub and database killed, the database's files deleted"
kill -9 "$load" "$hub"
wait 2>/dev/null || true
load=
kill -9 "$(head -n 1 "$HUB_DATA_DIR/postgres/data/postmaster.pid")"
lost=$(now)
lost_at=$(date -u +%s)
find "$HUB_DATA_DIR/postgres/data" -delete
"$hubctl" --json restore --in-place --confirm data > "$out/restore.json"
serve
rto=$(since "$lost")
"$hubctl" --token-file "$out/backup.key" health
rpo=$(python3 - "$out/restore.json" "$lost_at" <<'PYTHON'
import datetime, json, sys
newest = json.load(open(sys.argv[1]))["proof"]["newest"].replace("Z", "+00:00")
print(f"{float(sys.argv[2]) - datetime.datetime.fromisoformat(newest).timestamp():.0f}")
PYTHON
)
# The same backup by pgBackRest alone, with as many processes, as the database's own user.
plain=$out/plain
as=()
[ "$(id -u)" -ne 0 ] || as=(setpriv "--reuid=$(stat -c %u "$HUB_DATA_DIR/postgres/data")" \
  "--regid=$(stat -c %g "$HUB_DATA_DIR/postgres/data")" --clear-groups)
mkdir -m 700 "$plain"
chown --reference="$HUB_DATA_DIR/postgres/data" "$plain"
began=$(now)
"${as[@]}" pgbackrest --config="$HUB_DATA_DIR/backup/pgbackrest.conf" --stanza=hub --pg1-path="$plain" restore
theirs=$(since "$began")
rm -rf "$plain"
ours=$(python3 -c 'import json, sys
steps = json.load(open(sys.argv[1]))["operation"]["steps"]
print(next(step["took_ms"] for step in steps if step["step"] == "restore") / 1000)' "$out/restore.json")
awk -v ours="$ours" -v theirs="$theirs" 'BEGIN {
  printf "restore of the files: %.1f s, plain pgbackrest restore of the same: %.1f s, pace %.2f of it\n", ours, theirs, theirs / ours
  exit !(ours < 3 || theirs / ours >= 0.8) }'

say "RTO $rto s (objective 300 s), RPO $rpo s under load (objective 60 s)"
awk -v rto="$rto" -v rpo="$rpo" 'BEGIN { exit !(rto < 300 && rpo < 60) }'

say "Every disaster, each on a small installation of its own"
"$hubctl" --token-file "$out/backup.key" drill --scenario all --scratch "$out" --report "$out/reports"
