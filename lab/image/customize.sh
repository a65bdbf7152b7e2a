#!/bin/sh
# Turns a freshly unpacked root file system ($1) into a lab host. Run as root
# by mmdebstrap, on the machine that builds, before the tar is written.
#
# What a host needs to be a machine goes in; what makes it a Kubernetes node
# stays out: that is the product's work.
set -eu
root=$1

### containerd ###############################################################
# Kubernetes is leaving 1.x behind. A newer release's containerd needs no more
# than an older libc, while its runc needs a newer one: so that one package is
# taken and nothing else. The image's own apt does it, with lists of its own
# that are thrown away: the machine outside is not touched, and the keys are
# the image's, which are newer than those of an older machine.
# shellcheck disable=SC2016  # dpkg's own braces
major() { chroot "$root" dpkg-query -W -f '${Version}' containerd | cut -d. -f1; }

newer_containerd() (
  new=$1
  tmp=/var/cache/lab-newer
  mkdir -p "$root$tmp/lists/partial" "$root$tmp/archives/partial"
  trap 'rm -rf "$root$tmp"' EXIT
  # One line of the image's sources, with the other suite's name in it.
  sed -n "s/^\(deb \(\[[^]]*\] \)\{0,1\}[^ ]*\) [^ ]* \(main.*\)/\1 $new \3/p" \
    "$root/etc/apt/sources.list" | head -n 1 |
    # The key ring that mmdebstrap was given is a path outside.
    sed 's/ \[signed-by=[^]]*\]//' >"$root$tmp/sources.list"
  apt() {
    DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get -qq --no-install-recommends \
      -o Dpkg::Use-Pty=0 -o Dpkg::Progress-Fancy=0 \
      -o Dir::Etc::SourceList=$tmp/sources.list -o Dir::Etc::SourceParts=/dev/null \
      -o Dir::State::Lists=$tmp/lists -o Dir::Cache::Archives=$tmp/archives \
      -o Dir::Cache::PkgCache= -o Dir::Cache::SrcPkgCache= "$@"
  }
  apt update || exit 1
  steps=$(apt --simulate install containerd) || exit 1
  # Exactly one package, and it is containerd.
  [ "$(echo "$steps" | grep -E '^(Inst|Remv)' | cut -d' ' -f1,2)" = 'Inst containerd' ] || exit 1
  apt install -y containerd >/dev/null
)

if [ "$LAB_CONTAINERD" = auto ]; then
  for suite in forky sid; do
    [ "$(major)" -lt 2 ] || break
    newer_containerd "$suite" >&2 || echo "image: no containerd to be had from $suite" >&2
  done
  [ "$(major)" -ge 2 ] || echo "image: staying with containerd $(major).x" >&2
fi
# Debian's package brings a configuration that names its own CNI paths; the
# project's own packages bring none. The bare case is no file.
rm -f "$root/etc/containerd/config.toml"
rmdir "$root/etc/containerd" 2>/dev/null || :
rm -rf "$root/etc/cni" "$root/opt/cni"

### users ####################################################################
# `*` is "no password", and not "locked", which some sshd take as a closed
# account. Keys come at the first boot.
chroot "$root" usermod --password '*' --shell /bin/bash root
for user in ops opspw; do
  chroot "$root" useradd --create-home --shell /bin/bash --password '*' $user
done
echo 'opspw:lab' | chroot "$root" chpasswd
cat >"$root/etc/sudoers.d/lab" <<'SUDO'
ops   ALL=(ALL:ALL) NOPASSWD: ALL
opspw ALL=(ALL:ALL) ALL
SUDO
chmod 0440 "$root/etc/sudoers.d/lab"

### sshd #####################################################################
# Keys only: opspw's password is for sudo, and everybody knows it. All else is
# the distribution's default (MaxSessions, MaxStartups, UsePAM, sftp).
mkdir -p "$root/etc/ssh/sshd_config.d"
cat >"$root/etc/ssh/sshd_config.d/lab.conf" <<'SSHD'
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
SSHD

### identity #################################################################
# Every host makes its own at its first boot.
rm -f "$root"/etc/ssh/ssh_host_*
: >"$root/etc/machine-id"
rm -f "$root/var/lib/dbus/machine-id"
mkdir -p "$root/var/lib/dbus"
ln -s /etc/machine-id "$root/var/lib/dbus/machine-id"
: >"$root/etc/resolv.conf"
: >"$root/etc/hostname"

### systemd ##################################################################
# The kernel is the machine's: what the image's packages would set in it (pids,
# protected links) is none of a lab's business. Settings that the product adds
# are applied as on any machine.
for file in "$root"/usr/lib/sysctl.d/*.conf; do
  [ -e "$file" ] && ln -sf /dev/null "$root/etc/sysctl.d/${file##*/}"
done
[ -e "$root/etc/sysctl.conf" ] && : >"$root/etc/sysctl.conf"
# Timers that would disturb a measurement, and units that have nothing to work
# on in a container: no consoles, no hardware.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
  e2scrub_reap.service fstrim.timer logrotate.timer motd-news.timer \
  getty@tty1.service console-getty.service getty-static.service \
  systemd-udevd.service systemd-udev-trigger.service \
  systemd-udevd-control.socket systemd-udevd-kernel.socket \
  modprobe@configfs.service modprobe@dm_mod.service modprobe@drm.service \
  modprobe@efi_pstore.service modprobe@fuse.service modprobe@loop.service \
  systemd-remount-fs.service systemd-sysusers.service \
  systemd-update-utmp.service systemd-update-utmp-runlevel.service \
  dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
  sys-kernel-config.mount sys-fs-fuse-connections.mount; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
for unit in ssh containerd; do
  ln -sf /lib/systemd/system/$unit.service \
    "$root/etc/systemd/system/multi-user.target.wants/$unit.service"
done

# A program to run, and no service of the host.
rm -f "$root/etc/systemd/system/multi-user.target.wants/haproxy.service"

install -D -m 0755 "$LAB_IMAGE_DIR/entrypoint" "$root/usr/lib/lab/entrypoint"

# The engine copies the image's /var/lib into each host's volume, file by file,
# and most of the files are dpkg's: without them a host starts a second sooner.
# The link is relative, for the hooks that follow look at it from outside.
mv "$root/var/lib/dpkg" "$root/usr/lib/lab/dpkg"
ln -s ../../usr/lib/lab/dpkg "$root/var/lib/dpkg"

### size #####################################################################
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/cache/debconf/*-old \
  "$root"/var/lib/dpkg/*-old "$root"/var/log/*.log "$root"/var/log/apt
rm -f "$root"/etc/apt/apt.conf.d/99mmdebstrap "$root"/etc/dpkg/dpkg.cfg.d/99mmdebstrap
