# Two commands are all that a newcomer runs: `make demo` and `make test`. Both install what they need.
# `make help` lists the rest.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Tools from crates.io, at pinned versions, in a folder of this checkout. Debug builds: they start as fast, and build
# in a third of the time.
TOOLS := $(CURDIR)/.tools
CARGO_DENY_VERSION := 0.20.2
CARGO_FUZZ_VERSION := 0.13.2
CARGO_DENY := $(TOOLS)/bin/cargo-deny
CARGO_FUZZ := $(TOOLS)/bin/cargo-fuzz

# Seconds that each fuzz target runs in `make test`, and in `make fuzz`.
SMOKE_SECONDS ?= 5
FUZZ_SECONDS ?= 600
FUZZ_TARGETS := $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))

.PHONY: help
help: ## Show this list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# solc-js, OpenZeppelin and anvil, at the versions of the lock file.
NPM_INSTALLED := contracts/node_modules/.package-lock.json
$(NPM_INSTALLED): contracts/package.json contracts/package-lock.json
	cd contracts && npm ci --no-fund --no-audit

.PHONY: demo
demo: $(NPM_INSTALLED) ## Show the main job on this machine: a chain, a node, CVMs that get keys and some that do not.
	@bash demo/run

.PHONY: demo-up
demo-up: $(NPM_INSTALLED) ## The same, left running, with how to use it.
	@bash demo/run --up

.PHONY: test
test: format lint licences contracts-check unit docs fuzz-smoke ## Everything that must hold before a commit.

.PHONY: format
format:
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check

.PHONY: lint
lint:
	cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
	cargo clippy --locked -p kms-attestation --no-default-features -- -D warnings

.PHONY: contracts
contracts: $(NPM_INSTALLED) ## Compile the contracts to contracts/artifacts.
	cd contracts && node compile.mjs

.PHONY: contracts-check
contracts-check: $(NPM_INSTALLED)
	cd contracts && node compile.mjs --check

.PHONY: unit
unit: $(NPM_INSTALLED) ## Unit, integration and end-to-end tests.
	cargo test --locked --workspace --all-features

# One test of each package with a program makes cargo build that program, with the features that all tests share.
.PHONY: end-to-end
end-to-end: $(NPM_INSTALLED) ## The system as it runs: node, client, chain and PCCS as processes.
	cargo test --locked --workspace --all-features --no-run --test deny_codes --test env --test binary --test kmsctl --test e2e
	cargo test --locked --workspace --all-features --test e2e

.PHONY: docs
docs: ## API documentation, without warnings.
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --all-features --no-deps

.PHONY: licences
licences: $(CARGO_DENY) ## Banned crates, licences and sources of all dependencies.
	$(CARGO_DENY) --all-features check bans licenses sources

.PHONY: advisories
advisories: $(CARGO_DENY) ## Known vulnerabilities of dependencies; fetches the RustSec database.
	$(CARGO_DENY) --all-features check advisories

# One build for all benches, and for the node and its load: all have the features and the optimisation of a release.
.PHONY: bench
bench: $(NPM_INSTALLED) ## Measure, as ratios within one run; fails when a promised ratio is missed.
	cargo bench --locked --workspace --all-features --bench verify --bench replay --bench append --bench audit

.PHONY: bench-node
bench-node: $(NPM_INSTALLED) ## Measure what a release costs a node, next to the arithmetic it cannot avoid; about two minutes.
	cargo build --locked --workspace --all-features --release --bins --bench node
	cargo bench --locked --workspace --all-features --bench node

# libFuzzer without a sanitizer: the code has no unsafe, and it builds with the stable toolchain.
.PHONY: fuzz-smoke
fuzz-smoke: $(CARGO_FUZZ)
	@$(MAKE) --no-print-directory run-fuzz SECONDS_EACH=$(SMOKE_SECONDS)

.PHONY: fuzz
fuzz: $(CARGO_FUZZ) ## Fuzz every parser of hostile bytes for FUZZ_SECONDS (600) each.
	@$(MAKE) --no-print-directory run-fuzz SECONDS_EACH=$(FUZZ_SECONDS)

# New inputs go to a folder that is not committed; the committed corpus is read only.
.PHONY: run-fuzz
run-fuzz:
	cd fuzz && $(CARGO_FUZZ) build --sanitizer none
	@for target in $(FUZZ_TARGETS); do \
	  mkdir -p fuzz/target/corpus/$$target; \
	  echo "fuzz $$target for $(SECONDS_EACH) s"; \
	  (cd fuzz && $(CARGO_FUZZ) run --sanitizer none $$target target/corpus/$$target corpus/$$target -- \
	    -max_total_time=$(SECONDS_EACH) -max_len=32768 -timeout=10 -rss_limit_mb=1024 -verbosity=0 -print_final_stats=1) \
	    2>&1 | tee fuzz/target/$$target.log | grep -E 'average_exec_per_sec|number_of_executed_units|ERROR|panicked|SUMMARY' \
	    || { tail -n 40 fuzz/target/$$target.log; exit 1; }; \
	done

$(CARGO_DENY):
	cargo install --locked --debug --root $(TOOLS) --version $(CARGO_DENY_VERSION) cargo-deny

$(CARGO_FUZZ):
	cargo install --locked --debug --root $(TOOLS) --version $(CARGO_FUZZ_VERSION) cargo-fuzz

.PHONY: clean
clean: ## Remove everything that was built or installed here.
	rm -rf target fuzz/target contracts/node_modules $(TOOLS)
