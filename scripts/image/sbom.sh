#!/usr/bin/env bash
# Prints what the binaries are made of: one CycloneDX 1.5 document (JSON) of every crate that `cargo build` of the two
# programs compiles in, with versions, licences and hashes from the lock file.
set -euo pipefail
cd "$(dirname "$0")/../.."
version=0.5.9

if ! cargo cyclonedx --version >/dev/null 2>&1; then
  # What is set for static binaries would fail its procedural macros.
  env -u CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS -u CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS \
    cargo install --locked --quiet cargo-cyclonedx --version "$version" >&2
fi
# The tool writes beside the manifest; the random serial number, and where the source lies, would make each build differ.
made=()
trap 'rm -f "${made[@]}"' EXIT
for crate in hub hubctl; do
  made+=("crates/$crate/sbom.made.json")
done
cargo cyclonedx --quiet --format json --spec-version 1.5 --no-build-deps --override-filename sbom.made >&2
# It writes one for each member; those of the two programs are wanted.
find crates benches tests fuzz -name sbom.made.json -not -path "crates/hub/*" -not -path "crates/hubctl/*" -delete
python3 - crates/hub/sbom.made.json crates/hubctl/sbom.made.json <<'PYTHON'
import json, os, sys
here, everywhere = f"path+file://{os.getcwd()}", "path+file:///src"
merged, known = None, set()
for path in sys.argv[1:]:
    with open(path) as file:
        document = json.loads(file.read().replace(here, everywhere))
    document.pop("serialNumber", None)
    if merged is None:
        merged = document
        known = {part["bom-ref"] for part in merged["components"]}
        edges = {edge["ref"]: edge for edge in merged["dependencies"]}
        continue
    for part in [document["metadata"]["component"], *document["components"]]:
        if part["bom-ref"] not in known:
            known.add(part["bom-ref"])
            merged["components"].append(part)
    for edge in document["dependencies"]:
        edges.setdefault(edge["ref"], edge)
merged["components"].sort(key=lambda part: part["bom-ref"])
merged["dependencies"] = [edges[ref] for ref in sorted(edges)]
json.dump(merged, sys.stdout, separators=(",", ":"), sort_keys=True)
PYTHON
