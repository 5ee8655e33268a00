# What a person does with this project. Everything is built as needed; `make` alone says what there is.

.DEFAULT_GOAL := help
CARGO ?= cargo
BIN := $(or $(CARGO_TARGET_DIR),target)/debug
# Where the testbed's servers keep their logs during `make test` and `make demo`.
TEST_STATE := target/testbed
DEMO_STATE := target/demo/testbed

.PHONY: help
help:
	@echo 'make demo          play a few releases on a real control plane, with every request counted (KEEP=1 leaves it running)'
	@echo 'make test          all tests, those on a real control plane too; and whether the chart grants what they use, no more'
	@echo 'make sim           the simulator: every crash, pairs of crashes, SEEDS=10000 random runs; SEED=n or PLAN=... plays one again'
	@echo 'make lint          formatting, clippy and docs, with warnings denied'
	@echo 'make bench         figures for docs/benchmarks.md, measured on a real control plane: about 20 minutes'
	@echo 'make fields        write docs/fields.md again from what the last whole `make test` has shown'
	@echo 'make crds          write the CustomResourceDefinitions again, here and in the chart'
	@echo 'make clean         remove what was built here (not the servers in the cache folder)'
	@echo 'Plain `cargo test` runs the tests that need no control plane.'

# The first time the servers are built from pinned Go modules: about 15 minutes on two cores.
.PHONY: demo
demo:
	$(CARGO) build --locked --package tidegate --package testbed --bins
	$(BIN)/testbed demo --state $(DEMO_STATE) --report target/demo/report.json $(if $(KEEP),--keep)

# Most tests on the control plane wait most of the time: one more at a time than there are cores in CI.
TEST_THREADS ?= 3
# With the feature everything is compiled once; both runs use the same test programs.
CLUSTER := --locked --workspace --features control-plane,mutants

.PHONY: test
test:
	$(CARGO) build $(CLUSTER) --all-targets
	$(BIN)/testbed build
	rm -rf $(COVERS)
	$(BIN)/testbed run --state $(TEST_STATE) -- env RUST_TEST_THREADS=$(TEST_THREADS) TIDEGATE_COVERS=$(COVERS) \
	  $(CARGO) test $(CLUSTER) --no-fail-fast $(if $(TEST),-- $(TEST))
	$(if $(TEST),@echo 'Permissions and fields: NOT CHECKED: only tests with "$(TEST)" in their names ran',$(PERMISSIONS))
	$(if $(TEST),,$(BIN)/testbed fields --records $(COVERS) --check)
	$(if $(TEST),,$(BIN)/testbed mutate --records $(COVERS))

# What tests have shown of fields in the last whole run, and the table of them.
COVERS := $(abspath target)/covers
.PHONY: fields
fields:
	$(CARGO) run --locked --quiet --package testbed -- fields --records $(COVERS)

# What the chart grants in either mode must be what the controllers of all tests have used, and nothing may have been forbidden.
PERMISSIONS = $(BIN)/testbed permissions --state $(TEST_STATE) --chart charts/tidegate --set mode=cluster --set mode=namespaced

# Everything that the simulator can play, with how far it is; `make test` plays a share of it. SIM=crashes, pairs, seeds or scale: only these;
# ONLY=bake: crashes of the scenarios with this in their names.
.PHONY: sim
sim:
	TIDEGATE_SIM=$(or $(SIM),all) TIDEGATE_SIM_ONLY='$(ONLY)' TIDEGATE_SIM_SEEDS=$(SEEDS) TIDEGATE_SIM_FIRST=$(FIRST) TIDEGATE_SIM_SEED=$(SEED) TIDEGATE_SIM_PLAN='$(PLAN)' \
	  $(CARGO) test --locked --profile sim --package tidegate --test main -- --exact sim::command::everything --nocapture

# First what needs no cluster: timings of pure functions, each beside one to compare with.
.PHONY: bench
bench:
	mkdir -p target/bench
	$(CARGO) bench --locked --package tidegate --bench decide > target/bench/timings.txt
	cat target/bench/timings.txt
	$(CARGO) build --locked --release --package tidegate --bin tidegate
	$(CARGO) build --locked --package testbed --bins
	$(BIN)/testbed bench --state target/bench/testbed --tidegate $(or $(CARGO_TARGET_DIR),target)/release/tidegate \
	  --timings target/bench/timings.txt

.PHONY: lint format clippy docs
lint: format clippy docs

format:
	$(CARGO) fmt --all --check

clippy:
	$(CARGO) clippy --locked --workspace --all-targets --features control-plane,mutants -- -D warnings

docs:
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --workspace --no-deps --document-private-items

.PHONY: crds
crds:
	$(CARGO) run --locked --quiet --bin tidegate -- crds --out crds --out charts/tidegate/files/tidegate.dev
	$(CARGO) run --locked --quiet --bin tidegate -- crds --api-group argoproj.io --out charts/tidegate/files/argoproj.io

.PHONY: clean
clean:
	$(CARGO) clean
