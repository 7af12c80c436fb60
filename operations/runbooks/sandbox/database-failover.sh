# shellcheck shell=bash disable=SC1091,SC2034,SC2154
# The pair of infrastructure/patroni as it is shipped: three etcd, two PostgreSQL under Patroni, HAProxy, and a hub on it. `ssh NODE` gets
# to a node's services and to its backups.
shipped=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../../../infrastructure/patroni")
pair=$PWD/pair
umask 022
mkdir -p "$pair/tls" "$pair/secrets" "$pair/state"

declare -A taken=()
own_port() {
  port=
  while [ -z "$port" ] || [ -n "${taken[$port]:-}" ] || (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
    port=$((20000 + RANDOM % 12000))
  done
  taken[$port]=yes
}
# Patroni and PostgreSQL refuse root.
as_postgres=() owner=$(id -un)
if [ "$(id -u)" = 0 ]; then
  owner=postgres
  as_postgres=(setpriv --reuid postgres --regid postgres --init-groups --)
fi
given() { chown -R "$owner" "$@"; }

# One authority, one certificate for everybody.
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }
key "$pair/tls/ca.key"
key "$pair/tls/node.key"
openssl req -x509 -new -key "$pair/tls/ca.key" -subj /CN=authority -days 30 -out "$pair/tls/ca.pem"
printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n' >"$pair/tls/names"
openssl req -new -key "$pair/tls/node.key" -subj /CN=node |
  openssl x509 -req -CA "$pair/tls/ca.pem" -CAkey "$pair/tls/ca.key" -CAcreateserial -days 30 -extfile "$pair/tls/names" -out "$pair/tls/node.pem"
curl_node() { curl -sf --cacert "$pair/tls/ca.pem" --cert "$pair/tls/node.pem" --key "$pair/tls/node.key" "$@"; }

