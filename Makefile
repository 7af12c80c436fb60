# The verbs of the project. `make help` lists them.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
ARGS ?=

.PHONY: help bootstrap bootstrap-test bootstrap-verify build demo test check fmt bench image sbom verify verify-image verify-reproducible verify-deploy verify-kubernetes verify-terraform verify-pipelines audit scan coverage dast drill push release plan deploy rollback undo smoke performance watch record told bench-deploy bench-keys bench-failover verify-patroni clean

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

drill: bootstrap-test ## back up a hub at work, restore it beside and for real, prove it; then every disaster; RTO and RPO (DRILL_MB=1024)
	@scripts/drill.sh

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

verify: verify-pipelines verify-terraform verify-kubernetes verify-patroni verify-image verify-deploy verify-reproducible ## everything under infrastructure/, run for real where this machine allows it

verify-image: bootstrap-verify ## images and compose file: built, looked into, run hardened, deployed under traffic
	@scripts/verify/image.sh

verify-reproducible: bootstrap-verify ## two builds of this commit, in two places, give the same bytes
	@scripts/verify/reproducible.sh

verify-kubernetes: bootstrap-verify ## the overlays: rendered, against schemas and policies, alert rules, our own rules
	@scripts/verify/kubernetes.sh

verify-patroni: bootstrap-verify ## the pair of databases: alert rules with their tests, HAProxy's and Patroni's files
	@scripts/verify/patroni.sh

verify-terraform: ## modules and environments: format, schemas, wiring, tests with a mocked provider, policies
	@scripts/verify/terraform.sh

verify-pipelines: bootstrap-verify ## GitHub, GitLab and Jenkins: schemas, linters, and that they do the same
	@scripts/verify/pipelines.sh

audit: bootstrap-test ## dependencies against the published advisories (fetches them)
	cargo deny --locked check advisories

scan: ## our own rules over the code, and secrets that do not belong in git
	@scripts/scan/code.sh

coverage: bootstrap-test ## how much of the code the tests run; fails under 90 % of the lines
	@scripts/scan/coverage.sh

dast: bootstrap ## made-up and malformed requests at a hub that runs, by its own OpenAPI document
	@scripts/scan/dast.sh

push: ## both images to REGISTRY
	@scripts/pipeline/push.sh

release: ## the folder that a deploy takes: IMAGE by digest, SBOM, scan; sealed with RELEASE_KEY
	@scripts/pipeline/release.sh

plan: ## what would change in ENVIRONMENT's infrastructure, saved
	@scripts/pipeline/plan.sh

deploy: ## dist/release into ENVIRONMENT; it takes itself back when it is worse
	@scripts/pipeline/deploy.sh deploy

rollback: ## the release before back into ENVIRONMENT
	@scripts/pipeline/deploy.sh rollback

undo: ## a deploy that was cut off in ENVIRONMENT is taken back; nothing is done where none was
	@scripts/pipeline/deploy.sh undo

smoke: ## whether the hub at HUB_URL is ready
	hubctl health --url "$${HUB_URL:?where the hub is}"

performance: ## half a minute of requests at HUB_URL, with HUB_TOKEN such as ask the database: all answered, p95 below P95_MS
	@scripts/pipeline/performance.sh

watch: ## no alert began since the deploy, nor does in two minutes (ALERTMANAGER_URL)
	@scripts/pipeline/watch.sh

record: ## what was done in ENVIRONMENT and how it stands, in dist/record.json
	@scripts/pipeline/deploy.sh record

told: ## tell people that a pipeline failed (TOLD_URL)
	@scripts/pipeline/told.sh

bench-deploy: verify-deploy ## the same

verify-deploy: bootstrap-test ## blue-green at thousands of requests a second, optimised: good and bad releases, rollback, kill -9; fails when a limit is missed
	cargo build --release --locked --bins -p security-hub -p hubctl
	HUB_BIN=$$PWD/target/release/security-hub HUBCTL_BIN=$$PWD/target/release/hubctl cargo bench -p hub-e2e --bench deploy

bench-keys: bootstrap-test ## the token-signing key exchanged at 500 requests a second, optimised: failures must be 0
	cargo build --release --locked --bins -p security-hub -p hubctl
	HUB_BIN=$$PWD/target/release/security-hub HUBCTL_BIN=$$PWD/target/release/hubctl cargo bench -p hub-e2e --bench keys

bench-failover: bootstrap-test ## the pair of databases loses its leader in every way, under load: writes again in < 30 s, 0 acts lost
	cargo build --release --locked --bins -p security-hub -p hubctl
	HUB_BIN=$$PWD/target/release/security-hub HUBCTL_BIN=$$PWD/target/release/hubctl cargo bench -p hub-e2e --bench failover

clean: ## remove what was built
	cargo clean
	rm -rf demo-out drill-out
