//! Hosts, and what several of them share.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Arg, Kubelet, LocalApiEndpoint, Preflight, Ssh};

/// How a node registers (kubeadm's `nodeRegistration`).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeRegistration {
    /// The Node's name. Default: the host's `name`. Only makes sense per host.
    pub name: Option<String>,
    /// `unix://` socket of the container runtime. Default: containerd's.
    pub cri_socket: Option<String>,
    /// Taints. Unset: kubeadm's default (control planes only); `[]`: none.
    pub taints: Option<Vec<Taint>>,
    /// More kubelet arguments; one that names a default replaces it.
    pub kubelet_extra_args: Option<Vec<Arg>>,
    /// Pull policy of control-plane images. Default `IfNotPresent`.
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// Preflight checks to demote, by kubeadm's names; `all` for all.
    pub ignore_preflight_errors: Option<Vec<String>>,
}

/// When a node pulls an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ImagePullPolicy {
    /// Only if it is not there.
    #[default]
    IfNotPresent,
    /// Each time.
    Always,
    /// Never: it has to be there.
    Never,
}

/// A node's taint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Taint {
    /// Its key, such as `node-role.kubernetes.io/control-plane`.
    pub key: String,
    /// Its value. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What it does to pods that don't tolerate it.
    pub effect: TaintEffect,
}

/// What a taint does to pods that don't tolerate it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaintEffect {
    /// Not scheduled here.
    NoSchedule,
    /// Scheduled elsewhere if possible.
    PreferNoSchedule,
    /// Not scheduled here, and evicted.
    NoExecute,
}

/// A string, a number or a boolean, where YAML's guess doesn't matter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// `true` or `false`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Anything else.
    String(String),
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scalar::Bool(b) => b.fmt(f),
            Scalar::Int(i) => i.fmt(f),
            Scalar::String(s) => s.fmt(f),
        }
    }
}

/// A file of the operator's own, placed on hosts.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileSpec {
    /// File on the workstation, relative to the inventory.
    pub source: String,
    /// Absolute path on the host.
    pub destination: String,
    /// `user` or `user:group`; the group of a user alone has the same name.
    /// Default `root:root`.
    pub owner: Option<String>,
    /// Octal, in quotes: `"0644"`, which is the default.
    pub mode: Option<String>,
    /// Render it as a minijinja template with `cluster`, `host` and `facts`.
    #[serde(default)]
    pub template: bool,
    /// Don't show its content in plans and logs.
    #[serde(default)]
    pub secret: bool,
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
    pub ssh: Ssh,
    /// How these nodes register.
    #[serde(default)]
    pub node_registration: NodeRegistration,
    /// Their kubelets.
    #[serde(default)]
    pub kubelet: Kubelet,
    /// Checks to demote.
    #[serde(default)]
    pub preflight: Preflight,
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
    pub ssh: Ssh,
    /// The address that its API server, etcd and kubelet advertise.
    #[serde(rename = "localAPIEndpoint")]
    pub local_api_endpoint: Option<LocalApiEndpoint>,
    /// How its node registers.
    #[serde(default)]
    pub node_registration: NodeRegistration,
    /// Its kubelet.
    #[serde(default)]
    pub kubelet: Kubelet,
    /// Checks to demote.
    #[serde(default)]
    pub preflight: Preflight,
    /// Sysctls.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, Scalar>,
    /// Files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileSpec>,
}
