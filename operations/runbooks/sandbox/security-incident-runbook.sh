# shellcheck shell=bash disable=SC1091,SC2034,SC2154
# A tenant that was attacked a moment ago: one address guessed the passwords of many, and was shut out; its accomplice got in with a
# person's password, took another's session along and has one of the keys.
. "$(dirname "${BASH_SOURCE[0]}")/default.sh"
TOKEN=responder.key
CASE=$PWD/case
ADDRESS=127.66.0.10

acme() { hubctl --token-file owner.token "$@"; }
for name in eve mia; do
  acme user create --username $name --email $name@acme.example --password-file owner-password.txt --role member
done
person() { acme --json user list | jq -r --arg name "$1" '.items[] | select(.username == $name) | .id'; }
ACCOUNT=$(person eve)
SESSIONS_OF=$(person mia)
acme key create collector --scope events.ingest --save collector.key
KEY=$(acme --json key list | jq -r '.items[] | select(.name == "collector") | .id')
responder=(incidents.read incidents.respond findings.read events.read blocks.read ledger.read users.read users.lock
  sessions.read sessions.revoke api_keys.read api_keys.revoke holds.read holds.update)
acme key create responder "${responder[@]/#/--scope=}" --save "$TOKEN"
LEDGER_KEY=$(printf 'Authorization: Bearer %s' "$(cat "$TOKEN")" | curl -fsS -H @- "$HUB_URL/api/v2/ledger/key" | jq -r .key)

# Passwords by standard input: no command line shows them.
sign_in() {
  jq -n --arg name "$2" --rawfile password "$3" '{tenant: "acme", username: $name, password: ($password | rtrimstr("\n"))}' |
    curl -sS -o /dev/null --interface "$1" --json @- "$HUB_URL/api/v2/login"
}
sign_in "$ADDRESS" eve owner-password.txt
sign_in "$ADDRESS" mia owner-password.txt
echo 'Winter2026! guess' >guess.txt
for number in {1..12}; do sign_in 127.66.0.9 "user$number" guess.txt; done
INCIDENT=
for _ in {1..600}; do
  INCIDENT=$(acme --json incident list | jq -r '.items[] | select(.contained_at != null) | .id')
  [ -n "$INCIDENT" ] && break
  sleep 0.05
done
ACTION=$(acme --json incident show "$INCIDENT" | jq -r '.actions[] | select(.kind == "block_address") | .id')
