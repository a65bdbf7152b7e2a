#!/usr/bin/env bash
# Makes lab hosts what a machine is just before `kubeadm init` or `kubeadm join`:
# binaries, CNI plugins and images in place, containerd and the kubelet's unit
# configured as kubeadm's installation guide says, and /root/kubeadm.yaml for
# `kubeadm init --config kubeadm.yaml`.
#
#   kubeadm-host.sh [--files-only] ARTIFACTS NAME...
#
#   --files-only  binaries, CNI plugins and images, and nothing configured
#
# It is what clusterctl-rs is compared with, and uses nothing of it.
set -euo pipefail
shopt -s inherit_errexit

here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
configure=yes
if [[ ${1:-} = --files-only ]]; then
  configure=no
  shift
fi
[[ $# -ge 2 ]] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}" >&2; exit 2; }
artifacts=$1
shift

# Runs on the host, with linux-ARCH of the artifacts as a tar on its input.
read -r -d '' remote <<'REMOTE' || :
set -eu
stage=$(mktemp -d /var/lib/stage.XXXXXX)
cd "$stage"
tar -xf -
for name in kubelet kubeadm kubectl crictl; do
  [ ! -e "$name" ] || install -m 755 "$name" /usr/bin/
done
install -D -m 755 -t /opt/cni/bin cni-plugins/*
for image in images/*.tar; do
  ctr -n k8s.io images import "$image" >/dev/null
done
cd /
rm -rf "$stage"
[ "$1" = yes ] || exit 0

version=$(kubelet --version | cut -d' ' -f2)
pause=$(kubeadm config images list --kubernetes-version "$version" | grep /pause:)
if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; then
  systemd=true
else
  systemd=false
fi

# containerd's own defaults, edited: they are of the version that is there.
mkdir -p /etc/containerd
containerd config default | sed -E "
  s#^( *sandbox(_image)? = ).*#\1'$pause'#
  s/^( *SystemdCgroup = ).*/\1$systemd/
  s/^( *restrict_oom_score_adj = ).*/\1true/
  s#^( *bin_dirs = ).*#\1['/opt/cni/bin']#" >/etc/containerd/config.toml
systemctl restart containerd
sysctl -q -w net.ipv4.ip_forward=1

# The unit and its drop-in as Kubernetes' packages bring them.
units=/usr/lib/systemd/system
mkdir -p $units/kubelet.service.d
cat >$units/kubelet.service <<'UNIT'
[Unit]
Description=kubelet: The Kubernetes Node Agent
Documentation=https://kubernetes.io/docs/
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/bin/kubelet
Restart=always
StartLimitInterval=0
RestartSec=10

[Install]
WantedBy=multi-user.target
UNIT
cat >$units/kubelet.service.d/10-kubeadm.conf <<'UNIT'
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
UNIT
systemctl daemon-reload
systemctl enable -q kubelet

# What a container needs and a machine does not: see `lab.sh inventory`.
{
  cat <<YAML
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
nodeRegistration:
  ignorePreflightErrors: [SystemVerification, Swap, NumCPU]
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: $version
networking: {podSubnet: 10.244.0.0/16}
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
conntrack: {maxPerCore: 0, min: 0}
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failSwapOn: false
YAML
  [ $systemd = true ] || printf '%s\n' 'failCgroupV1: false' 'cgroupDriver: cgroupfs'
} >/root/kubeadm.yaml
REMOTE

case $(uname -m) in
  aarch64) arch=arm64 ;;
  *) arch=amd64 ;;
esac
tree=$artifacts/linux-$arch

prepare() {
  tar -C "$tree" -cf - . | "$here/lab.sh" exec "$1" sh -c "$remote" sh "$configure"
}

pids=()
for name in "$@"; do
  prepare "$name" &
  pids+=($!)
done
status=0
for pid in "${pids[@]}"; do wait "$pid" || status=1; done
[[ $status = 0 ]] || echo "kubeadm-host: not every host could be prepared: $*" >&2
exit $status
