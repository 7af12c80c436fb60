# shellcheck shell=bash disable=SC1091,SC2034,SC2154
# A tenant with people and a key.
. "$(dirname "${BASH_SOURCE[0]}")/default.sh"
TENANT=acme
TOKEN=operator.token
OWNER_TOKEN=owner.token
DATA=$HUB_DATA_DIR
OUT=$PWD/acme-leaves
hubctl --token-file owner.token user create --username eve --email eve@acme.example --password-file owner-password.txt --role member
hubctl --token-file owner.token key create collector --scope events.ingest --save collector.key
