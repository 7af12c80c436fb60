#!/usr/bin/env bash
# The shipped Redis Cluster's join.sh with six real nodes: it makes the cluster, leaves it alone when run again, and finds it again
# when all nodes came back at other addresses. Stand-ins: names that resolve to loopback addresses, and a client without TLS.
set -euo pipefail
cd "$(dirname "$0")/../.."
join=$PWD/infrastructure/kubernetes/deployments/redis/join.sh
command -v redis-server >/dev/null || { printf 'redis-join: redis-server is missing: apt-get install redis-server\n' >&2; exit 1; }
work=$(mktemp -d)
started=()
finish() {
  [ "${#started[@]}" -eq 0 ] || kill "${started[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT
mkdir "$work/bin"
real=$(command -v redis-cli)
cat >"$work/bin/getent" <<SH
#!/bin/sh
number=\${2#redis-}
echo "127.\$(cat "$work/net").0.1\${number%%.*} \$2"
SH
cat >"$work/bin/redis-cli" <<SH
#!/bin/sh
[ "\$1 \$2" = "--tls --cacert" ] && shift 6
unset REDISCLI_AUTH; exec "$real" "\$@"
SH
chmod +x "$work"/bin/*
# What the script reads lies elsewhere here.
printf 'planted\n' >"$work/admin-password"
sed "s|/run/secrets/redis/|$work/|" "$join" >"$work/join.sh"
start() { # the second part of their addresses
  printf '%s\n' "$1" >"$work/net"
  for number in 0 1 2 3 4 5; do
    mkdir -p "$work/$number"
    redis-server --bind "127.$1.0.1$number" --bind-source-addr "127.$1.0.1$number" --port 6379 --dir "$work/$number" --cluster-enabled yes --cluster-config-file nodes.conf \
      --cluster-node-timeout 2000 --cluster-announce-hostname "redis-$number.redis-nodes" --save '' --appendonly yes --protected-mode no \
      >"$work/$number/log" 2>&1 &
    started+=($!)
  done
}
stop() {
  kill "${started[@]}"
  wait "${started[@]}" 2>/dev/null || true
  started=()
}
joined() { PATH=$work/bin:$PATH sh "$work/join.sh" >"$work/said" 2>&1 || { cat "$work/said" >&2; printf 'redis-join: %s\n' "$1" >&2; exit 1; }; }
said() { grep -q "$1" "$work/said" || { cat "$work/said" >&2; printf 'redis-join: does not say: %s\n' "$1" >&2; exit 1; }; }
start 71
joined 'does not make a cluster' && said 'the cluster is whole'
"$real" -c -h 127.71.0.10 set kept yes >/dev/null
joined 'does not look' && said 'the cluster is there'
# All at once, elsewhere.
stop
start 72
joined 'does not find them again' && said 'the cluster is whole'
[ "$("$real" -c -h 127.72.0.10 get kept)" = yes ] || { printf 'redis-join: what was in it is gone\n' >&2; exit 1; }
printf 'redis-join: made, left alone, found again at other addresses\n'
