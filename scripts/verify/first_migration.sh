#!/usr/bin/env bash
# first_migration.sh PYTHON: a new database as CloudNativePG makes it (postgresql-cluster.yaml) and one as the databases' README has it made
# in the cloud; all migrations in each, as hub_owner, who is an ordinary role there. PYTHON: one that has ruamel.yaml.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${1:?usage: first_migration.sh PYTHON}
bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -1)
[ -x "$bin/initdb" ] || { printf 'first-migration: PostgreSQL is missing: apt-get install postgresql\n' >&2; exit 1; }
work=$(mktemp -d)
# The server refuses to run as root.
as=()
if [ "$(id -u)" -eq 0 ]; then
  chown nobody "$work"
  as=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
fi
finish() {
  "${as[@]}" "$bin/pg_ctl" --silent --pgdata "$work/data" --mode immediate stop >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap finish EXIT
"${as[@]}" "$bin/initdb" --pgdata "$work/data" --username postgres --auth trust --no-sync >/dev/null
"${as[@]}" "$bin/pg_ctl" --silent --wait --pgdata "$work/data" --log "$work/log" \
  --options "-c listen_addresses='' -c unix_socket_directories=$work -c fsync=off" start >/dev/null
psql() { "$bin/psql" --no-psqlrc --quiet --set ON_ERROR_STOP=1 --host "$work" "$@" >/dev/null; }
migrate() { # where
  local file
  for file in migrations/*.up.sql; do
    PGOPTIONS='-c client_min_messages=warning' psql --username hub_owner --dbname security_hub --single-transaction --file "$file" ||
      { printf 'first-migration: %s: %s fails\n' "$1" "$file" >&2; return 1; }
  done
  printf 'first-migration: %s: %d migrations as hub_owner\n' "$1" "$(find migrations -name '*.up.sql' | wc -l)"
}

# The operator: the owner, his database, and what the cluster says besides, as the superuser.
psql --username postgres --command 'create role hub_owner login' --command 'create database security_hub owner hub_owner'
"$python" - <<'PY' >"$work/first.sql"
from ruamel.yaml import YAML
for document in YAML(typ="safe").load_all(open("infrastructure/kubernetes/deployments/postgresql-cluster.yaml")):
    if document["kind"] == "Cluster":
        for line in document["spec"]["bootstrap"]["initdb"].get("postInitApplicationSQL", []):
            print(f"{line};")
PY
psql --username postgres --dbname security_hub --file "$work/first.sql"
migrate 'in the cluster'

# The cloud: its administrator is no superuser, and made the database.
psql --username postgres --command 'drop database security_hub' --command 'drop role hub_app' --command 'drop role hub_owner' \
  --command 'create role hub_admin login createrole createdb'
psql --username hub_admin --dbname postgres --command 'create database security_hub'
grep -E '^    (create|grant|alter) ' infrastructure/terraform/modules/databases/README.md >"$work/cloud.sql"
psql --username hub_admin --dbname security_hub --file "$work/cloud.sql"
migrate 'in the cloud'
