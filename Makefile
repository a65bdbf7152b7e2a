# What people type. The work is done by the scripts in lab/ and by cargo.

# A recent enough cargo, wherever it is; lab/rust.sh says so if there is none.
CARGO = PATH="$$(lab/rust.sh):$$PATH" cargo

.PHONY: help demo demo-down test lint bench-bringup bench-ha clean

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 24

demo: ## a cluster on three container hosts; installs what that needs
	@lab/demo.sh

demo-down: ## remove the demo
	@lab/demo.sh down

test: ## all tests, including the end-to-end tests on container hosts
	@lab/test.sh

lint: ## formatting, clippy, shellcheck and the documentation's links
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked --test e2e -- -D warnings # --all-targets leaves out what `cargo test` does
	shellcheck .ci/run lab/*.sh lab/image/*
	find src crates -name '*.sh' -exec shellcheck --shell=sh {} +
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --workspace --no-deps

bench-bringup: ## apply compared with kubeadm init; needs real components in CLUSTERCTL_ARTIFACTS
	@lab/artifacts.sh --kind --real
	$(CARGO) build --locked --release --bin clusterctl-rs
	@lab/bench-bringup.sh

bench-ha: ## three control planes compared with one, add-node to 30 nodes with 3
	$(CARGO) build --locked --workspace --bins # the stand-ins
	$(CARGO) build --locked --release --bin clusterctl-rs
	@lab/bench-ha.sh

clean: ## remove build and test output; keep the demo
	$(CARGO) clean
