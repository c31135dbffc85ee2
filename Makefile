# Everything a person or CI does with this project. The scripts in hack/ do the work.

.DEFAULT_GOAL := help
.PHONY: help setup build demo run test lint deny bench fuzz fixture clean

help: ## what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install the Debian packages that anything below needs
	@hack/setup test

build: ## the program, as released: target/release/image-factory
	@hack/setup build
	@cargo build --release --locked

demo: ## from a schematic to two machines that boot, with times
	@hack/setup demo
	@cargo build --release --locked --quiet
	@hack/demo

run: ## the same factory, serving until Ctrl-C (PORT=8080)
	@hack/setup demo
	@cargo build --release --locked --quiet
	@hack/run

test: ## everything that must hold: style, unit tests, tests with real tools and machines
	@hack/test

lint: ## formatting, clippy, the house rules, scripts
	@hack/lint

deny: ## licences, banned crates, sources (hack/deny --advisories: these too)
	@hack/deny

bench: ## first byte, throughput against nginx, requests a second, memory, Secure Boot
	@hack/setup test
	@cargo build --release --locked --quiet
	@hack/bench

fuzz: ## property tests with many cases, and the fuzz targets where a nightly Rust is (SECONDS=60)
	@hack/fuzz $(or $(SECONDS),60)

fixture: ## the miniature Talos release that tests and demo stand on
	@hack/get-fixture

clean: ## what was built here; tools and downloads in the cache stay
	cargo clean
	cd "$${XDG_CACHE_HOME:-$$HOME/.cache}/image-factory" 2>/dev/null && rm -rf run fixture/build fixture/*release || true
