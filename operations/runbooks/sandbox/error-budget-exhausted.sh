# shellcheck shell=bash disable=SC1091,SC2034,SC2154
# A place whose database was away for a while, so that requests failed and the budget is spent. Two people agreed to the next release.
. "$(dirname "${BASH_SOURCE[0]}")/watched.sh"
cat >>place/deploy.toml <<CONFIGURATION

[gates.budget]
prometheus = "$PROMETHEUS"
query = "1 - hub:request_errors:ratio_3d / 0.001"
least = 0.1
CONFIGURATION
hubctl release approve 1.1.0 --for production --named ben --key ben.key
DEPLOY=$PWD/place/deploy.toml
hubctl --token-file deploys.token key create oncall --scope operations.record --scope operations.read --scope incidents.read --save oncall.key
TOKEN=$PWD/oncall.key
UNTIL=$(date -u -d '7 days' +%Y-%m-%dT%H:%M:%SZ)
WHY='error budget spent'
away() {
  psql -qAt -U hub_root -d postgres -h "$socket" -c "alter database deploys with allow_connections $1" \
    -c "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'deploys' and usename = 'hub_app' and not $1" >away.txt
}
printf 'Authorization: Bearer %s' "$(cat "$TOKEN")" >header.txt
# Twice: the first errors that are counted are where counting begins.
for _ in 1 2; do
  away false
  for _ in {1..10}; do curl -sS -o called.txt -H @header.txt "$HUB_URL/api/v2/incidents"; done
  away true
  hubctl health --wait 30s
  until_known 'hub_requests_total{status=~"5.."} > 0'
done
until_known 'hub:request_errors:ratio_3d > 0.01'
