# shellcheck shell=bash disable=SC1091,SC2034,SC2154
# The place of the deployment runbook, watched by a real Prometheus with the shipped rules, which looks more often than it would.
. "$(dirname "${BASH_SOURCE[0]}")/place.sh"

shipped=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../../../infrastructure/kubernetes/monitoring/prometheus")
hubctl --token-file deploys.token key create prometheus --scope health.read --save metrics.key
mkdir watch
for rules in slo hub backup; do sed 's/interval: 30s/interval: 1s/' "$shipped/$rules.rules.yml" >watch/$rules.rules.yml; done
cat >watch/prometheus.yml <<CONFIGURATION
global: {scrape_interval: 500ms, evaluation_interval: 1s}
rule_files: [$PWD/watch/*.rules.yml]
scrape_configs:
  - job_name: security-hub
    authorization: {credentials_file: $PWD/metrics.key}
    static_configs:
      - {targets: ["127.0.0.1:$blue"], labels: {colour: blue}}
      - {targets: ["127.0.0.1:$green"], labels: {colour: green}}
CONFIGURATION
PROMETHEUS=http://127.0.0.1:$(free_port)
cat >units/prometheus <<UNIT
exec prometheus --config.file=$PWD/watch/prometheus.yml --storage.tsdb.path=$PWD/watch/data --web.listen-address=${PROMETHEUS#http://}
UNIT
known() { curl -fsS "$PROMETHEUS/api/v1/query" --data-urlencode "query=$1" 2>/dev/null | jq -e '.data.result | length > 0' >/dev/null; }
cat >units/prometheus.ready <<UNIT
curl -fsS $PROMETHEUS/-/ready
UNIT
# Until it holds what is asked for.
until_known() {
  for _ in {1..300}; do
    known "$1" && return
    sleep 0.1
  done
  echo "Prometheus never came to know: $1" >&2
  return 1
}
systemctl start prometheus
until_known 'hub_requests_total > 0'
METRICS=$PWD/metrics.key
