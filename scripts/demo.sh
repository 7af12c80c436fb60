#!/usr/bin/env bash
# The main job on real traffic: a hub is started from nothing, attacked, and shown to have caught, contained and proven it.
# Keeps serving afterwards; `--once` ends instead, non-zero if anything was missed.
set -euo pipefail
cd "$(dirname "$0")/.."

once=no
for argument in "$@"; do
  case "$argument" in
    --once) once=yes ;;
    *) echo "usage: make demo [ARGS=--once]" >&2; exit 2 ;;
  esac
done

address=${DEMO_LISTEN:-127.0.0.1:8005}
out=$(realpath -m "${DEMO_OUT:-demo-out}")
export HUB_URL="http://$address"
bin=target/demo

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n%s\n' "$*"; }

say "Building"
cargo build --locked --profile demo --bin security-hub --bin hubctl

# Two demos in one folder would tear each other's hub down.
exec 9> "target/demo-$(cksum <<< "$out" | cut -d' ' -f1).lock"
if ! flock --nonblock 9; then
  echo "error: another demo runs in $out; stop it, or set DEMO_OUT=FOLDER and DEMO_LISTEN=127.0.0.1:PORT" >&2
  exit 4
fi
if (exec 3<>"/dev/tcp/${address%:*}/${address#*:}") 2>/dev/null; then
  echo "error: something already listens on $address; stop it, or set DEMO_LISTEN=127.0.0.1:PORT" >&2
  exit 4
fi

say "Starting a hub with nothing: its own PostgreSQL, no configuration"
rm -rf "$out"
mkdir -p "$out"
install -m 600 /dev/null "$out/init.txt"
install -m 600 /dev/null "$out/enrolment-secret.txt"
if ! "$bin/security-hub" init --data-dir "$out/data" > "$out/init.txt" 2> "$out/init.log"; then
  cat "$out/init.log" >&2
  exit 4
fi
grep -o 'she_[A-Za-z0-9_-]*' "$out/init.txt" > "$out/enrolment-secret.txt"
"$bin/security-hub" serve --data-dir "$out/data" --listen "$address" > "$out/hub.log" 2>&1 9>&- &
hub=$!
stop() { kill "$hub" 2>/dev/null || true; wait "$hub" 2>/dev/null || true; }
trap stop EXIT
if ! "$bin/hubctl" health --wait 60s; then
  tail -n 20 "$out/hub.log" >&2
  exit 4
fi

say "Enrolling the first administrator"
umask 077
head -c 24 /dev/urandom | base64 > "$out/operator-password.txt"
"$bin/hubctl" enrol --secret-file "$out/enrolment-secret.txt" --username operator --email operator@hub.example \
  --password-file "$out/operator-password.txt"
"$bin/hubctl" login --username operator --password-file "$out/operator-password.txt" --save "$out/operator.token"

say "People at work, and eight attacks among them"
verdict=0
"$bin/hubctl" --token-file "$out/operator.token" emulate run --report "$out/report.html" \
  --owner-password "$out/owner-password.txt" || verdict=$?
# 1 is a verdict (something was missed); anything else is a run that did not come to one.
[ "$verdict" -le 1 ] || exit "$verdict"

say "The ledger, exported and verified offline by a separate program"
"$bin/hubctl" login --tenant brightwater --username owner --password-file "$out/owner-password.txt" --save "$out/owner.token"
"$bin/hubctl" --token-file "$out/owner.token" ledger export "$out/ledger.ndjson"
"$bin/hubctl" ledger verify "$out/ledger.ndjson"

say "One byte of entry 100 changed in a copy"
cp "$out/ledger.ndjson" "$out/ledger-tampered.ndjson"
line_start=$(head -n 101 "$out/ledger.ndjson" | wc -c)
within=$(sed -n 102p "$out/ledger.ndjson" | grep -bo 'category_uid' | head -n 1 | cut -d: -f1)
printf 'X' | dd of="$out/ledger-tampered.ndjson" bs=1 seek=$((line_start + within)) conv=notrunc status=none
if "$bin/hubctl" ledger verify "$out/ledger-tampered.ndjson" > "$out/tampered.txt"; then
  echo "error: the change was not found" >&2
  exit 1
fi
cat "$out/tampered.txt"
grep -q 'entry 100' "$out/tampered.txt"

# Whoever reads on signs in as the owner: that must still be possible.
"$bin/hubctl" --token-file "$out/owner.token" incident list > "$out/incidents.txt"

say "Done"
echo "Report:   $out/report.html"
echo "Console:  $HUB_URL/console  (tenant brightwater, user owner, password in $out/owner-password.txt)"
if [ "$once" = yes ]; then
  exit "$verdict"
fi
[ "$verdict" = 0 ] || echo "Something was missed; see the table above." >&2
echo "Serving until you press Ctrl-C."
wait "$hub"
