//! How nodes reach the API servers.

/// How nodes reach the API servers, resolved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LoadBalancer {
    /// There is one control plane, which all nodes use directly.
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
    /// Whether nodes go through a balancer of their own.
    pub fn is_local(&self) -> bool {
        matches!(self, LoadBalancer::Local { .. })
    }
}
