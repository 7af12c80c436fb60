#!/usr/bin/env bash
# Builds the static binaries and lays out what goes into the images, in the folder that is given:
#   security-hub, hubctl, common/ (certificates, user, licence, what it is made of), and state/, which belongs to the user.
# The same source gives the same bytes: paths are mapped away, times come from the commit.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:?usage: binaries.sh FOLDER}
mkdir -p "$out"
out=$(cd "$out" && pwd)

# In a throw-away builder the registry goes into the cache; a cargo home with its own configuration stays.
if [ -n "${CARGO_HOME_CACHE:-}" ] && [ ! -e "${CARGO_HOME:-$HOME/.cargo}/config.toml" ]; then
  export CARGO_HOME=$CARGO_HOME_CACHE
fi
home=${CARGO_HOME:-$HOME/.cargo}
target=${CARGO_TARGET_DIR:-$PWD/target/image}
export CARGO_TARGET_DIR=$target
remap="--remap-path-prefix=$PWD=/src --remap-path-prefix=$home=/cargo --remap-path-prefix=$target=/target"
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-feature=+crt-static $remap"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS=$CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS
export CFLAGS="-ffile-prefix-map=$PWD=/src -ffile-prefix-map=$home=/cargo -ffile-prefix-map=$target=/target"
export CARGO_INCREMENTAL=0

triple=$(rustc -vV | sed -n 's/^host: //p')
cargo build --profile image --locked --bins -p security-hub -p hubctl --target "$triple"
install -m 0755 "$target/$triple/image/security-hub" "$target/$triple/image/hubctl" "$out/"

common=$out/common
rm -rf "$common" "$out/state"
mkdir -p "$common/etc/ssl/certs" "$common/usr/share/doc/security-hub" "$common/usr/share/sbom" \
  "$common/var/lib" "$common/tmp" "$out/state/security-hub"
cp /etc/ssl/certs/ca-certificates.crt "$common/etc/ssl/certs/"
printf 'hub:x:65532:65532:Security Hub:/var/lib/security-hub:/sbin/nologin\n' >"$common/etc/passwd"
printf 'hub:x:65532:\n' >"$common/etc/group"
printf 'hosts: files dns\n' >"$common/etc/nsswitch.conf"
cp LICENSE "$common/usr/share/doc/security-hub/"
scripts/image/sbom.sh >"$common/usr/share/sbom/security-hub.cdx.json"
# Who owns them is known where the image is made, which may not be by root.
chmod 0700 "$out/state/security-hub"
chmod 1777 "$common/tmp"
