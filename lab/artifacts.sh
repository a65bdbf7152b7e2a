#!/usr/bin/env bash
# Chooses the Kubernetes components of a demo, a test or a benchmark, and prints
# one line: their kind (real or standin), their version, their directory.
#
#   artifacts.sh            make the stand-ins' directory if they are what is used
#   artifacts.sh --kind     only look; the directory of stand-ins may not be there yet
#   artifacts.sh --real     real ones, or fail
#
# The first of these that there is:
#   1. $CLUSTERCTL_ARTIFACTS, a directory
#   2. the newest version in the cache of downloads, ~/.cache/clusterctl-rs
#   3. the stand-ins (standins/), of the version that $STANDIN_VERSION names (v1.36.2)
set -euo pipefail
shopt -s inherit_errexit

top=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$top/target}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/clusterctl-rs

die() { printf 'artifacts: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"; }

case $(uname -m) in
  x86_64) arch=amd64 ;;
  aarch64) arch=arm64 ;;
  *) die "no Kubernetes for $(uname -m)" ;;
esac

# Components say their version themselves: a directory's name may lie.
version_of() { "$1/linux-$arch/kubelet" --version | awk '{print $2}'; }

# Stand-ins answer as the real ones do, but each copy ends in this mark.
kind_of() {
  if tail -c 64 "$1/linux-$arch/kubelet" | grep -aq standin-release: 2>/dev/null; then
    echo standin
  else
    echo real
  fi
}

# Nodes pull images that the directory does not hold. So a cache without
# images will do where their registry can be reached, and nowhere else.
can_have_images() {
  compgen -G "$1/linux-$arch/images/*.tar" >/dev/null ||
    curl -fsS -m 5 -o /dev/null https://registry.k8s.io/v2/ 2>/dev/null
}

newest_in_cache() {
  local dir
  for dir in $(printf '%s\n' "$cache"/v* | sort -Vr); do
    [[ -x $dir/linux-$arch/kubelet && -x $dir/linux-$arch/kubectl && -s $dir/SHA256SUMS ]] || continue
    ! can_have_images "$dir" || { echo "$dir"; return; }
  done
}

# Whoever comes second waits, and finds them made.
make_standins() {
  local program=$target/debug/standin
  [[ -x $program ]] || die "the stand-ins are not built: run cargo build --package clusterctl-standins"
  mkdir -p "$target/standins"
  exec 9>"$target/standins/lock"
  flock 9
  [[ ! $1/SHA256SUMS -nt $program ]] || return 0
  rm -rf "$1" "$1.new"
  "$program" artifacts --version "$2" --out "$1.new" >&2
  # Dated now: newer than the program, whatever the program gave it.
  touch "$1.new/SHA256SUMS"
  mv "$1.new" "$1"
}

kind_only=no real_only=no
for option in "$@"; do
  case $option in
    --kind) kind_only=yes ;;
    --real) real_only=yes ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done

if [[ -n ${CLUSTERCTL_ARTIFACTS:-} ]]; then
  dir=$(realpath -m -- "$CLUSTERCTL_ARTIFACTS")
  [[ -x $dir/linux-$arch/kubelet ]] || die "CLUSTERCTL_ARTIFACTS: $dir/linux-$arch/kubelet does not exist"
else
  dir=$(newest_in_cache)
fi

if [[ -n $dir ]]; then
  version=$(version_of "$dir")
  kind=$(kind_of "$dir")
else
  kind=standin
  version=${STANDIN_VERSION:-v1.36.2}
  dir=$target/standins/$version
fi

[[ $real_only = no || $kind = real ]] ||
  die "no real Kubernetes components found: set CLUSTERCTL_ARTIFACTS" \
    "to a directory of them (CONTRIBUTING.md says what is in it)"
[[ $kind = real || $kind_only = yes || -n ${CLUSTERCTL_ARTIFACTS:-} ]] || make_standins "$dir" "$version"
printf '%s %s %s\n' "$kind" "$version" "$dir"
