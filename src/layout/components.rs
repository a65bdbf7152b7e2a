//! Names of the programs that make up a cluster. A static pod, its container
//! and its manifest carry the same name.

/// etcd.
pub const ETCD: &str = "etcd";
/// The API server.
pub const API_SERVER: &str = "kube-apiserver";
/// The controller manager.
pub const CONTROLLER_MANAGER: &str = "kube-controller-manager";
/// The scheduler.
pub const SCHEDULER: &str = "kube-scheduler";
/// The kubelet.
pub const KUBELET: &str = "kubelet";
/// kube-proxy: a DaemonSet, its ConfigMap and its ServiceAccount.
pub const KUBE_PROXY: &str = "kube-proxy";
/// CoreDNS: a Deployment, its ConfigMap and its ServiceAccount.
pub const COREDNS: &str = "coredns";
/// The load balancer on workers; ours.
pub const HAPROXY: &str = "haproxy";
/// The holder of the control planes' address; ours.
pub const KUBE_VIP: &str = "kube-vip";

/// Everything that may run as a static pod of ours.
pub const COMPONENTS: [&str; 6] = [
    API_SERVER,
    CONTROLLER_MANAGER,
    SCHEDULER,
    ETCD,
    HAPROXY,
    KUBE_VIP,
];
/// The static pods of a control plane whose manifests kubeadm refuses to
/// overwrite.
pub const STATIC_PODS: [&str; 4] = [API_SERVER, CONTROLLER_MANAGER, SCHEDULER, ETCD];
