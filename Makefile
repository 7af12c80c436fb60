# The verbs of the project. `make help` lists them.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
ARGS ?=

.PHONY: help bootstrap bootstrap-test bootstrap-verify build demo test check fmt bench image sbom verify verify-image verify-kubernetes verify-terraform clean

help: ## list the verbs
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

bootstrap: ## install what building and running needs (apt + cargo; idempotent)
	@scripts/bootstrap.sh

bootstrap-test: ## install what the tests need as well
	@scripts/bootstrap.sh test

bootstrap-verify: ## install what `make verify` needs as well (containers, Redis, Prometheus, pgBackRest)
	@scripts/bootstrap.sh verify

build: bootstrap ## build the two binaries, optimised
	cargo build --release --bins

demo: bootstrap ## start a hub, attack it, show the attack caught, contained and proven (ARGS=--once ends by itself)
	@scripts/demo.sh $(ARGS)

check: bootstrap-test ## formatting, lints, licences, shell, content
	@scripts/check.sh

test: bootstrap-test ## every check and every test
	@scripts/check.sh
	@scripts/test.sh

fmt: ## format the code
	cargo fmt --all

bench: bootstrap ## the figures, as ratios against a named reference in the same run
	cargo bench -p hub-benches $(ARGS)

image: bootstrap-verify ## build both images (BUILDER=host: with this machine's toolchain, where no registry is reached)
	@scripts/image/build.sh

sbom: bootstrap ## what the programs are made of, as CycloneDX, in sbom.cdx.json
	scripts/image/sbom.sh >sbom.cdx.json

verify: verify-image verify-kubernetes verify-terraform ## everything under infrastructure/, run for real where this machine allows it

verify-image: bootstrap-verify ## images and compose file: built, looked into, run hardened, deployed under traffic
	@scripts/verify/image.sh

verify-kubernetes: bootstrap-verify ## the overlays: rendered, against schemas and policies, alert rules, our own rules
	@scripts/verify/kubernetes.sh

verify-terraform: ## modules and environments: format, schemas, wiring, tests with a mocked provider, policies
	@scripts/verify/terraform.sh

clean: ## remove what was built
	cargo clean
	rm -rf demo-out
