//! The phases of `apply`, in order: what `clusterctl-rs phases` lists.

/// A phase, in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Connect, gather facts, check.
    Preflight,
    /// Create certificates and keys on this machine.
    Certs,
    /// Prepare hosts: packages, kernel, containerd, binaries, images, files.
    Hosts,
    /// Start the control plane and wait until it is healthy.
    ControlPlane,
    /// Store kubeadm-config and kubelet-config in the cluster.
    UploadConfig,
    /// Store the shared certificates, encrypted, in the cluster (on request).
    UploadCerts,
    /// RBAC for joining nodes, cluster-info, the user's own tokens.
    BootstrapToken,
    /// CoreDNS and kube-proxy.
    Addons,
    /// A load balancer on each worker (`loadBalancer: local`).
    LoadBalancer,
    /// Workers join.
    Join,
    /// The pod network.
    Network,
    /// Labels and taints, and every node Ready.
    Nodes,
    /// The admin kubeconfig on this machine.
    Kubeconfig,
    /// Removes Kubernetes from hosts. Not a phase of `apply`, so it is in no list.
    Reset,
    /// Drains a node before it is removed. Not a phase of `apply`, either.
    Drain,
}

/// What `phases` lists.
#[derive(Debug)]
pub struct PhaseInfo {
    /// Which phase.
    pub phase: Phase,
    /// Its name on the command line.
    pub name: &'static str,
    /// What it does, in one line.
    pub title: &'static str,
    /// Phases that must have run before, in this run or an earlier one.
    pub needs: &'static [Phase],
    /// Whether it needs the cluster's API.
    pub through_api: bool,
}

/// All of them, in order.
pub const PHASES: &[PhaseInfo] = &[
    PhaseInfo {
        phase: Phase::Preflight,
        name: "preflight",
        title: "connect, gather facts and check every host",
        needs: &[],
        through_api: false,
    },
    PhaseInfo {
        phase: Phase::Certs,
        name: "certs",
        title: "create the CA, certificates and keys on this machine",
        needs: &[],
        through_api: false,
    },
    PhaseInfo {
        phase: Phase::Hosts,
        name: "hosts",
        title: "prepare hosts: kernel, containerd, binaries, images, files",
        needs: &[],
        through_api: false,
    },
    PhaseInfo {
        phase: Phase::ControlPlane,
        name: "control-plane",
        title: "start the control plane and wait until it is healthy",
        needs: &[Phase::Certs, Phase::Hosts],
        through_api: false,
    },
    PhaseInfo {
        phase: Phase::UploadConfig,
        name: "upload-config",
        title: "store kubeadm-config and kubelet-config in the cluster",
        needs: &[Phase::ControlPlane],
        through_api: true,
    },
    PhaseInfo {
        phase: Phase::UploadCerts,
        name: "upload-certs",
        title: "store the shared certificates, encrypted (with --upload-certs)",
        needs: &[Phase::ControlPlane],
        through_api: true,
    },
    PhaseInfo {
        phase: Phase::BootstrapToken,
        name: "bootstrap-token",
        title: "let nodes join: RBAC, cluster-info, your own tokens",
        needs: &[Phase::ControlPlane],
        through_api: true,
    },
    PhaseInfo {
        phase: Phase::Addons,
        name: "addons",
        title: "install CoreDNS and kube-proxy",
        needs: &[Phase::ControlPlane],
        through_api: true,
    },
    PhaseInfo {
        phase: Phase::LoadBalancer,
        name: "load-balancer",
        title: "run a load balancer on each worker (loadBalancer: local)",
        needs: &[Phase::Hosts],
        through_api: false,
    },
    PhaseInfo {
        phase: Phase::Join,
        name: "join",
        title: "join workers in parallel",
        needs: &[
            Phase::Hosts,
            Phase::ControlPlane,
            Phase::UploadConfig,
            Phase::BootstrapToken,
            Phase::LoadBalancer,
        ],
        through_api: true,
    },
    PhaseInfo {
        phase: Phase::Network,
        name: "network",
        title: "set up the pod network",
        needs: &[Phase::ControlPlane],
        through_api: true,
    },
    PhaseInfo {
        phase: Phase::Nodes,
        name: "nodes",
        title: "label and taint nodes, wait until they are Ready",
        needs: &[Phase::ControlPlane],
        through_api: true,
    },
    PhaseInfo {
        phase: Phase::Kubeconfig,
        name: "kubeconfig",
        title: "write the admin kubeconfig on this machine",
        needs: &[Phase::Certs],
        through_api: false,
    },
];

/// What `reset` does.
const RESET: PhaseInfo = PhaseInfo {
    phase: Phase::Reset,
    name: "reset",
    title: "remove Kubernetes from the hosts",
    needs: &[],
    through_api: false,
};

/// What `remove-node` does first.
const DRAIN: PhaseInfo = PhaseInfo {
    phase: Phase::Drain,
    name: "drain",
    title: "move pods to other nodes",
    needs: &[],
    through_api: false,
};

impl Phase {
    /// Its entry in `phases`.
    pub fn info(self) -> &'static PhaseInfo {
        match self {
            Phase::Drain => &DRAIN,
            // The enum and the list have the same order; a test checks it.
            phase => PHASES.get(phase as usize).unwrap_or(&RESET),
        }
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        self.info().name
    }

    /// What it does, in one line.
    pub fn title(self) -> &'static str {
        self.info().title
    }

    /// The phase of that name.
    pub fn from_name(name: &str) -> Option<Phase> {
        PHASES
            .iter()
            .find(|info| info.name == name)
            .map(|info| info.phase)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_the_order_of_the_enum() {
        for (index, info) in PHASES.iter().enumerate() {
            assert_eq!(info.phase as usize, index, "{}", info.name);
            assert_eq!(Phase::from_name(info.name), Some(info.phase));
        }
        assert_eq!(Phase::Reset.name(), "reset");
    }
}
