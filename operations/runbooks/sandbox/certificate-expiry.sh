# shellcheck shell=bash disable=SC1091,SC2034,SC2154
# A hub that serves with TLS, whose certificate ends in two days, and an authority that has issued the next one.
. "$(dirname "${BASH_SOURCE[0]}")/default.sh"
NAME=hub.example
TOKEN=$PWD/operations.key
NEW_KEY=$PWD/new.key
NEW_CERT=$PWD/new.pem
OTHERS="$PWD/ca.pem $PWD/used.pem"
hubctl --token-file operator.token key create operations --scope health.read --scope operations.record --save "$TOKEN"

key() { (umask 077 && openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"); }
key ca.key
openssl req -x509 -new -key ca.key -subj "/CN=authority" -days 3650 -out ca.pem
# For so many days.
issue() {
  [ -s "$1.key" ] || key "$1.key"
  openssl req -new -key "$1.key" -subj "/CN=$NAME" -out "$1.request"
  printf 'subjectAltName=DNS:%s,IP:127.0.0.1\nbasicConstraints=CA:false\n' "$NAME" >names
  openssl x509 -req -in "$1.request" -CA ca.pem -CAkey ca.key -CAcreateserial -days "$2" -extfile names -out "$1.pem"
}
issue used 2
issue new 90

ADDRESS=${HUB_URL#http://}
# What trusts our authority here: `hubctl`, `curl`.
export HUB_TLS_CERT=$PWD/used.pem HUB_TLS_KEY=$PWD/used.key SSL_CERT_FILE=$PWD/ca.pem CURL_CA_BUNDLE=$PWD/ca.pem
systemctl restart security-hub
HUB_URL=https://$ADDRESS
HUB_KEYS_CONFIG=$PWD/keys.toml
cat >"$HUB_KEYS_CONFIG" <<CONFIGURATION
state = "rotation"
servers = ["$HUB_URL"]
ca = "ca.pem"
patience = "20s"
[ring]
file = "$HUB_DATA_DIR/keys.json"
[tls]
cert = "used.pem"
key = "used.key"
name = "$NAME"
addresses = ["$ADDRESS"]
least_left = "30d"
CONFIGURATION
