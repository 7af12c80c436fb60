#!/bin/sh
# Makes six nodes one cluster, once: three primaries, a replica each. Run again, it only looks.
set -eu
ask() { redis-cli --tls --cacert /run/secrets/tls/ca.crt --user admin --no-auth-warning "$@"; }
REDISCLI_AUTH=$(cat /run/secrets/redis/admin-password)
export REDISCLI_AUTH
node() { printf 'redis-%s.redis-nodes.security-hub-data.svc.cluster.local' "$1"; }
nodes=""
for number in 0 1 2 3 4 5; do
  tries=0
  until [ "$(ask -h "$(node "$number")" ping 2>/dev/null)" = PONG ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 120 ] || { echo "redis: node $number does not answer" >&2; exit 1; }
    sleep 1
  done
  nodes="$nodes $(node "$number"):6379"
done
if ask -h "$(node 0)" cluster info | grep -q '^cluster_state:ok'; then
  echo "redis: the cluster is there"
  exit 0
fi
# shellcheck disable=SC2086 # the list is meant to fall apart into words
ask --cluster create $nodes --cluster-replicas 1 --cluster-yes
