//! Hosts, and the groups that share settings among them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::files::FileSpec;
use super::network::LocalApiEndpoint;
use super::node::{KubeletSpec, NodeRegistration, PreflightSpec, Taint};
use super::ssh::SshSpec;
use super::values::Scalar;

/// A machine, or a range of machines: `worker[01:20]` with `192.0.2.[101:120]`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostSpec {
    /// Its name here, and its Node's name: a DNS label (dots allowed).
    pub name: String,
    /// IP address or DNS name that SSH connects to. Default: the name, which
    /// `~/.ssh/config` may resolve.
    pub address: Option<String>,
    /// `control-plane`, `worker`, or both (then the control plane carries no
    /// taint).
    pub roles: Vec<Role>,
    /// Groups that it belongs to; later ones win.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Node labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Shorthand for `nodeRegistration.taints`.
    pub taints: Option<Vec<Taint>>,
    /// How to reach it.
    #[serde(default)]
    pub ssh: SshSpec,
    /// The address that its API server, etcd and kubelet advertise.
    #[serde(rename = "localAPIEndpoint")]
    pub local_api_endpoint: Option<LocalApiEndpoint>,
    /// How its node registers.
    #[serde(default)]
    pub node_registration: NodeRegistration,
    /// Its kubelet.
    #[serde(default)]
    pub kubelet: KubeletSpec,
    /// Checks to demote.
    #[serde(default)]
    pub preflight: PreflightSpec,
    /// Sysctls.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, Scalar>,
    /// Files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
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
    pub labels: BTreeMap<String, String>,
    /// How to reach these hosts.
    #[serde(default)]
    pub ssh: SshSpec,
    /// How these nodes register.
    #[serde(default)]
    pub node_registration: NodeRegistration,
    /// Their kubelets.
    #[serde(default)]
    pub kubelet: KubeletSpec,
    /// Checks to demote.
    #[serde(default)]
    pub preflight: PreflightSpec,
    /// Sysctls.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, Scalar>,
    /// Files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileSpec>,
}
