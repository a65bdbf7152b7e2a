//! The components that run as static pods on control planes.

use crate::inventory::spec::{EnvVar, HostPathMount};
use crate::inventory::{Arg, Cluster, Etcd};
use crate::layout::components;

/// A component that runs as a static pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// `etcd`
    Etcd,
    /// `kube-apiserver`
    ApiServer,
    /// `kube-controller-manager`
    ControllerManager,
    /// `kube-scheduler`
    Scheduler,
}

impl Component {
    /// The name of its pod, its container and its manifest.
    pub fn name(self) -> &'static str {
        match self {
            Component::Etcd => components::ETCD,
            Component::ApiServer => components::API_SERVER,
            Component::ControllerManager => components::CONTROLLER_MANAGER,
            Component::Scheduler => components::SCHEDULER,
        }
    }

    /// The components of a control plane of this cluster, in kubeadm's order.
    pub fn all(cluster: &Cluster) -> &'static [Component] {
        use Component::{ApiServer, ControllerManager, Etcd as Member, Scheduler};
        match cluster.etcd {
            Etcd::Local(_) => &[Member, ApiServer, ControllerManager, Scheduler],
            Etcd::External(_) => &[ApiServer, ControllerManager, Scheduler],
        }
    }

    /// What the operator adds to it.
    pub(crate) fn extras(self, cluster: &Cluster) -> Extras<'_> {
        match (self, &cluster.etcd) {
            (Component::Etcd, Etcd::Local(etcd)) => Extras {
                args: &etcd.extra_args,
                envs: &etcd.extra_envs,
                volumes: &[],
            },
            (Component::Etcd, Etcd::External(_)) => Extras {
                args: &[],
                envs: &[],
                volumes: &[],
            },
            (Component::ApiServer, _) => Extras {
                args: &cluster.api_server.extra_args,
                envs: &cluster.api_server.extra_envs,
                volumes: &cluster.api_server.extra_volumes,
            },
            (Component::ControllerManager, _) => Extras {
                args: &cluster.controller_manager.extra_args,
                envs: &cluster.controller_manager.extra_envs,
                volumes: &cluster.controller_manager.extra_volumes,
            },
            (Component::Scheduler, _) => Extras {
                args: &cluster.scheduler.extra_args,
                envs: &cluster.scheduler.extra_envs,
                volumes: &cluster.scheduler.extra_volumes,
            },
        }
    }
}

/// What the operator adds to a component.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extras<'a> {
    pub(crate) args: &'a [Arg],
    pub(crate) envs: &'a [EnvVar],
    pub(crate) volumes: &'a [HostPathMount],
}
