#!/usr/bin/env bash
# Installs the distribution's packages that the demo needs, and says so first.
# What is there already, from wherever, is left alone.
#
#   packages.sh          for the demo
#   packages.sh --test   for the tests and the linters, too
set -euo pipefail

say() { printf 'packages: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

wanted='docker:docker.io mmdebstrap:mmdebstrap ssh:openssh-client cc:gcc cc:libc6-dev
  flock:util-linux curl:curl'
case ${1:-} in
  '') ;;
  --test) wanted+=' sshd:openssh-server openssl:openssl shellcheck:shellcheck sudo:sudo skopeo:skopeo' ;;
  *) die "usage: packages.sh [--test]" ;;
esac

# sshd and friends are where a plain user's PATH does not look.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
missing=()
for pair in $wanted; do
  command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
done
# The lab's hosts are Debian whatever this machine is: its keys must be here.
[[ -e /usr/share/keyrings/debian-archive-keyring.gpg ]] || missing+=(debian-archive-keyring)

as_root() {
  if [[ $(id -u) = 0 ]]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "this needs root or sudo: $*"
  fi
}

has() { [[ " ${missing[*]} " = *" $1 "* ]]; }

if [[ ${#missing[@]} -gt 0 ]]; then
  command -v apt-get >/dev/null || die "there is no apt-get; install the contents of these packages: ${missing[*]}"
  say "installing with apt-get: ${missing[*]}"
  ! has docker.io || say "this starts docker's daemon, now and at boot"
  ! has openssh-server || say "the tests start their own sshd: the package's service is disabled"
  as_root apt-get update -qq >&2
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 </dev/null
  if has openssh-server && [[ -d /run/systemd/system ]]; then
    as_root systemctl disable --now ssh.service ssh.socket >&2 2>/dev/null || :
  fi
fi

# A user outside the group docker asks by sudo, as lab.sh does.
engine() {
  docker version >/dev/null 2>&1 || { [[ $(id -u) != 0 ]] && sudo docker version >/dev/null 2>&1; }
}
if ! engine; then
  say "starting docker's daemon"
  as_root systemctl start docker 2>/dev/null || as_root service docker start >&2 || :
  for _ in $(seq 30); do
    ! engine || exit 0
    sleep 1
  done
  die "docker is not responding; check 'docker version'"
fi
