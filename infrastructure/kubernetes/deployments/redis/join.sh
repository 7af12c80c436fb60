#!/bin/sh
# Makes six nodes one cluster: three primaries, a replica each. Run again and again, it looks; and where all of them came back at
# other addresses it introduces them anew, for they know each other by addresses and not by names.
set -eu
ask() { redis-cli --tls --cacert /run/secrets/tls/ca.crt --user admin --no-auth-warning "$@"; }
REDISCLI_AUTH=$(cat /run/secrets/redis/admin-password)
export REDISCLI_AUTH
# A name's address now: `CLUSTER MEET`, which `--cluster create` uses too, takes no names.
address() { getent hosts "redis-$1.redis-nodes.security-hub-data.svc.cluster.local" | awk '{print $1; exit}'; }
whole() { # every node says so, of six
  for node in $all; do
    ask -h "$node" cluster info | tr -d '\r' | grep -q '^cluster_state:ok' || return 1
    [ "$(ask -h "$node" cluster nodes | grep -c ' connected')" -eq 6 ] || return 1
  done
}
all=""
for number in 0 1 2 3 4 5; do
  tries=0
  until node=$(address "$number") && [ -n "$node" ] && [ "$(ask -h "$node" ping 2>/dev/null)" = PONG ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 120 ] || { echo "redis: node $number does not answer" >&2; exit 1; }
    sleep 1
  done
  all="$all $node"
done
if whole; then
  echo "redis: the cluster is there"
  exit 0
fi
first=${all# }
first=${first%% *}
known=0
for node in $all; do
  knows=$(ask -h "$node" cluster info | tr -d '\r' | sed -n 's/^cluster_known_nodes://p')
  [ "$knows" -le "$known" ] || known=$knows
done
if [ "$known" -le 1 ]; then
  pairs=""
  for node in $all; do pairs="$pairs $node:6379"; done
  # shellcheck disable=SC2086 # the list is meant to fall apart into words
  ask --cluster create $pairs --cluster-replicas 1 --cluster-yes
else
  for node in $all; do
    [ "$node" = "$first" ] || ask -h "$first" cluster meet "$node" 6379
  done
fi
tries=0
until whole; do
  tries=$((tries + 1))
  [ "$tries" -lt 60 ] || { echo "redis: the nodes do not find each other" >&2; exit 1; }
  sleep 1
done
echo "redis: the cluster is whole"
