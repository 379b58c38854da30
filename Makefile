# The commands of this project. `make demo` and `make test` need nothing but git, make and curl on a
# Debian or Ubuntu machine: `setup` installs the rest.

SHELL := /bin/bash
.DEFAULT_GOAL := help
export PATH := $(if $(CARGO_HOME),$(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)
# Debian's OpenSSL instead of compiling one.
export OPENSSL_NO_VENDOR := 1
export CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TERM_PROGRESS_WHEN ?= never

RELEASE := $(CARGO_TARGET_DIR)/release
# Where the demo's hospitals keep segments: local (folders) or s3 (an S3 server of its own).
STORE ?= local
PALLETS := hospitals profiles role-policies lite-blocks approvals index-links releases

# Test programs besides the unit tests, by name; the slowest first, so that none is left to run alone.
SLOWEST := releases kills four_hospitals access one_hospital crash_loop
INTEGRATION := $(notdir $(basename $(wildcard */tests/*.rs)) $(patsubst %/main.rs,%,$(wildcard */tests/*/main.rs)))
PROGRAMS := $(SLOWEST) $(filter-out $(SLOWEST),$(INTEGRATION))
# Whole networks wait for blocks most of the time: so many programs side by side keep two cores busy.
SIDE_BY_SIDE ?= 3
CARGO_TEST := cargo test --release --workspace --locked

.PHONY: help setup build demo test test-rust test-units test-benchmarks test-polkadot-js lint chain-specs weights soak soak-setup soak-large soak-large-s3 soak-links soak-crashes clean

help: ## Shows this list.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 26

setup: ## Installs the toolchain and packages that are missing.
	@scripts/setup

# With the tests: cargo unifies features over what it is asked to build, so that building the programs
# alone first would compile most of the dependencies twice.
build: setup ## Builds node, worker, client and tests.
	cargo build --release --workspace --lib --bins --tests --locked

demo: build ## Four hospitals, sixteen chapters, and what can go wrong: two minutes once built. STORE=s3 on an S3 server.
	@scripts/fetch-samples target/samples
	@$(RELEASE)/epione-demo --samples target/samples --out target/demo --store $(STORE)

test: test-benchmarks test-rust ## Every test.
	@echo "All tests passed."

# Each program's output comes in one piece, when it ends.
test-rust: build
	@echo "$(words $(PROGRAMS)) programs of tests, $(SIDE_BY_SIDE) at a time; the longest take minutes."
	@$(MAKE) --no-print-directory --jobs=$(SIDE_BY_SIDE) --output-sync=target \
		$(addprefix test-program-,$(PROGRAMS)) test-polkadot-js test-units

test-units:
	$(CARGO_TEST) --lib --bins

test-program-%:
	$(CARGO_TEST) --test $* -- --test-threads=2

# In their own folder: the benchmarks' features would otherwise reach the node and its runtime.
test-benchmarks: setup
	cargo test --release --locked --target-dir $(CARGO_TARGET_DIR)/benchmarks \
		$(foreach pallet,$(PALLETS),-p pallet-$(pallet)) \
		$(foreach pallet,$(PALLETS),--features pallet-$(pallet)/runtime-benchmarks) \
		-- bench

chain-specs: build ## Regenerates chain-specs/ from the runtime's presets.
	$(RELEASE)/epione-node export-presets chain-specs

weights: setup ## Measures what every call costs and writes runtime/src/weights/.
	@scripts/weights

test-polkadot-js:
	cd polkadot-js && EPIONE_BIN_DIR=$(RELEASE) npm test --silent

lint: setup ## Format, clippy with warnings denied, and that RocksDB is not among the dependencies.
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets --locked -- -D warnings
	@if cargo tree --locked -i librocksdb-sys 2>/dev/null | grep -q .; then \
		echo "librocksdb-sys is in the dependency tree; use default-features = false for sc-cli and sc-service" >&2; exit 1; fi

soak: soak-large soak-large-s3 soak-links soak-crashes ## Hours: 6 GiB in bounded memory, narrow links, crashes at random; results in benchmarks/results/.

soak-setup: build
	@scripts/setup soak

soak-large: build
	$(RELEASE)/epione-soak large --gib 6

soak-large-s3: build
	$(RELEASE)/epione-soak large --gib 6 --store s3

soak-links: soak-setup
	$(RELEASE)/epione-soak links --hospitals 4,8,16 --mbit 20 --mib 256

soak-crashes: soak-setup
	$(RELEASE)/epione-soak crashes --minutes 60

clean: ## Removes what demo, samples and soak runs left; `cargo clean` removes the build.
	rm -rf target/demo target/samples target/soak
