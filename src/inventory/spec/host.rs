//! Hosts, and the groups that share settings among them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::Change;
use super::files::FileSpec;
use super::network::LocalApiEndpoint;
use super::node::{KubeletSpec, NodeRegistration, PreflightSpec, Taint};
use super::ssh::SshSpec;
use super::values::Scalar;

/// A host, or a range of hosts: `worker[01:20]` with `192.0.2.[101:120]`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostSpec {
    /// The host's name, and its Node's: DNS labels, joined by dots.
    #[schemars(extend("x-change" = Change::Replace))]
    pub name: String,
    /// IP address or DNS name for SSH. Default: `name`, which DNS or `~/.ssh/config`
    /// may resolve.
    #[schemars(extend("x-change" = Change::Live))]
    pub address: Option<String>,
    /// `control-plane`, `worker`, or both (the control plane then has no taint).
    #[schemars(extend("x-change" = Change::Replace))]
    pub roles: Vec<Role>,
    /// Groups that the host belongs to; later ones take precedence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-change" = Change::Live))]
    pub groups: Vec<String>,
    /// Node labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-change" = Change::Live))]
    pub labels: BTreeMap<String, String>,
    /// Shorthand for `nodeRegistration.taints`.
    #[schemars(extend("x-change" = Change::Live))]
    pub taints: Option<Vec<Taint>>,
    /// How this host is reached.
    #[serde(default)]
    #[schemars(extend("x-change" = Change::Live))]
    pub ssh: SshSpec,
    /// The address that its API server, etcd and kubelet advertise.
    #[serde(rename = "localAPIEndpoint")]
    pub local_api_endpoint: Option<LocalApiEndpoint>,
    /// How this node registers.
    #[serde(default)]
    pub node_registration: NodeRegistration,
    /// The kubelet on this host.
    #[serde(default)]
    pub kubelet: KubeletSpec,
    /// Preflight checks to ignore.
    #[serde(default)]
    #[schemars(extend("x-change" = Change::Live))]
    pub preflight: PreflightSpec,
    /// Sysctls for this host.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-change" = Change::Live))]
    pub sysctls: BTreeMap<String, Scalar>,
    /// Files to place on this host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-change" = Change::Live))]
    pub files: Vec<FileSpec>,
}

/// What a host is for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Runs the API server, the controller manager, the scheduler and etcd.
    ControlPlane,
    /// Runs pods.
    Worker,
}

/// Settings shared by some hosts.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Group {
    /// Node labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-change" = Change::Live))]
    pub labels: BTreeMap<String, String>,
    /// How these hosts are reached.
    #[serde(default)]
    #[schemars(extend("x-change" = Change::Live))]
    pub ssh: SshSpec,
    /// How these nodes register.
    #[serde(default)]
    pub node_registration: NodeRegistration,
    /// The kubelet on these hosts.
    #[serde(default)]
    pub kubelet: KubeletSpec,
    /// Preflight checks to ignore.
    #[serde(default)]
    #[schemars(extend("x-change" = Change::Live))]
    pub preflight: PreflightSpec,
    /// Sysctls for these hosts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-change" = Change::Live))]
    pub sysctls: BTreeMap<String, Scalar>,
    /// Files to place on these hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-change" = Change::Live))]
    pub files: Vec<FileSpec>,
}
