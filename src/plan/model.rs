//! The plan: everything `apply` would do, and nothing else.

use std::sync::Arc;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::Node;
use pki::Decision;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::removals::Removal;
use crate::cluster::api::ClusterApi;
use crate::cluster::lock::LockSeen;
use crate::cluster::survey::Surveyed;
use crate::desired::context::Context;
use crate::desired::target::Target;
use crate::host::{Action as HostAction, Change, Facts, HostPlan, Kind, Resource};
use crate::inventory::Host;
use crate::kubernetes::api::{AppliedSet, ClusterLock, Health, ObjectChange, node_ready};
use crate::kubernetes::network::pod_network;
use crate::kubernetes::upload_certs::CertificateKey;
use crate::run::error::Error;
use crate::run::phase::Phase;
use crate::run::selection::Selection;

/// Everything that a run would do.
#[derive(Debug)]
pub struct Plan {
    /// The selected phases.
    pub(crate) phases: Selection,
    /// What hosts and objects are rendered from.
    pub(crate) context: Arc<Context>,
    /// Certificates and keys, and what would happen to each.
    pub certs: Vec<Decision>,
    /// The control plane whose API the run uses, selected or not.
    pub(crate) first: Surveyed,
    /// All reachable control planes.
    pub(crate) control_planes: Vec<Surveyed>,
    /// Whether there is a cluster already, so that its control planes are changed one at a
    /// time.
    pub(crate) live: bool,
    /// Whether its API responds.
    pub(crate) responds: bool,
    /// The work on each selected host.
    pub work: Vec<Work>,
    /// The objects that the cluster should hold, by phase.
    pub(crate) objects: Vec<(Phase, Value)>,
    /// Which of them would change, by phase; `None` if the API server is unreachable.
    pub object_changes: Option<Vec<(Phase, ObjectChange)>>,
    /// Objects that would be deleted, in that order.
    pub(crate) removals: Vec<Removal>,
    /// The parent of our applied set as it should be; one of `objects`, too.
    pub(crate) applied_set: Value,
    /// The key that encrypts the shared certificates; `None` if they are not uploaded.
    pub certificate_key: Option<CertificateKey>,
    /// Whether the admin kubeconfig would be written.
    pub kubeconfig: bool,
    /// What was seen of the lock of the cluster.
    pub(crate) lock: LockSeen,
}

/// Work on one host.
#[derive(Debug)]
pub struct Work {
    /// The host and its session.
    pub surveyed: Surveyed,
    /// Changes that need no API.
    pub prepare: HostPlan,
    /// Changes that make a worker join, once the API server is up.
    pub join: Option<HostPlan>,
    /// The resources behind `join`: they are observed again right before.
    pub(crate) join_resources: Vec<Resource>,
    /// Its Node, if there is one.
    pub node: Option<Node>,
    /// Whether it has joined, but its Node is gone: its kubelet registers again when
    /// restarted.
    pub registers_again: bool,
    /// Whether its pod network, labels or taints wait until it has registered.
    pub waits_for_node: bool,
    /// What happens to its etcd member.
    pub etcd: Option<EtcdStep>,
    /// Labels that would change.
    pub labels: Option<ObjectChange>,
    /// Taints to add to the Node.
    pub taints: Vec<String>,
    /// Taints to remove from the Node, because they are no longer in the inventory.
    pub removed_taints: Vec<String>,
}

/// What happens to the etcd member of a control plane of a running cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EtcdStep {
    /// It joins as a learner and is promoted once it has caught up.
    Join,
    /// It has lost its data: it is removed, and joins again as a learner.
    Replace,
    /// It is a learner and is promoted.
    Promote,
}

impl Work {
    /// Whether a node in use is disrupted: its kubelet, or something that it needs, is
    /// restarted.
    pub(crate) fn disturbs(&self) -> bool {
        let mut changes = self.prepare.changes.iter();
        let restarts =
            |change: &Change| change.action == HostAction::Restart && change.kind == Kind::Unit;
        self.node.is_some() && changes.any(restarts)
    }

    /// Whether its kubelet's certificate has ended, so that it joins again as the same Node.
    pub(crate) fn joins_again(&self) -> bool {
        self.join.is_some() && self.node.is_some()
    }

    /// Whether a component of its control plane is restarted.
    pub(crate) fn restarts_control_plane(&self) -> bool {
        self.prepare
            .changes
            .iter()
            .any(|change| change.action == HostAction::Restart && change.kind == Kind::StaticPod)
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.surveyed.host
    }

    /// The host's name.
    pub fn name(&self) -> &str {
        &self.surveyed.host.name
    }

    /// Whether it is a control plane.
    pub fn is_control_plane(&self) -> bool {
        self.surveyed.host.is_control_plane()
    }

    /// Whether its Node does not exist yet, so that network, labels and taints wait for it.
    pub fn is_new(&self) -> bool {
        self.node.is_none()
    }

    /// The packages to install before the container runtime's version, and with it the
    /// format of its configuration, is known.
    pub(crate) fn runtime_packages(&self) -> Vec<&str> {
        let installs = |name: &&str| name.starts_with("containerd");
        let packages: Vec<&str> = self
            .prepare
            .changes
            .iter()
            .filter(|change| change.action == HostAction::Install && change.kind == Kind::Package)
            .map(|change| change.name.as_str())
            .collect();
        if packages.iter().any(installs) {
            packages
        } else {
            Vec::new()
        }
    }

