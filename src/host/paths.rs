//! Paths of Kubernetes on a host.

/// Where kubeadm's static pods are.
pub(super) const MANIFESTS: &str = "/etc/kubernetes/manifests";

/// The static pods that kubeadm refuses to overwrite.
pub(super) const STATIC_PODS: [&str; 4] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "etcd",
];

/// What the kubelet of a host that joined has.
pub(super) const KUBELET_CONF: &str = "/etc/kubernetes/kubelet.conf";

/// The kubelet's directory.
pub(super) const KUBELET_DIRECTORY: &str = "/var/lib/kubelet";
