#!/usr/bin/env bash
# How long from a bare host to an API that answers, against kubeadm on the same
# host; and how long for five workers against one.
#
#   bench-bringup.sh [control-plane|workers]...     (both)
#
# Control plane: `kubeadm init` on the host, over ssh, and `clusterctl-rs apply
# --yes` with an inventory of that one host, in turns, each on a fresh host. Both
# have the binaries and images in place. kubeadm finds containerd and the kubelet's
# unit configured as well; what apply does about them, its checks over SSH and the
# pod network, which kubeadm leaves to others, is part of its time.
#
# Workers: `apply` once more, after one or five hosts were added to the inventory
# of a running control plane. All hosts of a lab share this machine's cores, which real
# ones don't; so each worker gets the same share of them, however many there are, and five
# are no slower for want of CPU.
#
# Environment:
#   CLUSTERCTL_ARTIFACTS  real components; without them there is nothing to measure
#   CLUSTERCTL            the program (target/release/clusterctl-rs)
#   BENCH_ROUNDS          how often each (3)
#   BENCH_WORKERS         how many workers are many (5)
#   BENCH_SHARE           CPUs of each worker (a fifth of half of all; 0: no limit)
#   BENCH_ONLY            kubeadm: of the control plane only kubeadm's half
set -euo pipefail
shopt -s inherit_errexit

here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
export LAB_PREFIX=bench
# shellcheck source=lab/bench.sh
source "$here/bench.sh"
many=${BENCH_WORKERS:-5}
# Together, even many workers leave half of the machine to the control plane and the program.
share=${BENCH_SHARE:-$(awk -v cores="$(nproc)" -v many="$many" 'BEGIN {printf "%.2f", cores * 0.5 / many}')}
patience=600 # seconds until one bring-up counts as failed

