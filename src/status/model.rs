//! What `status` shows: the form of its JSON, which `docs/status.md` describes
//! field by field. Text in it is safe to print.

use jiff::Timestamp;
use serde::Serialize;

/// How a cluster fares.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// The cluster's name.
    pub cluster: String,
    /// The version that the inventory asks for.
    pub kubernetes_version: String,
    /// When it was looked at.
    pub time: Timestamp,
    /// Whether all that was looked at is well. What isn't known is not well.
    pub healthy: bool,
    /// Whether anything differs from the inventory; `None` if that isn't known.
    pub drifted: Option<bool>,
    /// The API.
    pub api: ApiStatus,
    /// The inventory's hosts, in its order.
    pub hosts: Vec<HostStatus>,
    /// Nodes that the API knows and the inventory doesn't.
    pub unknown_nodes: Vec<NodeStatus>,
    /// etcd.
    pub etcd: EtcdStatus,
    /// Certificates, those that expire soonest first.
    pub certificates: Vec<CertificateStatus>,
    /// How much differs from the inventory.
    pub drift: DriftStatus,
}

/// Whether the API answers.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiStatus {
    /// Whether it does.
    pub reachable: bool,
    /// The control plane through which it was asked.
    pub through: Option<String>,
    /// Why it doesn't answer.
    pub error: Option<String>,
    /// The way to it that nodes use, if that is a machine of the operator's or a virtual
    /// address.
    pub endpoint: Option<EndpointStatus>,
}

/// Whether `controlPlaneEndpoint` leads to an API server that is ready.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointStatus {
    /// `host:port`.
    pub address: String,
    /// Whether it does, seen from a control plane.
    pub reachable: bool,
    /// Why not.
    pub error: Option<String>,
    /// With kube-vip: the control planes that have its address. One, save for the moments
    /// in which it moves.
    pub held_by: Option<Vec<String>>,
}

/// How a host of the inventory fares.
#[derive(Debug, Clone, Serialize)]
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
    /// Whether it answers over SSH.
    pub reachable: bool,
    /// Why it doesn't.
    pub error: Option<String>,
    /// The kubelet's version: what its Node says, else what is installed.
    pub kubelet_version: Option<String>,
    /// Whether its Node is Ready; `None` if the API doesn't answer.
    pub ready: Option<bool>,
    /// Why it isn't.
    pub ready_reason: Option<String>,
    /// Whether new pods may land there; `None` if the API doesn't answer, or
    /// knows no Node of that name.
    pub schedulable: Option<bool>,
    /// What runs there.
    pub components: Vec<ComponentStatus>,
    /// What differs from the inventory.
    pub drift: HostDrift,
}

/// How a component fares.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentStatus {
    /// Such as `kubelet` or `kube-apiserver`.
    pub name: String,
    /// Whether it is well.
    pub health: Health,
    /// Why not, or why that isn't known.
    pub reason: Option<String>,
}

/// Whether something is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// It is.
    Healthy,
    /// It isn't.
    Unhealthy,
    /// Nobody can tell.
    Unknown,
}

/// What `plan` would do on a host.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HostDrift {
    /// How many changes; `None` if that isn't known.
    pub changes: Option<usize>,
    /// Why it isn't.
    pub error: Option<String>,
}

/// A Node that the inventory doesn't know.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// Its internal address.
    pub address: Option<String>,
    /// Roles that its labels name.
    pub roles: Vec<String>,
    /// The kubelet's version.
    pub kubelet_version: Option<String>,
    /// Whether it is Ready.
    pub ready: bool,
    /// Why it isn't.
    pub ready_reason: Option<String>,
    /// Whether new pods may land there.
    pub schedulable: bool,
}

/// How etcd fares.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EtcdStatus {
    /// Whether the operator runs it: then only its endpoints are shown.
    pub external: bool,
    /// Where it is, if it is external.
    pub endpoints: Vec<String>,
    /// The leading member's name.
    pub leader: Option<String>,
    /// Its members.
    pub members: Vec<EtcdMemberStatus>,
    /// Why its members aren't known.
    pub error: Option<String>,
}

/// How a member of etcd fares.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EtcdMemberStatus {
    /// Its name; empty until it has started for the first time.
    pub name: String,
    /// Its id, lower hex as etcdctl prints it.
    pub id: String,
    /// Whether it leads.
    pub leader: bool,
    /// Whether it learns, and has no vote yet.
    pub learner: bool,
    /// Whether it answers and knows a leader.
    pub healthy: bool,
    /// Size of its database in bytes.
    pub db_size: Option<u64>,
    /// What is wrong with it.
    pub error: Option<String>,
}

/// A certificate.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateStatus {
    /// Such as `apiserver`, `etcd/peer`, `admin.conf` or `kubelet-client`.
    pub name: String,
    /// Whom it names.
    pub subject: String,
    /// Lower hex.
    pub serial: String,
    /// Whether it is an authority's.
    pub ca: bool,
    /// Hosts that have it.
    pub hosts: Vec<String>,
    /// Whether the operator state has it.
    pub operator: bool,
    /// Whose it is, if the operator state keeps it for one host.
    pub owner: Option<String>,
    /// Valid until then.
    pub not_after: Timestamp,
    /// Whether that is far enough.
    pub state: Validity,
}

/// Whether a certificate is valid, and for long enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Validity {
    /// It is.
    Valid,
    /// Less than a tenth of its life is left, and less than 30 days.
    Expiring,
    /// It is over.
    Expired,
}

/// How much differs from the inventory.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DriftStatus {
    /// How many changes `plan` would show; `None` if that isn't known.
    pub changes: Option<usize>,
    /// How many of them in the API's objects; `None` if that isn't known.
    pub objects: Option<usize>,
    /// How many of them in the operator's own files: certificates, kubeconfig.
    pub operator: Option<usize>,
    /// When that was looked at.
    pub checked_at: Option<Timestamp>,
    /// Why it isn't known.
    pub error: Option<String>,
}
