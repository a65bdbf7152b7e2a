//! How nodes reach the API servers.

/// How nodes reach the API servers, resolved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LoadBalancer {
    /// There is one control plane, and everybody goes to it.
    #[default]
    None,
    /// The operator's.
    External,
    /// haproxy on every host that is no control plane.
    Local {
        /// Its image; `None`: chosen with the other images.
        image: Option<String>,
    },
    /// kube-vip on every control plane.
    KubeVip {
        /// Its image; `None`: chosen with the other images.
        image: Option<String>,
        /// The interface that carries the address; `None`: the one that
        /// carries the host's own.
        interface: Option<String>,
    },
}

impl LoadBalancer {
    /// Where a node's own balancer answers the kubelet's probe, on loopback:
    /// beside the ports of Kubernetes' own health checks, and none of them.
    pub const HEALTH_PORT: u16 = 10247;

    /// Whether nodes go through a balancer of their own.
    pub fn is_local(&self) -> bool {
        matches!(self, LoadBalancer::Local { .. })
    }
}
