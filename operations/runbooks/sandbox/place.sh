# shellcheck shell=bash disable=SC1091,SC2034,SC2154
# One host with HAProxy and two places, one release in use, another to come. Its database is a second one in the private cluster of
# the sandbox's hub, which serves nobody here.
. "$(dirname "${BASH_SOURCE[0]}")/default.sh"

shipped=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../../../infrastructure/haproxy/haproxy.cfg")
socket=$(realpath "$HUB_DATA_DIR/postgres/run")
psql -qAt -U hub_root -d postgres -h "$socket" -c 'create database deploys owner hub_owner'
port=$(sed -n 4p "$HUB_DATA_DIR/postgres/data/postmaster.pid")
database() { echo "postgres://$1@${socket//\//%2F}:$port/deploys"; }

bind=$(free_port) blue=$(free_port) green=$(free_port) log=$(free_port)
HUB_URL=http://127.0.0.1:$bind
mkdir place place/state place/data
touch place/state/haproxy.state
security-hub keys place/keys.json
cat >place/hub.env <<ENVIRONMENT
DATABASE_URL=$(database hub_app)
HUB_DATABASE_OWNER_URL=$(database hub_owner)
HUB_DATABASE_MIGRATE=false
HUB_KEYS_FILE=$PWD/place/keys.json
HUB_DATA_DIR=$PWD/place/data
HUB_PUBLIC_URL=$HUB_URL
HUB_TRUSTED_PROXIES=127.0.0.1/32
HUB_LOG_FORMAT=json
ENVIRONMENT
chmod 600 place/hub.env
TRUST=$(hubctl release key release.key)
cat >place/deploy.toml <<CONFIGURATION
[local]
haproxy = "haproxy.sock"
log = "127.0.0.1:$log"
blue = "127.0.0.1:$blue"
green = "127.0.0.1:$green"
state = "state"
environment = "hub.env"

[policy]
steps = [50, 100]
step = "1s"
bake = "1s"
ready = "60s"
drain = "2s"
look = "200ms"

[policy.tolerance]
slack = "500ms"

[gates]
trust = "$TRUST"

[gates.approval]
target = "production"
needed = 2
approvers = [
  { role = "release-manager", key = "$(hubctl release key ada.key --named ada)" },
  { role = "security", key = "$(hubctl release key ben.key --named ben)" },
]
CONFIGURATION
HUB_DEPLOY_CONFIG=$PWD/place/deploy.toml
cat >units/haproxy <<UNIT
export LB_BIND=127.0.0.1:$bind LB_BLUE=127.0.0.1:$blue LB_GREEN=127.0.0.1:$green
export LB_SOCKET=$PWD/place/haproxy.sock LB_STATES=$PWD/place/state/haproxy.state LB_LOG=127.0.0.1:$log
exec haproxy -db -f $shipped
UNIT
echo "test -S $PWD/place/haproxy.sock" >units/haproxy.ready
systemctl start haproxy

# The server as built, with a mark at its end that makes it another one.
release() {
  mkdir "$1"
  cp "$(realpath "$(command -v security-hub)")" "$1/security-hub"
  echo "$1" >>"$1/security-hub"
  hubctl release seal "$1" --named "$1" --commit 0123abc --committed "$(date -u -d '1 hour ago' +%Y-%m-%dT%H:%M:%SZ)" --key release.key
}
TARGET=production
release 1.0.0
for person in ada ben; do hubctl release approve 1.0.0 --for production --named $person --key $person.key; done
hubctl deploy --release 1.0.0
RELEASE=$PWD/1.1.0
release 1.1.0
hubctl release approve 1.1.0 --for production --named ada --key ada.key
APPROVER=ben
APPROVER_KEY=$PWD/ben.key

secret=$(grep -oh 'she_[A-Za-z0-9_-]*' place/state/*.log | head -n 1)
(umask 077 && echo "$secret" >deploys-secret.txt)
hubctl enrol --secret-file deploys-secret.txt --username operator --email operator@hub.example --password-file operator-password.txt
hubctl login --username operator --password-file operator-password.txt --save deploys.token
TOKEN=$PWD/deploys.key
hubctl --token-file deploys.token key create deploys --scope operations.record --scope operations.read \
  --scope incidents.read --scope ledger.read --save "$TOKEN"
unset secret
