#!/usr/bin/env bash
# Plays a container engine and its compose tool for the test beside it: the command lines are theirs, an "image" is a
# program under images/ by its digest, and a "container" is a real server. `make verify-image` does the same with podman.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
printf '%s\n' "$*" >>"$here/asked"
fail() {
  printf 'Error: %s\n' "$1" >&2
  exit "${2:-125}"
}
[ ! -e "$here/engine-down" ] || fail 'cannot connect to the engine: connection refused'

# Whether the container's program runs; one that ended and was not waited for is dead all the same.
runs() {
  local state
  state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$(cat "$1/pid")/status" 2>/dev/null) || return 1
  [[ $state != [XZ] ]]
}
end() { # container, signal
  kill "-$2" "$(cat "$1/pid")" 2>/dev/null || true
}

# A container has the variables of its service and no others.
start() { # image, verb and arguments…
  local program variables
  program=$here/images/${1##*@sha256:}/security-hub
  [ -x "$program" ] || fail "$1: image not known"
  mapfile -t variables <"$here/hub.env"
  shift
  exec env -i PATH="$PATH" "${variables[@]}" "$program" "$@"
}

compose() {
  local profile=
  while [ "$#" -gt 0 ]; do
    case $1 in
      --env-file | --file) [ -r "$2" ] || fail "cannot read $2" 14; shift 2 ;;
      --profile) profile=$2; shift 2 ;;
      *) break ;;
    esac
  done
  case "$profile $*" in
    'migrate run --rm --no-deps -T migrate migrate --plan') start "$HUB_MIGRATE_IMAGE" migrate --plan ;;
    'migrate run --rm --no-deps -T migrate') start "$HUB_MIGRATE_IMAGE" migrate ;;
    'blue up --detach --no-deps hub-blue') up blue "$HUB_BLUE_IMAGE" "$HUB_BLUE_RELEASE" ;;
    'green up --detach --no-deps hub-green') up green "$HUB_GREEN_IMAGE" "$HUB_GREEN_RELEASE" ;;
    *) fail "unknown command: $profile $*" 2 ;;
  esac
}

up() { # colour, image, release
  local container=$here/containers/security-hub-$1
  mkdir "$container" 2>/dev/null || fail "the name security-hub-$1 is in use"
  printf '%s' "$3" >"$container/release"
  (start "$2" serve --listen "$(cat "$here/$1")") </dev/null >>"$here/state/$1.log" 2>&1 &
  printf '%s' "$!" >"$container/pid"
}

container=$here/containers/${!#}
case "$1 ${2:-} ${3:-}" in
  'compose '*) shift && compose "$@" ;;
  'inspect --type container')
    [ -d "$container" ] || fail "no such container: ${!#}"
    if runs "$container"; then state=true; else state=false; fi
    case $5 in
      '{{.RestartCount}}') cat "$container/restarts" 2>/dev/null || echo 0 ;;
      *) printf '%s %s\n' "$state" "$(cat "$container/release")" ;;
    esac
    ;;
  'stop --time '*)
    left=$(($3 * 20))
    end "$container" TERM
    while runs "$container" && [ "$left" -gt 0 ]; do
      sleep 0.05
      left=$((left - 1))
    done
    end "$container" KILL
    ;;
  'rm --force '*)
    [ -d "$container" ] || fail "No such container: ${!#}" 1
    end "$container" KILL
    rm -r "$container"
    ;;
  *) fail "unknown command: $*" 2 ;;
esac
