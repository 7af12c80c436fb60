#!/usr/bin/env bash
# Part of make verify-pipelines: scripts/ci/bore.sh says only what is so, and `make release` for production takes nothing else. With
# stand-ins for cosign, cargo, hubctl and what tells the materials.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/verify/tools.sh
. scripts/verify/tools.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin" "$work/tree/scripts" "$work/tree/dist/release"
cp -r scripts/ci scripts/pipeline "$work/tree/scripts/"
for tool in cosign hubctl; do
  # shellcheck disable=SC2016
  printf '#!/bin/sh\nprintf "%%s\\n" "%s $*" >>"$SEEN"\ncase $1 in login) cat >/dev/null ;; esac\n' "$tool" >"$work/bin/$tool"
done
chmod +x "$work"/bin/*
export PATH="$work/bin:$PATH" SEEN="$work/seen"
unset GITHUB_ACTIONS GITHUB_OUTPUT ENVIRONMENT COSIGN_KEY
: >"$SEEN"
cd "$work/tree"
git init --quiet . && git -c user.name=a -c user.email=a@example.org commit --quiet --allow-empty -m a
printf 'planted\n' >dist/release/release.note

IMAGE=registry.example.org/hub@sha256:$(printf %064d 7)
export IMAGE REGISTRY_USER=u REGISTRY_PASSWORD=planted
printf '%s\n' "$IMAGE" >dist/release/image
kept=$(sha256sum dist/release/release.note | cut -c1-16)
record() { # kind outcome folder unfinished
  printf '{"unfinished": %s, "history": [{"id": "1", "kind": "%s", "outcome": "%s", "ended": "2026-01-01T00:00:00Z",
    "to": {"dir": "/var/lib/security-hub-deploy/releases/%s", "name": "1"}}]}' "$4" "$1" "$2" "$3" >dist/record.json
}
refused() { if scripts/ci/bore.sh 2>/dev/null; then tool_fail "bore.sh: takes $1"; fi; }
record deploy rolled_back "staging/$kept" null && refused 'what took itself back'
record rollback deployed "staging/$kept" null && refused 'what was taken back'
record deploy deployed staging/0000000000000000 null && refused 'another release'
record deploy deployed "production/$kept" null && refused 'another place'
record deploy deployed "staging/$kept" '{}' && refused 'what is not over'
record deploy deployed "staging/$kept" null
IMAGE=${IMAGE%7}8 refused 'another image'
if grep -q '^cosign attest .*bore.sh' "$SEEN"; then tool_fail 'bore.sh attests what it refuses'; fi
scripts/ci/bore.sh
grep -q "^cosign attest --yes --predicate .* --type https://.*/bore.sh $IMAGE\$" "$SEEN" || tool_fail 'bore.sh attests nothing'

# The release itself, with stand-ins for what builds; cosign says what was said of which image.
mkdir scripts/image
printf '#!/bin/sh\necho "{}"\n' >scripts/image/sbom.sh
# Whoever seals may install nothing: no `make`, whose verbs do.
printf '#!/bin/sh\nexit 1\n' >"$work/bin/make"
# shellcheck disable=SC2016
printf '#!/bin/sh\ncase "$1" in audit) echo "{}" ;; test) [ -z "${LINTED:-}" ] || echo "{}" >"$HUB_MIGRATIONS_REPORT" ;; esac\n' >"$work/bin/cargo"
# shellcheck disable=SC2016
printf '#!/bin/sh\ncase "$1" in verify-attestation) cat "$SAID" ;; esac\n' >"$work/bin/cosign"
chmod +x "$work"/bin/* scripts/image/sbom.sh
printf '[workspace.package]\nversion = "1.0.0"\n\n' >Cargo.toml
said() { # environment outcome image
  printf '{"predicate": {"environment": "%s", "outcome": "%s", "image": "%s"}, "subject": [{"digest": {"sha256": "%s"}}]}' \
    "$1" "$2" "$3" "${3##*:}" | base64 -w0 | sed 's/.*/{"payload": "&"}\n/' >"$SAID"
}
export ENVIRONMENT=production COSIGN_KEY=public SAID="$work/said" RELEASE_KEY=none LINTED=yes
sealed() { scripts/pipeline/release.sh >"$work/release.log" 2>&1; }
: >"$SAID" && if sealed; then tool_fail 'release.sh: production takes what staging never had'; fi
said staging deployed "${IMAGE%7}8" && if sealed; then tool_fail 'release.sh: production takes what is said of another image'; fi
said staging rolled_back "$IMAGE" && if sealed; then tool_fail 'release.sh: production takes what staging gave back'; fi
said development deployed "$IMAGE" && if sealed; then tool_fail 'release.sh: production takes what another place bore'; fi
said staging deployed "$IMAGE" && { sealed || { cat "$work/release.log"; tool_fail 'release.sh: production refuses what staging bore'; }; }
grep -q '^hubctl release seal ' "$SEEN" || tool_fail 'release.sh seals nothing'
if LINTED='' sealed; then tool_fail 'release.sh: seals migrations that nobody linted'; fi
: >"$SAID" && { ENVIRONMENT=staging sealed || tool_fail 'release.sh: staging asks for what it bore itself'; }
if grep -q planted "$SEEN"; then tool_fail 'bore.sh puts a password on a command line'; fi
printf 'bore: nothing but what staging bore\n'