parts=("$@")
[[ $# -gt 0 ]] || parts=(control-plane workers)
for part in "${parts[@]}"; do
  case $part in
    control-plane | workers) ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done

components=$("$here/artifacts.sh" --real)
read -r _ version artifacts <<<"$components"
contenders=(kubeadm apply)
[[ ${BENCH_ONLY:-} != kubeadm ]] || contenders=(kubeadm)
[[ ${BENCH_ONLY:-} = kubeadm || -x $clusterctl ]] ||
  die "$clusterctl does not exist: run cargo build --release, or set CLUSTERCTL"
compgen -G "$artifacts/linux-*/kubeadm" >/dev/null || die "$artifacts contains no kubeadm to compare with"
compgen -G "$artifacts/linux-*/images/*.tar" >/dev/null ||
  die "$artifacts contains no images: pulling them would dominate the measurement"

work=$(mktemp -d)
trap '"$lab" down; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

### measuring ################################################################

# What a load balancer would ask, and without credentials.
answers() {
  [[ $(curl -sk -m 2 -o /dev/null -w '%{http_code}' "https://$1:6443/readyz") = 200 ]]
}

# measure ADDRESS CMD...: sets $ready and $returned, milliseconds from the start
# until /readyz said 200 and until the command was done
measure() {
  local address=$1 log=$work/log begin pid
  shift
  begin=$(now)
  timeout "$patience" "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  ready=
  while kill -0 $pid 2>/dev/null; do
    if answers "$address"; then
      ready=$(($(now) - begin))
      break
    fi
    sleep 0.05
  done
  wait $pid || { tail -n 40 "$log" >&2; die "failed after $(($(now) - begin)) ms: $*"; }
  returned=$(($(now) - begin))
  [[ -n $ready ]] || die "it returned, but $address:6443/readyz does not respond: $*"
}

### hosts ####################################################################

# fresh N [--files-only]: N new hosts with Kubernetes' files in place
fresh() {
  local n=$1 names
  shift
  "$lab" down
  "$lab" up "$n"
  mapfile -t names < <("$lab" list | cut -f1)
  "$here/kubeadm-host.sh" "$@" "$artifacts" "${names[@]}"
  rm -rf "$work/run"
  mkdir "$work/run" # the operator's state lies beside the inventory
  # What preparing wrote must not be flushed while the clock runs.
  sync
  sleep 2
}

address_of() { "$lab" list | awk -v name="$1" '$1 == name {print $2}'; }
inventory() { "$lab" inventory --kubernetes-version "$version" --artifacts "$artifacts"; }

### control plane ############################################################

run_kubeadm() {
  local address ssh
  fresh 1
  address=$(address_of bench1)
  "$lab" known-hosts >"$work/known_hosts"
  # Not through lab.sh, which asks docker things first.
  ssh=(ssh -F /dev/null -i "$("$lab" key)" -o IdentitiesOnly=yes -o BatchMode=yes
    -o "UserKnownHostsFile=$work/known_hosts" "root@$address")
  measure "$address" "${ssh[@]}" kubeadm init --config kubeadm.yaml
}

run_apply() {
  fresh 1 --files-only
  inventory >"$work/run/inventory.yaml"
  measure "$(address_of bench1)" "$clusterctl" apply -i "$work/run/inventory.yaml" --yes
}

control_plane() {
  local round order who results=$work/control-plane
  echo
  echo "Control plane, from the command's start"
  printf '%-7s %-13s %12s %12s\n' round what "/readyz 200" "returned"
  for ((round = 1; round <= rounds; round++)); do
    order=("${contenders[@]}")
    # In turns, so that neither always has the warmer machine.
    ((round % 2)) || mapfile -t order < <(printf '%s\n' "${contenders[@]}" | tac)
    for who in "${order[@]}"; do
      "run_$who"
      printf '%s %s %s\n' "$who" "$ready" "$returned" >>"$results"
      printf '%-7s %-13s %12s %12s\n' "$round" "$who" "$(seconds "$ready")" "$(seconds "$returned")"
    done
  done
  for who in "${contenders[@]}"; do
    printf '%-7s %-13s %12s %12s\n' median "$who" \
      "$(seconds "$(median "$results" "$who" 2)")" "$(seconds "$(median "$results" "$who" 3)")"
  done
  [[ ${#contenders[@]} = 2 ]] || return 0
  printf '%-7s %-13s %12s %12s\n' ratio apply/kubeadm \
    "$(ratio "$(median "$results" apply 2)" "$(median "$results" kubeadm 2)")" \
    "$(ratio "$(median "$results" apply 3)" "$(median "$results" kubeadm 3)")"
}

### workers ##################################################################

# run_workers N: sets $returned of an apply that adds N workers
run_workers() {
  local file=$work/run/inventory.yaml names
  fresh $(($1 + 1)) --files-only
  mapfile -t names < <("$lab" list | cut -f1)
  "$lab" limit "$share" "${names[@]:1}"
  inventory >"$work/whole.yaml"
  grep -v 'roles: \[worker\]' "$work/whole.yaml" >"$file"
  measure "$(address_of bench1)" "$clusterctl" apply -i "$file" --yes
  cp "$work/whole.yaml" "$file"
  measure "$(address_of bench1)" "$clusterctl" apply -i "$file" --yes
}

workers() {
  local round count counts results=$work/workers
  echo
  echo "Workers of $share CPUs each, added to a running control plane by one apply"
  printf '%-7s %-13s %12s\n' round workers returned
  for ((round = 1; round <= rounds; round++)); do
    counts=(1 "$many")
    ((round % 2)) || counts=("$many" 1)
    for count in "${counts[@]}"; do
      run_workers "$count"
      printf '%s %s\n' "$count" "$returned" >>"$results"
      printf '%-7s %-13s %12s\n' "$round" "$count" "$(seconds "$returned")"
    done
  done
  for count in 1 "$many"; do
    printf '%-7s %-13s %12s\n' median "$count" "$(seconds "$(median "$results" "$count" 2)")"
  done
  printf '%-7s %-13s %12s\n' ratio "$many/1" \
    "$(ratio "$(median "$results" "$many" 2)" "$(median "$results" 1 2)")"
}

heading real
for part in "${parts[@]}"; do
  case $part in
    control-plane) control_plane ;;
    workers) workers ;;
  esac
done
