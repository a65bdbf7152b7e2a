//! What the cluster, a group and a host may each say about their nodes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::{self, Change};
use super::control_plane::Arg;
use super::defaults;
use super::values::Tree;

/// The kubelet.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KubeletSpec {
    /// Any fields of a `KubeletConfiguration`, merged over the defaults.
    #[serde(default, skip_serializing_if = "Tree::is_empty")]
    #[schemars(extend("x-change" = Change::Rolls, "x-change-members" = change::KUBELET_FIELDS))]
    pub config: Tree,
}

/// How a node registers (kubeadm's `nodeRegistration`).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeRegistration {
    /// The Node's name. Default: the host's `name`. Can only be set for a single host.
    #[schemars(extend("x-change" = Change::Replace))]
    pub name: Option<String>,
    /// `unix://` socket of the container runtime.
    #[schemars(extend("default" = defaults::CRI_SOCKET))]
    #[schemars(extend("x-change" = Change::Replace))]
    pub cri_socket: Option<String>,
    /// The node's taints. Default: as kubeadm (control planes only); `[]` for none.
    #[schemars(extend("x-change" = Change::Live))]
    pub taints: Option<Vec<Taint>>,
    /// Additional kubelet arguments; they replace defaults of the same name.
    #[schemars(extend("x-change" = Change::Rolls, "x-change-members" = change::KUBELET_ARGS))]
    pub kubelet_extra_args: Option<Vec<Arg>>,
    /// Pull policy for control-plane images.
    #[schemars(extend("default" = ImagePullPolicy::default()))]
    #[schemars(extend("x-change" = Change::Restarts("static pods")))]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// Preflight checks to ignore, by kubeadm's names; `all` for all of them.
    #[schemars(extend("x-change" = Change::Live))]
    pub ignore_preflight_errors: Option<Vec<String>>,
}

/// When a node pulls an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ImagePullPolicy {
    /// Only if the image is not on the node.
    #[default]
    IfNotPresent,
    /// Each time.
    Always,
    /// Never: the image has to be on the node already.
    Never,
}

/// A node's taint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Taint {
    /// The key, such as `node-role.kubernetes.io/control-plane`.
    pub key: String,
    /// The value. Default: empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What happens to pods that don't tolerate it.
    pub effect: TaintEffect,
}

/// What a taint does to pods that don't tolerate it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaintEffect {
    /// They are not scheduled here.
    NoSchedule,
    /// They are scheduled elsewhere if possible.
    PreferNoSchedule,
    /// They are not scheduled here, and evicted.
    NoExecute,
}

/// Preflight checks to ignore.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-change" = Change::Live))]
pub struct PreflightSpec {
    /// Checks to downgrade from errors to warnings, by kubeadm's names
    /// (case-insensitive); `all` for all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
}