# Waits for it.
until_it_holds() {
  local _
  for _ in {1..900}; do
    "$@" >/dev/null 2>&1 && return
    sleep 0.1
  done
  echo "in vain: $*" >&2
  tail -n 20 "$pair"/*/log "$pair"/*.log >&2
  return 1
}

# Three members of etcd, which speak of each other before anybody asks them.
names=(node-a node-b witness) clients=() peers=()
for _ in "${names[@]}"; do
  own_port && clients+=("$port")
  own_port && peers+=("$port")
done
for number in 0 1 2; do
  name=${names[number]}
  sed -e "s,ETCD_NAME=node-a,ETCD_NAME=$name," -e "s,/var/lib/etcd/security-hub,$pair/etcd-$name," -e "s,/etc/security-hub/tls,$pair/tls," \
    -e "s,node-a=https://10.0.0.11:2380,node-a=https://127.0.0.1:${peers[0]}," -e "s,10.0.0.12:2380,127.0.0.1:${peers[1]}," \
    -e "s,10.0.0.13:2380,127.0.0.1:${peers[2]}," -e "s,10.0.0.11:2379,127.0.0.1:${clients[number]}," \
    -e "s,10.0.0.11:2380,127.0.0.1:${peers[number]}," "$shipped/etcd.example.env" >"$pair/etcd-$name.env"
  # shellcheck disable=SC1090
  (set -a && . "$pair/etcd-$name.env" && exec setsid etcd >"$pair/etcd-$name.log" 2>&1 </dev/null) &
  declare "etcd_${name#node-}=$!"
done
etcd_is_one() { curl_node "https://127.0.0.1:${clients[0]}/version" | grep -q '"etcdcluster":"3\.[1-9]'; }
until_it_holds etcd_is_one

# The two nodes.
head -c 24 /dev/urandom | base64 >"$pair/patroni-password"
head -c 24 /dev/urandom | base64 >"$pair/backup-passphrase"
head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$pair/secrets/hub_owner_password"
head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$pair/secrets/hub_app_password"
cp "$shipped/roles.sh" "$pair/"
chmod 600 "$pair/tls/node.key" "$pair/backup-passphrase" "$pair/secrets"/*
given "$pair/tls" "$pair/secrets" "$pair/backup-passphrase"
programs=$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin | sort -V | tail -n 1)
for name in node-a node-b; do
  home=$pair/$name
  mkdir -p "$home/conf" "$home/run" "$home/hub"
  own_port && declare "postgres_${name#node-}=$port"
  sql=$port
  own_port && declare "api_${name#node-}=$port"
  sed -e "s/name: node-a/name: $name/" -e "s/10.0.0.11:8008/127.0.0.1:$port/" -e "s/10.0.0.11:5432/127.0.0.1:$sql/" \
    -e "s/10.0.0.11:2379/127.0.0.1:${clients[0]}/" -e "s/10.0.0.12:2379/127.0.0.1:${clients[1]}/" -e "s/10.0.0.13:2379/127.0.0.1:${clients[2]}/" \
    -e "s,/etc/security-hub/tls,$pair/tls," -e "s,/etc/patroni/security-hub,$pair,g" -e "s,/var/lib/postgresql/security-hub,$home/data," \
    -e "s,/var/lib/postgresql/patroni.pgpass,$home/pgpass," -e "s,/var/run/postgresql,$home/run," -e "s,/usr/lib/postgresql/15/bin,$programs," \
    -e "s/username: postgres/username: $owner/" "$shipped/node.example.yml" >"$home/conf/node.yml"
  cp "$shipped/patroni.yml" "$shipped/start.py" "$home/conf/"
  sed -e "s,<openssl rand -hex 24>,$(cat "$pair/patroni-password")," -e "s,/var/lib/security-hub,$home/hub," "$shipped/secrets.example.env" >"$home/env"
  sed -e "s,/var/lib/postgresql/security-hub,$home/data," -e "s,/var/run/postgresql,$home/run," -e '/^recipients/d' \
    -e "s,name = \"hub\",&\nport = $sql\nuser = \"$owner\"," -e "s,/etc/security-hub/backup-passphrase,$pair/backup-passphrase," \
    -e '/^\[repository.s3\]/,$d' "$shipped/backup.example.toml" >"$home/backup.toml"
  sed -i "s,^passphrase_file,path = \"$pair/repository\"\n&," "$home/backup.toml"
  cat >"$home/start" <<START
cd $home
set -a
. $home/env
HOME=$home
exec ${as_postgres[*]} /usr/bin/python3 -I $home/conf/start.py $home/conf
START
  given "$home"
  setsid bash "$home/start" >"$home/log" 2>&1 </dev/null &
  declare "patroni_${name#node-}=$!"
  # The first one makes the database.
  [ "$name" = node-b ] || until_it_holds curl_node "https://127.0.0.1:$port/primary"
done
until_it_holds curl_node "https://127.0.0.1:$api_b/synchronous"

own_port
export DB_BIND=127.0.0.1:$port DB_CA=$pair/tls/ca.pem
export DB_A=127.0.0.1:$postgres_a DB_B=127.0.0.1:$postgres_b DB_A_PATRONI=$api_a DB_B_PATRONI=$api_b
setsid haproxy -db -f "$shipped/haproxy.cfg" >"$pair/haproxy.log" 2>&1 </dev/null &
url() { echo "postgres://$1:$(cat "$pair/secrets/$1_password")@$DB_BIND/hub?sslmode=verify-ca&sslrootcert=$DB_CA"; }
DATABASE_URL=$(url hub_app)
HUB_DATABASE_OWNER_URL=$(url hub_owner)
export DATABASE_URL HUB_DATABASE_OWNER_URL
until_it_holds psql -qXAt -d "$HUB_DATABASE_OWNER_URL" -c 'select 1'

. "$(dirname "${BASH_SOURCE[0]}")/default.sh"

# What `ssh NODE …` does on a host: its Patroni is a service there, its backups have their own configuration.
cat >bin/ssh <<'SHIM'
#!/usr/bin/env bash
set -eu
node=$1 place=$(dirname "${BASH_SOURCE[0]}")/..
shift
case $1 in
  systemctl) exec systemctl "$2" "$3-$node" ;;
  hubctl)
    set -- "${@/#\/etc\/security-hub/$place/pair/$node}"
    exec "${@/#\/var\/lib\/security-hub/$place/pair/$node/hub}"
    ;;
  journalctl) exec tail -n 20 "$place/pair/$node/log" ;;
  *) echo "the sandbox does no $1 on $node" >&2; exit 1 ;;
esac
SHIM
chmod 755 bin/ssh
for name in node-a node-b; do
  echo "exec bash $pair/$name/start >>$pair/$name/log 2>&1" >"units/patroni-$name"
  process=patroni_${name#node-}
  echo "${!process}" >"units/patroni-$name.pid"
done
for name in "${names[@]}"; do
  echo "set -a; . $pair/etcd-$name.env; exec etcd >>$pair/etcd-$name.log 2>&1" >"units/etcd-$name"
  process=etcd_${name#node-}
  echo "${!process}" >"units/etcd-$name.pid"
done

TOKEN=$PWD/operations.key
# Who leads once the two have changed places.
AWAY=node-b
hubctl --token-file operator.token key create operations --scope operations.record --save "$TOKEN"
HUB_PAIR_CONFIG=$pair/pair.toml
sed -e "s/10.0.0.11:8008/127.0.0.1:$api_a/" -e "s/10.0.0.12:8008/127.0.0.1:$api_b/" -e "s,/etc/security-hub/tls,$pair/tls," \
  -e "s,/etc/security-hub/patroni-password,$pair/patroni-password," -e "s,/var/lib/security-hub/pair,$pair/state," \
  "$shipped/pair.example.toml" >"$HUB_PAIR_CONFIG"
unset taken names clients peers as_postgres process home sql port
