#!/usr/bin/env bash
# What several control planes cost against one, and what a node more costs in a
# large cluster against a small one.
#
#   bench-ha.sh [control-planes|add-node]...     (both)
#
# Control planes: `apply --yes` on one fresh host and on three, in turns. All hosts of a
# lab share this machine's cores, which real ones don't; so each gets the same share of
# them, however many there are.
#
# add-node: one worker, added to a cluster of 3 nodes and to one of 30, in turns.
# 27 of the 30 are Nodes in the API and hosts in the inventory, at addresses where
# nobody answers: whoever tried to reach one would wait for it. How often sshd let
# somebody in on the hosts that stand already is counted.
#
# Environment:
#   CLUSTERCTL_ARTIFACTS  components; without them, what artifacts.sh finds
#   CLUSTERCTL            the program (target/release/clusterctl-rs)
#   BENCH_ROUNDS          how often each (3)
#   BENCH_SHARE           CPUs of each control plane (a third of half of all; 0: no limit)
set -euo pipefail
shopt -s inherit_errexit

here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
export LAB_PREFIX=benchha
# shellcheck source=lab/bench.sh
source "$here/bench.sh"
strangers=27
share=${BENCH_SHARE:-$(awk -v cores="$(nproc)" 'BEGIN {printf "%.2f", cores * 0.5 / 3}')}

parts=("$@")
[[ $# -gt 0 ]] || parts=(control-planes add-node)
for part in "${parts[@]}"; do
  case $part in
    control-planes | add-node) ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done

components=$("$here/artifacts.sh")
read -r kind version artifacts <<<"$components"
[[ -x $clusterctl ]] || die "$clusterctl does not exist: run cargo build --release, or set CLUSTERCTL"
kubectl=$(compgen -G "$artifacts/linux-*/kubectl") || die "$artifacts contains no kubectl"

work=$(mktemp -d)
trap '"$lab" down; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# timed CMD...: sets $took, milliseconds
timed() {
  local begin log=$work/log
  begin=$(now)
  "$@" >"$log" 2>&1 </dev/null || { tail -n 40 "$log" >&2; die "failed: $*"; }
  took=$(($(now) - begin))
}

# compare FILE FEW MANY: the medians and their ratio
compare() {
  local one
  for one in "$2" "$3"; do
    printf '%-7s %-6s %10s\n' median "$one" "$(seconds "$(median "$1" "$one" 2)")"
  done
  printf '%-7s %-6s %10s\n' ratio "$3/$2" "$(ratio "$(median "$1" "$3" 2)" "$(median "$1" "$2" 2)")"
}

# fresh N: N new hosts, and no operator state
fresh() {
  "$lab" down
  "$lab" up "$1"
  rm -rf "$work/run"
  mkdir "$work/run"
  # What starting them wrote must not be flushed while the clock runs.
  sync
  sleep 2
}

# inventory CONTROL-PLANES
inventory() {
  "$lab" inventory --kubernetes-version "$version" --artifacts "$artifacts" --control-planes "$1"
}

control_planes() {
  local round count counts names results=$work/control-planes
  echo
  echo "Control planes of $share CPUs each, one apply on fresh hosts until it returns"
  for ((round = 1; round <= rounds; round++)); do
    counts=(1 3)
    # In turns, so that neither always has the warmer machine.
    ((round % 2)) || counts=(3 1)
    for count in "${counts[@]}"; do
      fresh "$count"
      mapfile -t names < <("$lab" list | cut -f1)
      "$lab" limit "$share" "${names[@]}"
      inventory "$count" >"$work/run/inventory.yaml"
      timed "$clusterctl" apply -i "$work/run/inventory.yaml" --yes
      printf '%s %s\n' "$count" "$took" >>"$results"
      printf '%-7s %-6s %10s\n' "$round" "$count" "$(seconds "$took")"
    done
  done
  compare "$results" 1 3
}

# strangers apply|delete: the Nodes of hosts that nobody can reach
strangers() {
  local i
  for ((i = 1; i <= strangers; i++)); do
    printf -- '---\napiVersion: v1\nkind: Node\nmetadata: {name: stranger%d}\n' "$i"
  done >"$work/strangers.yaml"
  KUBECONFIG=$work/run/.clusterctl/$LAB_PREFIX/kubeconfig \
    "$kubectl" "$1" -f "$work/strangers.yaml" >/dev/null
}

# logins: on the hosts that stand already
logins() {
  local name
  for name in ${LAB_PREFIX}{1..3}; do
    "$lab" exec "$name" sh -c "journalctl --no-pager -o cat | grep -c 'Accepted publickey' || true"
  done | awk '{sum += $1} END {print sum}'
}

add_node() {
  local round nodes order i before new=${LAB_PREFIX}4 results=$work/add-node
  local file=$work/run/inventory.yaml
  fresh 4
  inventory 1 >"$work/3.yaml"
  cp "$work/3.yaml" "$work/30.yaml"
  for ((i = 1; i <= strangers; i++)); do
    echo "    - {name: stranger$i, address: 192.0.2.$i, roles: [worker]}"
  done >>"$work/30.yaml"
  grep -v "name: $new" "$work/3.yaml" >"$file"
  timed "$clusterctl" apply -i "$file" --yes
  echo
  echo "add-node of one worker, by how many nodes there are"
  for ((round = 1; round <= rounds; round++)); do
    order=(3 30)
    ((round % 2)) || order=(30 3)
    for nodes in "${order[@]}"; do
      [[ $nodes = 3 ]] || strangers apply
      cp "$work/$nodes.yaml" "$file"
      before=$(logins)
      timed "$clusterctl" add-node -i "$file" "$new" --yes
      printf '%s %s\n' "$nodes" "$took" >>"$results"
      printf '%-7s %-6s %10s   %d logins on the hosts that stand\n' "$round" "$nodes" \
        "$(seconds "$took")" $(($(logins) - before))
      # Its state stays on this machine, its host is as it was.
      timed "$clusterctl" remove-node -i "$file" "$new" --yes --force
      [[ $nodes = 3 ]] || strangers delete
    done
  done
  compare "$results" 3 30
}

heading "$kind"
for part in "${parts[@]}"; do
  case $part in
    control-planes) control_planes ;;
    add-node) add_node ;;
  esac
done
