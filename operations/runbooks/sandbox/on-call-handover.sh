# shellcheck shell=bash disable=SC1091,SC2034,SC2154
# A watched place at the end of a shift: a backup, a run of a runbook that is half done, a certificate before the hub.
. "$(dirname "${BASH_SOURCE[0]}")/watched.sh"
DATA=$HUB_DATA_DIR
FROM=ada
NEXT=ben
SINCE=$(date -u -d '8 hours ago' +%Y-%m-%dT%H:%M:%SZ)
NOTE=$PWD/handover.md
DEPLOY=$PWD/place/deploy.toml
TOKEN=$PWD/oncall.key
hubctl --token-file deploys.token key create oncall --scope operations.read --scope operations.record --scope incidents.read --scope ledger.read --save "$TOKEN"
hubctl backup run --data-dir "$DATA" --recovery-key recovery.key --token-file "$TOKEN"

export HUB_RUNBOOK_STATE=$PWD/runs
mkdir books
cat >books/errand.md <<'BOOK'
---
purpose: Something that takes longer than a shift.
severity: low
roles: [on-call]
time_limit: 1h
---
# Errand

## 1. Wait

Until it is over.

## Checks

- [ ] It is over.

## Roll back

Nothing was changed.
BOOK
echo quit >quit.txt
# It says with 5 that it waits.
hubctl runbook run errand --dir books --as "$FROM" --answers quit.txt || [ $? = 5 ]
RUN=$(hubctl --json runbook report | jq -r '.items[0].id')

HUB_KEYS_CONFIG=$PWD/keys.toml
printf 'state = "rotation"\nservers = ["%s"]\n[ring]\nfile = "place/keys.json"\n' "$HUB_URL" >keys.toml
NAME=hub.example
ADDRESS=127.0.0.1:$(free_port)
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout tls.key -out tls.pem -days 90 -subj "/CN=$NAME" 2>openssl.txt
echo "exec openssl s_server -quiet -accept $ADDRESS -cert $PWD/tls.pem -key $PWD/tls.key" >units/edge
echo "openssl s_client -connect $ADDRESS </dev/null" >units/edge.ready
systemctl start edge
