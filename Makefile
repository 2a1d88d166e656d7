# `make demo` and `make test` do all their set-up themselves. `make help` lists the rest.
# Absent: logic. Each target is a script or a cargo command that can be typed as well.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo up test faults verify bench fmt lint openapi sqlx clean
# The toolchain that the set-up chose, and `fail`, for every recipe below.
env := . scripts/env;

help: ## This list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 18

demo: ## Set up, build a sample git repository by hand and by a signed push, prove both images, stop
	@scripts/setup build run proof
	@scripts/demo

up: ## Set up and run the service in the foreground; ARGS='--listen 127.0.0.1:8000'
	@scripts/setup build run proof
	@$(env) cargo build --locked --profile demo --bin slipway
	@exec "$${CARGO_TARGET_DIR:-target}/demo/slipway" up $(ARGS)

test: ## Set up and pass every test; ARGS='-p dockerfile' for less
	@scripts/setup build run proof test
	@scripts/test $(ARGS)

faults: ## Faults from seeds; SEED=17 COUNT=1 plays one once more, COUNT=200 writes docs/faults.md
	@scripts/setup build run proof test
	@SEED='$(SEED)' COUNT='$(COUNT)' scripts/faults

verify: ## What takes longer: the list is in scripts/verify
	@scripts/setup build run proof test verify
	@scripts/verify

bench: ## The queue, and one build against buildah; writes bench/RESULTS.md
	@scripts/setup build run proof bench
	@bench/run

fmt: ## Format the code
	@scripts/setup build
	@$(env) cargo fmt --all

lint: ## Formatting, clippy and shellcheck, as CI has them
	@scripts/setup build verify
	@scripts/lint

openapi: ## Write openapi.yaml from the code
	@scripts/setup build
	@$(env) UPDATE_OPENAPI=1 cargo test --locked -p server openapi

sqlx: ## Write .sqlx from the queries, against a fresh Postgres
	@scripts/setup build run
	@$(env) scripts/sqlx-prepare

clean: ## Remove what was built and the demo's data; the cached base image stays
	@$(env) cargo clean
	@rm -rf .demo 2>/dev/null || unshare --user --map-root-user --map-auto rm -rf .demo
