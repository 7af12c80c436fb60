#!/usr/bin/env bash
# Makes ./secrets for docker-compose.production.yml, once: random passwords, the key ring, and the connection strings
# that hold them; each file readable by its container's user only. Run as root. What is there stays as it is.
#   make-secrets.sh SERVER     SERVER: the binary `security-hub`, to make the key ring
set -euo pipefail
cd "$(dirname "$0")"
server=${1:?usage: make-secrets.sh SERVER (the binary security-hub)}
[ "$(id -u)" -eq 0 ] || {
  printf 'make-secrets: run as root: each file must belong to the user of its container\n' >&2
  exit 1
}
umask 077
mkdir -p secrets run
# HAProxy's socket and states; hubctl keeps the states.
chown 65532:65532 run
[ -e run/haproxy.state ] || install -o 65532 -g 65532 -m 0644 /dev/null run/haproxy.state

random() { head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
keep() { # name uid content: unless it is there
  [ ! -e "secrets/$1" ] || return 0
  printf '%s' "$3" >"secrets/$1.new"
  chown "$2:$2" "secrets/$1.new"
  chmod 0400 "secrets/$1.new"
  mv "secrets/$1.new" "secrets/$1"
}
hub=65532 postgres=1000 redis=999 prometheus=65534 grafana=472

keep postgres_password $postgres "$(random)"
keep hub_app_password $postgres "$(random)"
keep hub_owner_password $postgres "$(random)"
keep backup_passphrase $postgres "$(random)"
keep database_url $hub "postgres://hub_app:$(cat secrets/hub_app_password)@postgres:5432/hub"
keep database_owner_url $hub "postgres://hub_owner:$(cat secrets/hub_owner_password)@postgres:5432/hub"
if [ ! -e secrets/keys.json ]; then
  "$server" keys secrets/keys.json
  chown $hub:$hub secrets/keys.json
fi
if [ ! -e secrets/redis_acl ]; then
  link=$(random) watch=$(random)
  keep redis_link $redis "masteruser replica
masterauth $link
"
  keep sentinel_auth $redis "
sentinel auth-user hub sentinel
sentinel auth-pass hub $watch
"
  # Nobody without a password may do more than ask whether it lives. The hub uses no Redis yet, so it has no user either.
  keep redis_acl $redis "user default on nopass -@all +ping
user replica on >$link -@all +psync +replconf +ping
user sentinel on >$watch allchannels -@all +multi +slaveof +ping +exec +subscribe +config|rewrite +role +publish +info +client|setname +client|kill +script|kill
"
fi
keep grafana_password $grafana "$(random)"
# Filled by the operator: an API key with the metrics permission, the receiver of alerts, the certificate with its key.
keep metrics_token $prometheus ""
keep alert_webhook $prometheus "http://127.0.0.1:9/"
[ -e secrets/tls.pem ] || printf 'make-secrets: put the certificate chain and its key into secrets/tls.pem, owner 65532\n' >&2
printf 'make-secrets: %s files in %s/secrets\n' "$(find secrets -type f | wc -l)" "$PWD"
