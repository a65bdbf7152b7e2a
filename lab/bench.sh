# shellcheck shell=bash disable=SC2034,SC2154  # set for and by those that source this
# What the benchmarks share. bench-*.sh set $here and source it.

lab=$here/lab.sh
clusterctl=$(realpath -m -- "${CLUSTERCTL:-${CARGO_TARGET_DIR:-$here/../target}/release/clusterctl-rs}")
rounds=${BENCH_ROUNDS:-3}

die() { printf 'bench: %s\n' "$*" >&2; exit 1; }
# The comment that the benchmark begins with.
usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0"; }

now() { echo $(($(date +%s%N) / 1000000)); }
seconds() { awk -v ms="$1" 'BEGIN {printf "%.2f s", ms / 1000}'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.2f", a / b}'; }

# median FILE WHO COLUMN: of a column of WHO's lines
median() {
  awk -v who="$2" -v n="$3" '$1 == who {print $n}' "$1" | sort -n |
    awk '{v[NR] = $1} END {m = int((NR + 1) / 2); print NR % 2 ? v[m] : (v[m] + v[m + 1]) / 2}'
}

# heading KIND: on what this was measured, with $version and $artifacts
heading() {
  echo "Kubernetes $version, $1, from $artifacts"
  echo "$(nproc) cores, Linux $(uname -r), load $(cut -d' ' -f1-3 /proc/loadavg), $(date -u +%F)"
}
