# The commands of this project. `make demo` and `make test` need only git, make and curl on a Debian or Ubuntu machine:
# `setup` installs the rest.

SHELL := /bin/bash
.DEFAULT_GOAL := help
export PATH := $(if $(CARGO_HOME),$(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)
# Use Debian's OpenSSL instead of compiling one.
export OPENSSL_NO_VENDOR := 1
export CARGO_TARGET_DIR ?= $(CURDIR)/target

RELEASE := $(CARGO_TARGET_DIR)/release
# Where the demo's hospitals store segments: local (folders) or s3 (a separate S3 server).
STORE ?= local
PALLETS := hospitals profiles credentials mandates role-policies lite-blocks approvals index-links sharing queries \
	openings custody releases quotas consortium-key

# Test programs in addition to the unit tests, by name. The slowest begin first, so that none runs alone at the end.
SLOWEST := founding custody council doctor doctor_command maintenance readiness chain queries consents four_hospitals \
	kills lies one_hospital one_hospital_slow visit releases access reading hostile one_hospital_away consortium_key \
	standing openings home_down insurer lies_to_senders demo durability discovery crash_loop waiting lite
INTEGRATION := $(notdir $(basename $(wildcard */tests/*.rs)) $(patsubst %/main.rs,%,$(wildcard */tests/*/main.rs)))
PROGRAMS := $(SLOWEST) $(sort $(filter-out $(SLOWEST),$(INTEGRATION)))
# Networks wait for blocks most of the time: this many programs in parallel keep two cores busy. The networks of a
# program have four hospitals together, which need about 0.8 GiB of memory at first: 4 GiB for all programs.
SIDE_BY_SIDE ?= 5
# Tests of one program in parallel. Those that wait are worth more: most tests of WAITING have a network of one
# hospital, and those of `chain` a node without a worker.
THREADS := 2
WAITING := lies one_hospital releases visit
$(addprefix test-program-,$(WAITING)): THREADS := 4
test-program-chain: THREADS := 8
# Always the whole workspace and one profile: a subset of the packages would give dependencies other features, and most
# of them would be compiled again. `make lint` checks that the two selections below agree.
CARGO_BUILD := scripts/build build --release --workspace --locked
CARGO_TEST := cargo test --release --workspace --locked --no-fail-fast
# The benchmarks' feature must not reach the node and its runtime, so their tests are compiled separately.
BENCHMARKS := test --release --locked --no-fail-fast $(foreach pallet,$(PALLETS),\
	-p pallet-$(pallet) --features pallet-$(pallet)/runtime-benchmarks)
# The verifier for browsers, and smoldot with which a test compares it. They get their own features, because no other
# package is compiled for this target in the same command.
WASM_TARGET := wasm32v1-none
WASM := build --release --locked --target $(WASM_TARGET) -p epione-proofs-wasm -p epione-proofs-oracle
# All of these run, even if some fail; the failed ones are listed at the end.
TESTS := $(addprefix test-program-,$(PROGRAMS)) test-polkadot-js test-proofs-wasm test-units test-docs test-benchmarks
RESULTS := $(CARGO_TARGET_DIR)/test-results

.PHONY: help setup build build-tests demo test test-units test-docs test-benchmarks test-polkadot-js test-proofs-wasm build-wasm lint chain-specs weights soak build-soak soak-setup soak-large soak-large-s3 soak-links soak-crashes soak-hostile soak-lite soak-looks soak-sharing soak-consortium drill drills simulation clean

help: ## Shows this list.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 26

setup: ## Installs the missing toolchain and packages.
	@scripts/setup

build: setup ## Builds node, worker, client and S3 server.
	@$(CARGO_BUILD) --exclude epione-soak --bins

build-tests: setup build-wasm
	@$(CARGO_BUILD) --lib --bins --tests
	@scripts/build $(BENCHMARKS) --no-run

build-wasm: setup
	@scripts/build $(WASM)

demo: build ## Runs the demo: four hospitals, 23 chapters, with failures; about four minutes after the build. STORE=s3 uses S3.
	@scripts/fetch-samples target/samples
	@$(RELEASE)/epione-demo --samples target/samples --out target/demo --store $(STORE)

# Each program's output is printed in one piece, when the program ends.
test: build-tests ## Runs every test.
	@echo "$(words $(TESTS)) test programs, $(SIDE_BY_SIDE) at a time; the longest take minutes."
	@rm -rf $(RESULTS) && mkdir -p $(RESULTS)
	@$(MAKE) --no-print-directory --keep-going --jobs=$(SIDE_BY_SIDE) --output-sync=target $(TESTS) || true
	@scripts/test-results $(RESULTS) $(patsubst test-%,%,$(patsubst test-program-%,%,$(TESTS)))

test-units:
	@scripts/test-program $(RESULTS)/units $(CARGO_TEST) --lib --bins

# The examples in the documentation of libraries.
test-docs:
	@scripts/test-program $(RESULTS)/docs $(CARGO_TEST) --doc

test-program-%:
	@scripts/test-program $(RESULTS)/$* $(CARGO_TEST) --test $* -- --test-threads=$(THREADS)

test-benchmarks:
	@scripts/test-program $(RESULTS)/benchmarks cargo $(BENCHMARKS) -- bench

test-polkadot-js:
	@cd polkadot-js && EPIONE_BIN_DIR=$(RELEASE) ../scripts/test-program $(RESULTS)/polkadot-js npm test --silent

test-proofs-wasm: build-wasm
	@cd proofs && EPIONE_WASM_DIR=$(CARGO_TARGET_DIR)/$(WASM_TARGET)/release ../scripts/test-program \
		$(RESULTS)/proofs-wasm node --test --test-reporter=spec wasm/verifier.test.mjs oracle/agreement.test.mjs

chain-specs: build ## Regenerates chain-specs/ from the runtime's presets.
	$(RELEASE)/epione-node export-presets chain-specs

weights: setup ## Measures the weight of every call and writes runtime/src/weights/.
	@scripts/weights

lint: setup ## Checks format, clippy (with warnings denied) and dependencies.
	cargo fmt --all --check
	cargo fmt --manifest-path runtime/weigher/Cargo.toml --check
	cargo clippy --release --workspace --all-targets --locked -- -D warnings
	@scripts/dependencies
	@scripts/weigher-agrees
	@scripts/same-features
	$(if $(filter $(words $(INTEGRATION)),$(words $(sort $(INTEGRATION)))),,\
		$(error two test programs have one name, so `cargo test --test NAME` runs both: $(sort $(INTEGRATION))))

soak: soak-large soak-large-s3 soak-links soak-crashes soak-hostile soak-lite soak-looks soak-sharing soak-consortium ## Runs for hours; results in benchmarks/results/.

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

soak-hostile: build-soak
	$(RELEASE)/epione-soak hostile --minutes 10 --max-ratio 2

soak-lite: build-soak
	$(RELEASE)/epione-soak lite --blocks 10000 --max-seconds 60

soak-looks: build-soak
	$(RELEASE)/epione-soak looks --count 20 --max-ratio 1.3

soak-sharing: build-soak
	$(RELEASE)/epione-soak sharing --repetitions 5

soak-consortium: build-soak
	$(RELEASE)/epione-soak consortium --repetitions 5 --count 10 --max-blocks 2

# The drills of docs/consortium.md. Each takes from 15 minutes to two hours; all of them take most of a day.
drill: soak-setup ## Runs one drill, NAME=...; `make drill` lists them. Results in benchmarks/results/drills/.
	$(if $(NAME),$(RELEASE)/epione-soak drill $(NAME),@$(RELEASE)/epione-soak drills)

drills: soak-setup ## Runs every drill, one after the other, for most of a day.
	@scripts/drills $(RELEASE)/epione-soak

# Its few dependencies are compiled within a minute, so nothing else is built first.
simulation: setup ## Simulates 30 to 10,000 hospitals within a minute; results in benchmarks/results/scale.md.
	cargo run --release --locked -p epione-simulation

clean: ## Removes the files of demo, samples and soak runs; `cargo clean` removes the build.
	rm -rf target/demo target/samples target/soak
