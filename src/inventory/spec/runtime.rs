//! The container runtime.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// Any containerd configuration (version 3), deep-merged over the defaults.
    #[serde(default, skip_serializing_if = "Tree::is_empty")]
    pub config: Tree,
    /// Whether to install and configure containerd; if false, you do both.
    #[schemars(extend("default" = defaults::CONTAINERD_MANAGED))]
    pub managed: Option<bool>,
}
