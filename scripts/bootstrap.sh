#!/usr/bin/env bash
# Installs what building and running needs (`bootstrap.sh`), what the tests need as well (`bootstrap.sh test`), and what
# the proofs of the infrastructure need on top (`bootstrap.sh verify`), with apt and cargo only. Skips what is there; says what it does. `--check` changes nothing and exits 1 if
# something is missing.
set -euo pipefail

want=run
check=no
for argument in "$@"; do
  case "$argument" in
    run | test | verify) want=$argument ;;
    --check) check=yes ;;
    -h | --help)
      printf 'usage: %s [run|test|verify] [--check]\n' "$0"
      exit 0
      ;;
    *)
      printf 'bootstrap: unknown argument %s (expected run, test, verify or --check)\n' "$argument" >&2
      exit 2
      ;;
  esac
done

say() { printf 'bootstrap: %s\n' "$*"; }
fail() {
  printf 'bootstrap: %s\n' "$*" >&2
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# The newest installed PostgreSQL server's major version, 0 if none.
postgres_major() {
  local newest=0 program major
  for program in "$(command -v postgres || true)" /usr/lib/postgresql/*/bin/postgres; do
    [ -x "$program" ] || continue
    [ -x "$(dirname "$program")/initdb" ] || continue
    major=$("$program" --version | sed -n 's/^[^)]*) \([0-9]*\).*/\1/p')
    [ -n "$major" ] && [ "$major" -gt "$newest" ] && newest=$major
  done
  printf '%s\n' "$newest"
}

packages=()   # of apt
tools=()      # of cargo
need() { # program package...
  local program=$1
  shift
  have "$program" || packages+=("$@")
}

# aws-lc-rs builds C with a C compiler; cmake only where no pre-generated bindings exist.
need cc build-essential
need make build-essential
need cmake cmake
need pkg-config pkg-config
[ -e /etc/ssl/certs/ca-certificates.crt ] || packages+=(ca-certificates)
[ "$(postgres_major)" -ge 15 ] || packages+=(postgresql)
if [ "$want" != run ]; then
  need git git
  need shellcheck shellcheck
  need curl curl
  need openssl openssl
  need jq jq
  need redis-server redis-server
  need haproxy haproxy
  need pgbackrest pgbackrest
  need faketime faketime
  need chattr e2fsprogs
  need prometheus prometheus
  need prometheus-alertmanager prometheus-alertmanager
  need patroni patroni
  need etcd etcd-server
  need chromium chromium
  need chromedriver chromium-driver
  have cargo-nextest || tools+=(cargo-nextest)
  have cargo-deny || tools+=(cargo-deny)
fi
if [ "$want" = verify ]; then
  need python3 python3-venv
  need npm npm
  need java default-jre-headless
  need file file
  need buildah buildah
  # crun does not run everywhere; without iptables the containers have no network.
  need podman podman runc iptables catatonit netavark aardvark-dns fuse-overlayfs
  need runc runc
  need promtool prometheus
  need amtool prometheus-alertmanager
fi

if [ "${#packages[@]}" -gt 0 ]; then
  mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)
fi
if ! have cargo && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
  PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
fi
have cargo || fail 'Rust is not installed: see https://rustup.rs, then run this again'

if [ "${#packages[@]}" -eq 0 ] && [ "${#tools[@]}" -eq 0 ]; then
  say "everything for \`$want\` is here"
  exit 0
fi
if [ "$check" = yes ]; then
  [ "${#packages[@]}" -eq 0 ] || say "missing packages: ${packages[*]}"
  [ "${#tools[@]}" -eq 0 ] || say "missing cargo tools: ${tools[*]}"
  exit 1
fi

if [ "${#packages[@]}" -gt 0 ]; then
  have apt-get || fail "this machine has no apt-get; install by hand: ${packages[*]}"
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    have sudo || fail "neither root nor sudo here; as root: apt-get install ${packages[*]}"
    as_root=(sudo)
  fi
  say "installing with apt: ${packages[*]}"
  # The distribution's own cluster is not needed: the hub makes its own. So none is created if none is there.
  if printf '%s\n' "${packages[@]}" | grep -qx postgresql && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    "${as_root[@]}" mkdir -p /etc/postgresql-common
    printf 'create_main_cluster = false\n' |
      "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
  fi
  # Tests start what they need themselves: what is installed now is not started, neither at once nor with the machine.
  policy=/usr/sbin/policy-rc.d
  idle=()
  for package in etcd-server patroni; do
    if printf '%s\n' "${packages[@]}" | grep -qx "$package"; then idle+=("${package%-server}.service"); fi
  done
  made_policy=no
  if [ "${#idle[@]}" -gt 0 ] && [ ! -e "$policy" ]; then
    made_policy=yes
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
  fi
  "${as_root[@]}" apt-get -o Acquire::Retries=3 update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    -o Acquire::Retries=3 -o Dpkg::Options::=--force-confold "${packages[@]}"
  if [ "$made_policy" = yes ]; then
    "${as_root[@]}" rm -f "$policy"
    trap - EXIT
  fi
  if [ "${#idle[@]}" -gt 0 ] && have systemctl; then "${as_root[@]}" systemctl --quiet disable "${idle[@]}"; fi
fi

for tool in "${tools[@]}"; do
  say "building $tool with cargo (once; a minute or two)"
  # Their own release profiles optimise over all crates at once: cargo-deny takes minutes more to build, to save seven
  # seconds of a check.
  CARGO_PROFILE_DEV_DEBUG=0 cargo install --locked --quiet --debug "$tool"
done

[ "$(postgres_major)" -ge 15 ] ||
  fail "PostgreSQL $(postgres_major) is too old: install 15 or newer (Debian 12 and later have it)"
say "everything for \`$want\` is here now"
