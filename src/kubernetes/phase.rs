//! The steps of a bring-up that rendered things belong to.

use std::fmt;

/// A step of a bring-up, by kubeadm's name where kubeadm has one. Ordered as
/// they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// containerd's configuration.
    ContainerRuntime,
    /// The kubelet's unit: what its package brings elsewhere, so that kubeadm
    /// can take over from here.
    KubeletUnit,
    /// Kubeconfigs and the identity of control planes' kubelets.
    Kubeconfig,
    /// etcd's static pod.
    Etcd,
    /// The static pods of API server, controller manager and scheduler.
    ControlPlane,
    /// A worker's own way to the API servers.
    LoadBalancer,
    /// The kubelet's files, and its start.
    KubeletStart,
    /// kubeadm-config and kubelet-config.
    UploadConfig,
    /// kubeadm-certs.
    UploadCerts,
    /// Tokens, cluster-info and what a new node may do.
    BootstrapToken,
    /// CoreDNS.
    AddonCoreDns,
    /// kube-proxy.
    AddonKubeProxy,
    /// What gives pods their network.
    PodNetwork,
}

impl Phase {
    /// Its name, such as `kubelet-start`.
    pub fn name(self) -> &'static str {
        match self {
            Phase::ContainerRuntime => "container-runtime",
            Phase::KubeletUnit => "kubelet-unit",
            Phase::Kubeconfig => "kubeconfig",
            Phase::Etcd => "etcd",
            Phase::ControlPlane => "control-plane",
            Phase::LoadBalancer => "load-balancer",
            Phase::KubeletStart => "kubelet-start",
            Phase::UploadConfig => "upload-config",
            Phase::UploadCerts => "upload-certs",
            Phase::BootstrapToken => "bootstrap-token",
            Phase::AddonCoreDns => "addons/coredns",
            Phase::AddonKubeProxy => "addons/kube-proxy",
            Phase::PodNetwork => "pod-network",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