    /// Whether its kubelet is restarted.
    pub(crate) fn restarts_kubelet(&self) -> bool {
        self.prepare.changes.iter().any(|change| {
            matches!(change.action, HostAction::Restart | HostAction::Start)
                && change.name == "kubelet.service"
        })
    }

    /// Whether this repairs a node that is down: its kubelet is not running, or the API
    /// reports it as not Ready.
    pub(crate) fn mends(&self) -> bool {
        let stopped =
            self.prepare.changes.iter().any(|change| {
                change.action == HostAction::Start && change.name == "kubelet.service"
            });
        let down = |node: &Node| stopped || node_ready(node) != Health::Ok;
        !self.prepare.changes.is_empty() && self.node.as_ref().is_some_and(down)
    }

    /// The number of changes to it and its Node.
    pub fn count(&self) -> usize {
        self.prepare.changes.len()
            + self.join.as_ref().map_or(0, |plan| plan.changes.len())
            + usize::from(self.waits_for_node)
            + usize::from(self.registers_again)
            + usize::from(self.etcd.is_some())
            + usize::from(self.labels.is_some())
            + self.taints.len()
            + self.removed_taints.len()
    }

    /// Whether there are no changes to it or its Node.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }
}

impl Plan {
    /// Refuses if another run is changing the cluster.
    ///
    /// # Errors
    /// [`Error::Held`].
    pub fn refuse_held(&self) -> Result<(), Error> {
        self.lock.refuse_held()
    }

    /// The control plane whose API the run uses.
    pub(crate) fn first(&self) -> &Surveyed {
        &self.first
    }

    /// Whether `host` is a control plane that is not in the cluster yet.
    pub(crate) fn is_new_control_plane(&self, host: &Host) -> bool {
        let mut reached = self.control_planes.iter();
        reached.any(|one| one.host.name == host.name && !self.context.owns(one))
    }

    /// Whether `kubeadm join --control-plane` works here: kubeadm refuses it in a
    /// cluster whose kubeadm-config names no endpoint.
    pub fn control_planes_join_by_hand(&self) -> bool {
        let context = &self.context;
        context.endpoints.for_kubeadm(&context.cluster).is_some()
    }

    /// Whether we set up the pod network, host by host.
    pub(crate) fn bridge(&self) -> bool {
        pod_network(&self.context.cluster).needs_pod_cidr()
    }

    /// Plans `prepare` again for a host whose facts have changed since, because a container
    /// runtime was installed.
    pub(crate) fn prepared_again(
        &self,
        work: &Work,
        facts: &Facts,
    ) -> Result<Vec<Resource>, Error> {
        let resources = self.context.resources(&Target {
            host: work.host(),
            facts,
            joined: work.join.is_none(),
            pod_cidrs: &work.node.as_ref().map(pod_cidrs).unwrap_or_default(),
        })?;
        Ok(resources
            .into_iter()
            .filter(|(phase, _)| self.phases.has(*phase))
            .filter(|(phase, _)| *phase != Phase::Join || work.join.is_none())
            .map(|(_, resource)| resource)
            .collect())
    }

    /// What a node gets once it has registered: files that hold its pod CIDR,
    /// and the end of its bootstrap kubeconfig.
    pub(crate) fn after_registration(
        &self,
        work: &Work,
        pod_cidrs: &[IpNet],
    ) -> Result<Vec<Resource>, Error> {
        let resources = self.context.resources(&Target {
            host: work.host(),
            facts: &work.surveyed.gathered.facts,
            joined: true,
            pod_cidrs,
        })?;
        Ok(resources
            .into_iter()
            .filter(|(phase, _)| self.phases.has(*phase))
            .filter(|(phase, resource)| {
                *phase == Phase::Network || matches!(resource, Resource::Absent(_))
            })
            .map(|(_, resource)| resource)
            .collect())
    }
}

/// A cluster whose API server is reachable.
pub(crate) struct Live {
    /// Clients.
    pub(crate) api: ClusterApi,
    /// The control plane it is reached through.
    pub(crate) through: String,
    /// All Nodes.
    pub(crate) nodes: Vec<Node>,
    /// Our applied set; empty if no phase of the run needs the API.
    pub(crate) applied_set: AppliedSet,
    /// The lock of the cluster; `None` if it can't be read.
    pub(crate) lock: Option<ClusterLock>,
}

impl Live {
    /// The Node of that name.
    pub(crate) fn node(&self, name: &str) -> Option<&Node> {
        self.nodes
            .iter()
            .find(|node| node.metadata.name.as_deref() == Some(name))
    }
}

/// Pod CIDRs of a Node.
pub(crate) fn pod_cidrs(node: &Node) -> Vec<IpNet> {
    let spec = node.spec.as_ref();
    spec.and_then(|spec| spec.pod_cidrs.as_deref())
        .unwrap_or_default()
        .iter()
        .filter_map(|cidr| cidr.parse().ok())
        .collect()
}
