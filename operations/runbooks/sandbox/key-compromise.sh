# shellcheck shell=bash disable=SC1091,SC2034,SC2154
# Two replicas on one database that asks for passwords, one of them with TLS; keys.toml; a tenant with a person and API keys. The
# database is a second one in the private cluster of the sandbox's hub, which serves nobody here.
. "$(dirname "${BASH_SOURCE[0]}")/default.sh"

socket=$(realpath "$HUB_DATA_DIR/postgres/run")
port=$(sed -n 4p "$HUB_DATA_DIR/postgres/data/postmaster.pid")
host() { psql -qAt -v ON_ERROR_STOP=1 -U hub_root -d postgres -h "$socket" "$@"; }
host -c 'create database guarded owner hub_owner'
host >/dev/null <<SQL
alter role hub_owner createrole password 'the-owner';
grant hub_app to hub_owner with admin option;
alter role hub_app password 'the-first';
SQL
rules=$HUB_DATA_DIR/postgres/data/pg_hba.conf
sed -i '1i local guarded hub_owner,hub_app,hub_app_a,hub_app_b scram-sha-256' "$rules"
host -c 'select pg_reload_conf()' >/dev/null

umask 077
mkdir place place/one place/two
url() { echo "postgres://$1@${socket//\//%2F}:$port/guarded"; }
url hub_app:the-first >place/database-url
url hub_owner:the-owner >place/owner-url
OWNER_URL=$PWD/place/owner-url
ADMIN=$PWD/place/admin.conf
printf '[admin]\nhost=%s\nport=%s\nuser=hub_root\ndbname=guarded\n' "$socket" "$port" >"$ADMIN"
security-hub keys place/keys.json

# An authority, the certificate in use, and the one that takes its place.
certificate() {
  openssl req -newkey rsa:2048 -nodes -subj "/CN=$1" -keyout "place/$1.key" -out "place/$1.csr" 2>/dev/null
  openssl x509 -req -in "place/$1.csr" -CA place/ca.pem -CAkey place/ca.key -days 90 -out "place/$1.pem" 2>/dev/null \
    -extfile <(printf 'subjectAltName=DNS:hub.example,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n')
}
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=authority -keyout place/ca.key -out place/ca.pem -days 90 2>/dev/null
certificate tls
certificate new
NEW_CERT=$PWD/place/new.pem
NEW_KEY=$PWD/place/new.key

one=127.0.0.1:$(free_port)
two=127.0.0.1:$(free_port)
HUB_URL=http://$one
TLS_ADDRESS=$two
for name in one two; do
  cat >units/hub-$name <<UNIT
export DATABASE_URL_FILE=$PWD/place/database-url HUB_DATABASE_OWNER_URL=\$(cat $OWNER_URL) HUB_KEYS_FILE=$PWD/place/keys.json
export HUB_PUBLIC_URL=https://hub.example HUB_DATA_DIR=$PWD/place/$name HUB_LISTEN=${!name} HUB_LOG_FORMAT=json
exec security-hub serve
UNIT
  echo "grep -q 'listening on ' hub-$name.out" >units/hub-$name.ready
done
sed -i "1i export HUB_TLS_CERT=$PWD/place/tls.pem HUB_TLS_KEY=$PWD/place/tls.key" units/hub-two
systemctl start hub-one
systemctl start hub-two

KEYS=$PWD/place/keys.toml
cat >"$KEYS" <<CONFIGURATION
state = "rotation"
servers = ["http://$one", "https://$two"]
ca = "ca.pem"
patience = "60s"
[ring]
file = "keys.json"
[database]
url_file = "database-url"
owner_url_file = "owner-url"
[tls]
cert = "tls.pem"
key = "tls.key"
name = "hub.example"
addresses = ["$two"]
CONFIGURATION

grep -oh 'she_[A-Za-z0-9_-]*' hub-one.out >place/enrolment-secret.txt
hubctl enrol --secret-file place/enrolment-secret.txt --username operator --email operator@hub.example \
  --password-file operator-password.txt
hubctl login --username operator --password-file operator-password.txt --save place/operator.token
operator() { hubctl --token-file place/operator.token "$@"; }
TOKEN=$PWD/place/operations.key
operator key create operations --save "$TOKEN" \
  --scope operations.record --scope operations.read --scope health.read --scope ledger.read
TENANT=acme
OWNER=ada
OWNER_PASSWORD=$PWD/owner-password.txt
operator tenant create acme --name Acme --username ada --email ada@acme.example --password-file owner-password.txt
OLD=$PWD/place/old.token
hubctl login --tenant acme --username ada --password-file owner-password.txt --save "$OLD"
acme() { hubctl --token-file "$OLD" "$@"; }
acme user create --username eve --email eve@acme.example --password-file owner-password.txt --role member
PERSON=$(acme --json user list | jq -r '.items[] | select(.username == "eve") | .id')
hubctl login --tenant acme --username eve --password-file owner-password.txt --save place/eve.token
id_of() { acme --json key list | jq -r --arg name "$1" '.items[] | select(.name == $name) | .id'; }
acme key create collector --scope events.ingest --save place/collector.key
acme key create forgotten --scope users.read --save place/forgotten.key
KEY=$(id_of collector)
UNUSED=$(id_of forgotten)
NEW_API_KEY=$PWD/place/collector-new.key
CHECKPOINT=$PWD/place/checkpoint.txt
acme ledger head >"$CHECKPOINT"
umask 022
