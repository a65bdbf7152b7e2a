//! The container runtime.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::{self, Change};
use super::defaults;
use super::values::Tree;

/// The container runtime.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuntimeSpec {
    /// containerd, the only runtime that is installed and configured.
    #[serde(default)]
    pub containerd: ContainerdSpec,
}

/// containerd.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerdSpec {
    /// Any containerd configuration (version 3), deep-merged over the defaults, and with them
    /// over what the host has.
    #[serde(default, skip_serializing_if = "Tree::is_empty")]
    #[schemars(extend("x-change" = Change::Rolls, "x-change-members" = change::CONTAINERD_FIELDS))]
    pub config: Tree,
    /// Whether to install and configure containerd; if false, you do both.
    #[schemars(extend("default" = defaults::CONTAINERD_MANAGED))]
    #[schemars(extend("x-change" = Change::Rolls))]
    pub managed: Option<bool>,
}
