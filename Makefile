# Two commands matter: `make demo` and `make test`. Each installs what a Debian machine lacks, as root.

CARGO ?= cargo

# Other people's tools that the tests try ours against; built once, kept outside the checkout.
PEERS = buildkit containerd containers-image cosign cosign2 ggcr litewitness openbao page registries sigstore-js sigstore-verify \
	tessera tlog-proof torchwood

.PHONY: demo test test-peers bench check setup

demo: setup ## the main job, on an embedded perimeter; ARGS="--keep DIR" keeps it
	$(CARGO) build --workspace --locked
	target/debug/countersign-demo $(ARGS)

test: setup test-peers ## every test, on the real binaries
	$(CARGO) build --workspace --locked --bins --tests
	$(CARGO) test --workspace --locked

test-peers: setup ## fetches and builds other people's tools: part of test, here to be done ahead of it
	tests/peers/get $(PEERS)

bench: ## what it costs, as ratios against other tools in the same run; quiet machines only
	tests/setup bench
	$(CARGO) build --workspace --release --locked
	target/release/countersign-bench $(ARGS)

check: ## format and lints
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

setup: ## what tests and the demo need from Debian
	tests/setup
