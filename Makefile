# The commands of this project. `make demo` and `make test` need nothing but git, make and curl on a
# Debian or Ubuntu machine: `setup` installs the rest.

SHELL := /bin/bash
.DEFAULT_GOAL := help
export PATH := $(if $(CARGO_HOME),$(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)
# Debian's OpenSSL instead of compiling one.
export OPENSSL_NO_VENDOR := 1
export CARGO_TARGET_DIR ?= $(CURDIR)/target

RELEASE := $(CARGO_TARGET_DIR)/release
# Where the demo's hospitals keep segments: local (folders) or s3 (an S3 server of its own).
STORE ?= local
PALLETS := hospitals profiles role-policies lite-blocks approvals index-links releases

# Test programs besides the unit tests, by name; the slowest first, so that none is left to run alone.
SLOWEST := kills four_hospitals reading releases chain visit durability access one_hospital waiting crash_loop demo
INTEGRATION := $(notdir $(basename $(wildcard */tests/*.rs)) $(patsubst %/main.rs,%,$(wildcard */tests/*/main.rs)))
PROGRAMS := $(SLOWEST) $(filter-out $(SLOWEST),$(INTEGRATION))
# Whole networks wait for blocks most of the time: so many programs side by side keep two cores busy.
SIDE_BY_SIDE ?= 3
# Always the whole workspace and one profile: a selection of packages would give dependencies other features, and
# compile most of them again. `make lint` checks that the two selections below agree.
CARGO_BUILD := scripts/build build --release --workspace --locked
CARGO_TEST := cargo test --release --workspace --locked
# The benchmarks' feature must not reach the node and its runtime, so their tests are compiled apart from the rest.
BENCHMARKS := test --release --locked $(foreach pallet,$(PALLETS),\
	-p pallet-$(pallet) --features pallet-$(pallet)/runtime-benchmarks)
# Every test in this list is run, whatever fails; the failed ones are listed at the end.
TESTS := $(addprefix test-program-,$(PROGRAMS)) test-polkadot-js test-units test-docs test-benchmarks
RESULTS := $(CARGO_TARGET_DIR)/test-results

.PHONY: help setup build build-tests demo test test-units test-docs test-benchmarks test-polkadot-js lint chain-specs weights soak build-soak soak-setup soak-large soak-large-s3 soak-links soak-crashes clean

help: ## Shows this list.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 26

setup: ## Installs the toolchain and packages that are missing.
	@scripts/setup

build: setup ## Builds node, worker, client and S3 server.
	@$(CARGO_BUILD) --exclude epione-soak --bins

build-tests: setup
	@$(CARGO_BUILD) --lib --bins --tests
	@scripts/build $(BENCHMARKS) --no-run

demo: build ## Four hospitals, sixteen chapters, and what can go wrong: two minutes once built. STORE=s3 on an S3 server.
	@scripts/fetch-samples target/samples
	@$(RELEASE)/epione-demo --samples target/samples --out target/demo --store $(STORE)

# Each program's output comes in one piece, when it ends.
test: build-tests ## Every test.
	@echo "$(words $(TESTS)) programs of tests, $(SIDE_BY_SIDE) at a time; the longest take minutes."
	@rm -rf $(RESULTS) && mkdir -p $(RESULTS)
	@$(MAKE) --no-print-directory --keep-going --jobs=$(SIDE_BY_SIDE) --output-sync=target $(TESTS) || true
	@scripts/test-results $(RESULTS) $(words $(TESTS))

test-units:
	@scripts/test-program $(RESULTS)/units $(CARGO_TEST) --lib --bins

# The examples in the documentation of libraries.
test-docs:
	@scripts/test-program $(RESULTS)/docs $(CARGO_TEST) --doc

test-program-%:
	@scripts/test-program $(RESULTS)/$* $(CARGO_TEST) --test $* -- --test-threads=2

test-benchmarks:
	@scripts/test-program $(RESULTS)/benchmarks cargo $(BENCHMARKS) -- bench

test-polkadot-js:
	@cd polkadot-js && EPIONE_BIN_DIR=$(RELEASE) ../scripts/test-program $(RESULTS)/polkadot-js npm test --silent

chain-specs: build ## Regenerates chain-specs/ from the runtime's presets.
	$(RELEASE)/epione-node export-presets chain-specs

weights: setup ## Measures what every call costs and writes runtime/src/weights/.
	@scripts/weights

lint: setup ## Format, clippy with warnings denied, and what must hold of the dependencies.
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets --locked -- -D warnings
	@if cargo tree --locked -i librocksdb-sys 2>/dev/null | grep -q .; then \
		echo "librocksdb-sys is in the dependency tree; use default-features = false for sc-cli and sc-service" >&2; exit 1; fi
	@scripts/same-features

soak: soak-large soak-large-s3 soak-links soak-crashes ## Hours: 6 GiB in bounded memory, narrow links, crashes at random; results in benchmarks/results/.

build-soak: setup
	@$(CARGO_BUILD) --bins

soak-setup: build-soak
	@scripts/setup soak

soak-large: build-soak
	$(RELEASE)/epione-soak large --gib 6

soak-large-s3: build-soak
	$(RELEASE)/epione-soak large --gib 6 --store s3

soak-links: soak-setup
	$(RELEASE)/epione-soak links --hospitals 4,8,16 --mbit 20 --mib 256

soak-crashes: soak-setup
	$(RELEASE)/epione-soak crashes --minutes 60

clean: ## Removes what demo, samples and soak runs left; `cargo clean` removes the build.
	rm -rf target/demo target/samples target/soak
