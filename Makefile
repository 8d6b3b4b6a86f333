# One word each: quickstart to see it run, check for the habits, test for everything.
.DEFAULT_GOAL := help
.PHONY: help quickstart check fmt test check-deploy advisories load load-report soak rolling skew
SHELL := bash

TARGET := $(or $(CARGO_TARGET_DIR),target)
TOOLS := $(TARGET)/tools
CARGO_DENY := 0.20.2
TYPOS := 1.52.0
# A tool of the right name on PATH is taken; otherwise it is installed once under target/tools.
deny := $(or $(shell command -v cargo-deny),$(TOOLS)/bin/cargo-deny)
typos := $(or $(shell command -v typos),$(TOOLS)/venv/bin/typos)
scripts := src/tests/scripts

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

quickstart: ## build and start Signet on SQLite, issue a first token, keep serving (ARGS="--exit" leaves after the steps)
	cargo run --locked --bin signet -- quickstart $(ARGS)

check: $(deny) $(typos) ## format, clippy, licences and bans, spelling, documentation
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	$(deny) --locked --config .cargo/deny.toml check bans licenses sources
	$(typos) --config .typos.toml
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps

fmt: ## format the code
	cargo fmt --all

test: ## every test, with a private PostgreSQL, Redis, browser, Apache and API gateways (installs them on Debian when missing)
	bash $(scripts)/drivers.sh $(TARGET)/drivers
	SIGNET_TEST_DRIVERS=$(abspath $(TARGET)/drivers) bash $(scripts)/services.sh cargo test --locked --workspace $(ARGS)

check-deploy: ## deploy/, helm/ and dashboards/ without a cluster: every format, the image and compose files run (as root on Debian; ARGS picks)
	bash deploy/check.sh $(ARGS)

advisories: $(deny) ## known vulnerabilities of dependencies; needs the network for the advisory database
	$(deny) --locked --config .cargo/deny.toml check advisories

load: ## every load scenario and part in small, on private services: that they work, not how fast (ARGS go to `smoke`)
	bash loadtest/smoke.sh $(ARGS)

load-report: ## the whole load test of a release build, over an hour of an idle machine (ARGS: --quick, --no-growth, --rounds N)
	bash loadtest/run.sh $(ARGS)

soak: ## two replicas of a release build under traffic and faults, and what they promised checked (ARGS="--duration 1800 --seed 7")
	bash loadtest/soak.sh soak $(ARGS)

rolling: ## three replicas restarted in turn, more of them and fewer, under traffic without a failed request (ARGS="--times 20")
	bash loadtest/soak.sh rolling $(ARGS)

skew: ## this source and the last release as one fleet on one database under traffic, without a failed request
	bash loadtest/skew.sh $(ARGS)

$(TOOLS)/bin/cargo-deny:
	cargo install --locked --root $(TOOLS) cargo-deny@$(CARGO_DENY)

$(TOOLS)/venv/bin/typos:
	bash $(scripts)/venv.sh $(TOOLS)/venv typos==$(TYPOS)
