#!/bin/sh
# Builds the image of a lab host and prints its tag on stdout.
#
# The image is made from the distribution's packages and nothing else, so it
# can be built wherever a package mirror is reached, even if no image registry
# is. It is tagged with a hash of everything that shapes it: as long as that is
# unchanged, this script only prints the tag.
#
#   image.sh [--suite NAME] [--containerd auto|distro] [--rebuild] [--tag-only]
#
#   --suite       bookworm (default) or trixie, whatever the machine itself runs
#   --containerd  auto:   the suite's own if it is 2.x, else a newer one
#                 distro: the suite's own, whatever its version
#   --rebuild     build even if the image is there (to take in new packages)
#   --tag-only    print the tag and build nothing
#
# Environment: LAB_SUITE and LAB_CONTAINERD are the defaults of the two first
# options; LAB_MIRROR is a mirror to use instead of the distribution's default;
# LAB_DOCKER is the docker command.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
# Bookworm by default: its systemd (252) boots under cgroup v1 and v2 alike,
# and an older Ubuntu has the keys that it is signed with.
suite=${LAB_SUITE:-bookworm}
containerd=${LAB_CONTAINERD:-auto}
rebuild=no
tag_only=no

say() { printf 'image: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0"; }

while [ $# -gt 0 ]; do
  case $1 in
    --suite) suite=${2:?--suite needs a name}; shift 2 ;;
    --containerd) containerd=${2:?--containerd needs a value}; shift 2 ;;
    --rebuild) rebuild=yes; shift ;;
    --tag-only) tag_only=yes; shift ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done
case $containerd in
  auto | distro) ;;
  *) die "--containerd must be auto or distro, not $containerd" ;;
esac
case $suite in
  bookworm | trixie) ;;
  *) die "--suite must be bookworm or trixie, not $suite" ;;
esac

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

docker=${LAB_DOCKER:-}
if [ -z "$docker" ]; then
  command -v docker >/dev/null || die "docker is not installed (package docker.io)"
  docker=docker
  docker version >/dev/null 2>&1 || docker='sudo docker'
fi

# Only the contents count, not the files' times or where they lie.
hash=$(
  {
    cat "$here/image.sh" "$here"/image/*
    printf '%s\n' "$suite" "$containerd" "${LAB_MIRROR:-}" "$(uname -m)"
  } | sha256sum | cut -c1-12
)
tag=clusterctl-lab:$hash

if [ $tag_only = yes ]; then
  echo "$tag"
  exit 0
fi
there() { $docker image inspect "$tag" >/dev/null 2>&1; }
if [ $rebuild = no ] && there; then
  echo "$tag"
  exit 0
fi

# Two labs that start at once build one image, not two.
state=${LAB_STATE:-${XDG_STATE_HOME:-$HOME/.local/state}/clusterctl-lab}
mkdir -p "$state"
exec 9>"$state/image.lock"
flock 9
if [ $rebuild = no ] && there; then
  echo "$tag"
  exit 0
fi

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
missing=
command -v mmdebstrap >/dev/null || missing=mmdebstrap
[ -e "$keyring" ] || missing="$missing debian-archive-keyring"
if [ -n "$missing" ]; then
  say "installing $missing"
  as_root apt-get update -qq >&2
  # shellcheck disable=SC2086  # a list of packages
  as_root apt-get install -y -qq --no-install-recommends $missing >&2 ||
    die "cannot install: $missing"
fi

# Per line: a machine; what a kubelet and kubeadm's preflight look for; a
# container runtime; what people expect to find; haproxy, which the kubelet
# stand-in runs in place of its image. No Python: the product must not need it,
# and here it would fail if it did.
packages='
  systemd systemd-sysv dbus openssh-server sudo ca-certificates curl kmod procps
  iproute2 iputils-ping iptables nftables conntrack ethtool ipset mount socat util-linux
  containerd runc containernetworking-plugins
  less haproxy'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# How this machine reaches its mirrors (a proxy, a clock that is off) holds for
# the build too. It does not get into the image.
apt-config dump 2>/dev/null |
  grep -E '^Acquire::(https?::Proxy|Check-Valid-Until|Check-Date) ' >"$work/apt.conf" || :

set --
# Releases of mmdebstrap before 1.0 do not merge /usr by themselves.
hooks=/usr/share/mmdebstrap/hooks
if [ ! -d $hooks/maybe-merged-usr ] && [ -d $hooks/merged-usr ]; then
  set -- "$@" --hook-dir=$hooks/merged-usr
fi
[ -s "$work/apt.conf" ] && set -- "$@" --aptopt="$work/apt.conf"

say "building $tag from the packages of $suite (one to three minutes)"
begin=$(date +%s)
# The hook's words are for the shell that mmdebstrap starts: "$1" is its root.
# shellcheck disable=SC2086,SC2016
as_root env "LAB_IMAGE_DIR=$here/image" "LAB_CONTAINERD=$containerd" \
  mmdebstrap --quiet --variant=minbase --format=tar \
  --keyring="$keyring" \
  --include="$(echo $packages | tr ' ' ',')" \
  --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  "$@" \
  --customize-hook='sh "$LAB_IMAGE_DIR/customize.sh" "$1"' \
  "$suite" "$work/root.tar" ${LAB_MIRROR:+"$LAB_MIRROR"} >&2

say "importing"
$docker import --change 'ENTRYPOINT ["/usr/lib/lab/entrypoint"]' \
  --change "LABEL rs.clusterctl.lab.suite=$suite" - "$tag" <"$work/root.tar" >/dev/null
say "built $tag in $(($(date +%s) - begin)) s"
echo "$tag"
