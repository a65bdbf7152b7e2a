//! What rendered things belong to, by kubeadm's phases where kubeadm has one.
//!
//! Files and objects have a type each, so that whoever decides when in a run
//! they are due has to decide it for all of them: there is no catch-all.

/// What a file, unit or directory of a host belongs to, in the order in which
/// they are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceGroup {
    /// The container runtime's configuration.
    ContainerRuntime,
    /// The kubelet's unit: what its package brings elsewhere, so that kubeadm
    /// can take over from here.
    KubeletUnit,
    /// Kubeconfigs and the identity of control planes' kubelets.
    Kubeconfig,
    /// etcd's static pod.
    Etcd,
    /// The static pods of API server, controller manager and scheduler, and of
    /// kube-vip.
    ControlPlane,
    /// A worker's own way to the API servers.
    LoadBalancer,
    /// The kubelet's files, and its start.
    KubeletStart,
    /// What gives pods their network.
    PodNetwork,
}

/// What an API object belongs to, in the order in which they are created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectGroup {
    /// kubeadm-config and kubelet-config.
    UploadConfig,
    /// Tokens, cluster-info and what a new node may do.
    BootstrapToken,
    /// CoreDNS.
    CoreDns,
    /// kube-proxy.
    KubeProxy,
    /// What gives pods their network.
    PodNetwork,
}
