#!/usr/bin/env bash
# Every test: installs what the tests need, builds, runs the tests of both
# packages, then the end-to-end tests on lab hosts. E2E_THREADS says how many of
# those run at once (2): each starts hosts of its own.
set -euo pipefail
shopt -s inherit_errexit

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# Which components there can be is found out with curl.
command -v curl >/dev/null || lab/packages.sh --test
components=$(lab/artifacts.sh --kind)
read -r kind version artifacts why <<<"$components"
echo "End-to-end tests run on: $kind Kubernetes components, $version, $artifacts ($why)"

lab/packages.sh --test
rust=$(lab/rust.sh)
PATH=$rust:$PATH:/usr/sbin # sshd
export PATH

cargo build --locked --workspace --bins
LAB_IMAGE=$(lab/image.sh)
export LAB_IMAGE
cargo test --locked --workspace

# From here on they are a directory like any other, stand-ins or downloads. Images are
# downloaded once, not by each of hundreds of hosts.
components=$(lab/artifacts.sh --images)
read -r kind version artifacts why <<<"$components"
export CLUSTERCTL_ARTIFACTS=$artifacts
echo "End-to-end tests, on: $kind Kubernetes components, $version, $artifacts ($why)"
cargo test --locked --workspace --test e2e -- --test-threads="${E2E_THREADS:-2}" --skip ha:: --skip kube_vip::
# They look how long clients wait: alone.
cargo test --locked --workspace --test e2e -- --test-threads=1 ha:: kube_vip::
