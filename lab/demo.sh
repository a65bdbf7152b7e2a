#!/usr/bin/env bash
# A Kubernetes cluster of three container hosts, from nothing: installs what it
# needs, builds, starts the hosts and runs `clusterctl-rs apply` on them.
#
#   demo.sh         create it, or bring the existing one in line
#   demo.sh down    remove it
#
# Everything it writes is in demo/, in target/ and in the lab's own state.
# lab/artifacts.sh says which Kubernetes components it takes.
set -euo pipefail
shopt -s inherit_errexit

top=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
cd "$top"
export LAB_PREFIX=demo
inventory=demo/inventory.yaml

say() { printf '\ndemo: %s\n' "$*"; }
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }

down() {
  if [[ -e demo ]] || command -v docker >/dev/null; then lab/lab.sh down; fi
  rm -rf demo
  echo "demo: removed the hosts and demo/; kept target/ and the hosts' image"
}

case ${1:-up} in
  up) ;;
  down) down; exit ;;
  *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0" >&2; exit 2 ;;
esac

# Which components there can be is found out with curl.
command -v curl >/dev/null || lab/packages.sh
components=$(lab/artifacts.sh --kind)
read -r kind version artifacts why <<<"$components"
components="$kind $version $artifacts"
if [[ $kind = real ]]; then
  echo "demo: real Kubernetes $version, $why ($artifacts)"
else
  echo "demo: STAND-INS for Kubernetes $version: $why"
  echo "demo: they speak its protocols and run no workload. For real Kubernetes, set CLUSTERCTL_ARTIFACTS to a"
  echo "demo: directory of its components, or name mirrors (README.md, \"Try it\")."
fi
# Half a cluster of each kind would be neither.
[[ ! -s demo/components || $(<demo/components) = "$components" ]] ||
  die "the existing demo uses other components ($(<demo/components)): run make demo-down first"

lab/packages.sh
rust=$(lab/rust.sh)
PATH=$rust:$PATH

say "building clusterctl-rs and the stand-ins"
cargo build --locked --workspace --bins
clusterctl=${CARGO_TARGET_DIR:-target}/debug/clusterctl-rs

say "starting three hosts"
LAB_IMAGE=$(lab/image.sh)
export LAB_IMAGE
lab/lab.sh up 3
lab/lab.sh list

[[ $kind != real ]] || say "getting Kubernetes $version"
lab/artifacts.sh >/dev/null # downloads, or makes the stand-ins
mkdir -p demo
echo "$components" >demo/components
if [[ -s $inventory ]]; then
  say "using the existing inventory: $inventory"
else
  say "writing the inventory: $inventory"
  pulled=()
  # Without archives, hosts pull their images.
  if [[ ${CLUSTERCTL_IMAGE_REPOSITORY:-} ]] && ! compgen -G "$artifacts/linux-*/images/*.tar" >/dev/null; then
    pulled=(--image-repository "$CLUSTERCTL_IMAGE_REPOSITORY")
  fi
  lab/lab.sh inventory --kubernetes-version "$version" --artifacts "$artifacts" "${pulled[@]}" >"$inventory.new"
  mv "$inventory.new" "$inventory"
fi

say "$clusterctl apply -i $inventory --yes"
"$clusterctl" apply -i "$inventory" --yes </dev/null || {
  status=$?
  cat >&2 <<TEXT

demo: apply failed with exit code $status; see above for the reason. Next:
  LAB_PREFIX=demo lab/lab.sh ssh demo1    logs in to a host
  make demo         continues where it stopped
  make demo-down    removes everything
TEXT
  exit $status
}

kubeconfig=demo/.clusterctl/demo/kubeconfig
kubectl=$(compgen -G "$artifacts/linux-*/kubectl" | head -n 1)
say "kubectl get nodes"
"$kubectl" --kubeconfig "$kubeconfig" get nodes -o wide
say "kubectl get pods"
"$kubectl" --kubeconfig "$kubeconfig" get pods --all-namespaces

cat <<TEXT

demo: done. To use it, run this in your shell:

  export KUBECONFIG=$top/$kubeconfig
  export CLUSTERCTL_INVENTORY=$top/$inventory
  export PATH=$(realpath -- "$(dirname -- "$clusterctl")"):$(dirname -- "$kubectl"):\$PATH

  kubectl get nodes
  clusterctl-rs apply                     nothing to change
  \$EDITOR $inventory            change something
  clusterctl-rs plan                      see what would change
  LAB_PREFIX=demo lab/lab.sh ssh demo2    log in to a host
  make demo-down                          remove everything
TEXT
