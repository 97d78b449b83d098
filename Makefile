# Two commands matter: `make demo` and `make test`. Each installs what a Debian machine lacks, as root.

CARGO ?= cargo

.PHONY: test check setup

test: setup ## every test
	$(CARGO) test --workspace --locked

check: ## format and lints
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

setup: ## what tests and the demo need from Debian
	tests/setup
