# quickstart: builds the plugin and syncs examples/nginx to a Kubernetes API in memory.
# test:       everything that CI runs.
# bench:      the parts of a build with criterion, then whole processes against kubectl.
# fuzz:       random trees, rendered by us and by kustomize, until something differs or it is stopped.

CARGO ?= cargo
PEERS = $(shell tests/peers.sh)
CONFORMANCE = ../shared/conformance

.PHONY: quickstart test bench fuzz fmt clippy unit engine docs deny conformance

quickstart:
	@tests/quickstart.sh

test: fmt clippy engine unit docs deny conformance

fmt:
	$(CARGO) fmt --all --check

clippy:
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

# The engine stands without kube, the plugin without what the quickstart leaves out.
engine:
	$(CARGO) check -p overlay --no-default-features --locked
	$(CARGO) check -p kubectl-overlay --no-default-features --locked

unit:
	@tests/packages.sh
	PATH="$(PEERS):$$PATH" $(CARGO) test --workspace --locked

bench:
	$(CARGO) bench -p overlay --no-default-features --bench build --locked
	$(CARGO) build --release -p kubectl-overlay --locked
	PATH="$(PEERS):$$PATH" tests/bench/compare.py

fuzz:
	PATH="$(PEERS):$$PATH" TREES=forever SEED="$${SEED:-$$(date +%s)}" \
		$(CARGO) test -p overlay --no-default-features --test differential --locked -- --nocapture

docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

deny:
	"$(PEERS)/cargo-deny" --locked check bans licenses sources

# Recorded output of kustomize, which lies beside the checkout on the project's own machines.
conformance:
	@tests/conformance.sh "$(CONFORMANCE)"
