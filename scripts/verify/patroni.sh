#!/usr/bin/env bash
# Checks infrastructure/patroni: the alert rules with their tests, HAProxy's and Patroni's own checks of their files, the shell.
# That it works is proven by the tests (tests/tests/e2e/ha) and `make bench-failover`.
set -euo pipefail
cd "$(dirname "$0")/../../infrastructure/patroni"

fail() {
  printf 'patroni: %s\n' "$*" >&2
  exit 1
}
promtool check rules alerts/*.rules.yml || fail "a rule"
(cd alerts/tests && promtool test rules ./*.test.yml) || fail "a rule's test failed"
shellcheck roles.sh || fail "roles.sh"
python3 -I -c 'import ast, sys; ast.parse(open(sys.argv[1]).read(), sys.argv[1])' start.py || fail "start.py"
# HAProxy wants the authority's file to be there.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=test -days 2 -keyout "$work/key" -out "$work/ca.pem" 2>/dev/null
DB_BIND=127.0.0.1:5432 DB_A=10.0.0.11:5432 DB_B=10.0.0.12:5432 DB_A_PATRONI=8008 DB_B_PATRONI=8008 DB_CA="$work/ca.pem" \
  haproxy -q -c -f haproxy.cfg || fail "haproxy.cfg"
# Each file of the folder is YAML, and together they name what Patroni cannot start without.
python3 - patroni.yml node.example.yml <<'PYTHON' || fail "patroni.yml, node.example.yml"
import sys, yaml
cluster, node = (yaml.safe_load(open(name)) for name in sys.argv[1:])
dcs = cluster["bootstrap"]["dcs"]
assert dcs["ttl"] >= dcs["loop_wait"] + 2 * dcs["retry_timeout"], "ttl is too short"
assert dcs["synchronous_mode"] is True and dcs["postgresql"]["parameters"]["synchronous_commit"] == "on"
assert all(line.split()[0] in ("local", "hostssl") for line in cluster["postgresql"]["pg_hba"]), "pg_hba: without TLS"
assert {"name", "restapi", "etcd3", "postgresql"} <= node.keys()
PYTHON
echo "patroni: good"
