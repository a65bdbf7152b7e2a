//! The result of `status`, and its JSON format, which `docs/status.md` describes. Texts are
//! escaped.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The status of a cluster.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// The cluster's name.
    pub cluster: String,
    /// The version that the inventory asks for.
    pub kubernetes_version: String,
    /// When the status was taken.
    pub time: Timestamp,
    /// Whether everything is healthy. Unknown counts as unhealthy.
    pub healthy: bool,
    /// Whether anything differs from the inventory; `None` if unknown.
    pub drifted: Option<bool>,
    /// The API.
    pub api: ApiStatus,
    /// The inventory's hosts, in its order.
    pub hosts: Vec<HostStatus>,
    /// Nodes that are not in the inventory.
    pub unknown_nodes: Vec<NodeStatus>,
    /// etcd.
    pub etcd: EtcdStatus,
    /// Certificates, sorted by expiry.
    pub certificates: Vec<CertificateStatus>,
    /// The number of differences from the inventory.
    pub drift: DriftStatus,
}

/// The status of the API server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiStatus {
    /// Whether it is reachable.
    pub reachable: bool,
    /// The control plane through which it was asked.
    pub through: Option<String>,
    /// Why it is unreachable.
    pub error: Option<String>,
    /// The endpoint, if it is an external load balancer or a virtual address.
    pub endpoint: Option<EndpointStatus>,
}

/// Whether `controlPlaneEndpoint` reaches a ready API server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointStatus {
    /// `host:port`.
    pub address: String,
    /// Whether it does, as seen from a control plane.
    pub reachable: bool,
    /// Why not.
    pub error: Option<String>,
    /// With kube-vip: the control planes that hold its address. One, except while it moves.
    pub held_by: Option<Vec<String>>,
}

/// The status of a host.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostStatus {
    /// Its name in the inventory.
    pub name: String,
    /// Its Node's name.
    pub node_name: String,
    /// Its address in the inventory.
    pub address: String,
    /// `control-plane`, `worker`.
    pub roles: Vec<String>,
    /// Whether it is reachable over SSH.
    pub reachable: bool,
    /// Why it is unreachable.
    pub error: Option<String>,
    /// The kubelet's version: what its Node reports, else the installed version.
    pub kubelet_version: Option<String>,
    /// Whether its Node is Ready; `None` if the API server is unreachable.
    pub ready: Option<bool>,
    /// Why not.
    pub ready_reason: Option<String>,
    /// Whether new pods may be scheduled there; `None` if the API server is unreachable or
    /// there is no Node of that name.
    pub schedulable: Option<bool>,
    /// Its components.
    pub components: Vec<ComponentStatus>,
    /// Its differences from the inventory.
    pub drift: HostDrift,
}

/// The status of a component.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentStatus {
    /// Such as `kubelet` or `kube-apiserver`.
    pub name: String,
    /// Its health.
    pub health: Health,
    /// Why it is unhealthy or unknown.
    pub reason: Option<String>,
}

/// The health of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// It is healthy.
    Healthy,
    /// It is unhealthy.
    Unhealthy,
    /// It could not be determined.
    Unknown,
}

/// What `plan` would do on a host.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostDrift {
    /// The number of changes; `None` if unknown.
    pub changes: Option<usize>,
    /// Why not.
    pub error: Option<String>,
}

/// A Node that is not in the inventory.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// Its internal address.
    pub address: Option<String>,
    /// Its roles, from its labels.
    pub roles: Vec<String>,
    /// The kubelet's version.
    pub kubelet_version: Option<String>,
    /// Whether it is Ready.
    pub ready: bool,
    /// Why not.
    pub ready_reason: Option<String>,
    /// Whether new pods may be scheduled there.
    pub schedulable: bool,
}

/// The status of etcd.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EtcdStatus {
    /// Whether it is external: if so, only its endpoints are shown.
    pub external: bool,
    /// Its endpoints, if it is external.
    pub endpoints: Vec<String>,
    /// The leading member's name.
    pub leader: Option<String>,
    /// Its members.
    pub members: Vec<EtcdMemberStatus>,
    /// Why its members are unknown.
    pub error: Option<String>,
}

/// The status of an etcd member.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EtcdMemberStatus {
    /// Its name; empty until it has started for the first time.
    pub name: String,
    /// Its id, in lower-case hex as `etcdctl` prints it.
    pub id: String,
    /// Whether it is the leader.
    pub leader: bool,
    /// Whether it is a learner, without a vote.
    pub learner: bool,
    /// Whether it responds and has a leader.
    pub healthy: bool,
    /// Size of its database in bytes.
    pub db_size: Option<u64>,
    /// What is wrong with it.
    pub error: Option<String>,
}

/// A certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateStatus {
    /// Such as `apiserver`, `etcd/peer`, `admin.conf` or `kubelet-client`.
    pub name: String,
    /// Its subject.
    pub subject: String,
    /// Its serial number, in lower-case hex.
    pub serial: String,
    /// Whether it is a CA.
    pub ca: bool,
    /// Hosts that have it.
    pub hosts: Vec<String>,
    /// Whether the state directory has it.
    pub operator: bool,
    /// The host that the state directory keeps it for, if it is for one.
    pub owner: Option<String>,
    /// When it expires.
    pub not_after: Timestamp,
    /// Whether it is valid for long enough.
    pub state: Validity,
}

/// Whether a certificate is valid, and for long enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Validity {
    /// It is healthy.
    Valid,
    /// Less than a tenth of its lifetime and less than 30 days are left.
    Expiring,
    /// It has expired.
    Expired,
}

/// The number of differences from the inventory.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DriftStatus {
    /// The number of changes that `plan` would show; `None` if unknown.
    pub changes: Option<usize>,
    /// How many of them are in the API's objects; `None` if unknown.
    pub objects: Option<usize>,
    /// How many of them are in files on this machine: certificates, kubeconfig.
    pub operator: Option<usize>,
    /// When it was checked.
    pub checked_at: Option<Timestamp>,
    /// Why it is unknown.
    pub error: Option<String>,
}
