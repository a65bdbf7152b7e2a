//! What the cluster, a group and a host may each say about their nodes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::control_plane::Arg;
use super::values::Tree;

/// The kubelet.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KubeletSpec {
    /// Any `KubeletConfiguration` field, merged over ours.
    #[serde(default, skip_serializing_if = "Tree::is_empty")]
    pub config: Tree,
}

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

/// Checks to demote from errors to warnings.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PreflightSpec {
    /// kubeadm's names, case-insensitive; `all` for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
}
