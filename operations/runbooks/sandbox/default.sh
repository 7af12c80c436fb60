# shellcheck shell=bash
# A real hub with an operator and a tenant, in the folder where this is run. What is set here is known in the runbook's blocks.

umask 022
export HUB_DATA_DIR=$PWD/data HUB_LISTEN=127.0.0.1:0 HUB_LOG_FORMAT=json

# What `systemctl` does on a host. `units/NAME` is the command of a service, `units/NAME.ready` (if there is one) says when it
# is up; what it says goes into NAME.log.
mkdir units
cat >bin/systemctl <<'SHIM'
#!/usr/bin/env bash
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
name=${2:?which service?}
[ -f "units/$name" ] || { echo "Unit $name.service not found." >&2; exit 5; }
alive() {
  [ -s "units/$name.pid" ] && grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$(cat "units/$name.pid")/status"
}
start() {
  alive && return
  setsid bash "units/$name" >"$name.out" 2>>"$name.log" </dev/null &
  echo $! >"units/$name.pid"
  [ -f "units/$name.ready" ] || return 0
  for _ in {1..1200}; do
    bash "units/$name.ready" >/dev/null 2>&1 && return
    alive || break
    sleep 0.05
  done
  tail -n 5 "$name.log" >&2
  exit 1
}
stop() {
  alive || return 0
  kill "$(cat "units/$name.pid")"
  while alive; do sleep 0.05; done
}
case $1 in
  start) start ;;
  stop) stop ;;
  restart) stop; start ;;
  reload) kill -HUP "$(cat "units/$name.pid")" ;;
  status | is-active) if alive; then echo active; else echo inactive; exit 3; fi ;;
  *) echo "the sandbox knows no systemctl $1" >&2; exit 1 ;;
esac
SHIM
chmod 755 bin/systemctl
echo 'exec security-hub serve' >units/security-hub
echo "grep -q 'listening on ' security-hub.out" >units/security-hub.ready

systemctl start security-hub
HUB_URL=$(grep -o 'http://[^ ]*' security-hub.out)
# The same again after a restart.
export HUB_URL HUB_LISTEN=${HUB_URL#http://}

# Below those that the kernel gives to whoever asks for any.
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}
password() { head -c 24 /dev/urandom | base64 >"$1"; }
umask 077
grep -o 'she_[A-Za-z0-9_-]*' security-hub.out >enrolment-secret.txt
password operator-password.txt
password owner-password.txt
hubctl enrol --secret-file enrolment-secret.txt --username operator --email operator@hub.example \
  --password-file operator-password.txt
hubctl login --username operator --password-file operator-password.txt --save operator.token
hubctl --token-file operator.token tenant create acme --name Acme --username ada --email ada@acme.example \
  --password-file owner-password.txt
hubctl login --tenant acme --username ada --password-file owner-password.txt --save owner.token
umask 022
