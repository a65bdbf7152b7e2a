//! The container runtime.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::Tree;

/// The container runtime.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuntimeSpec {
    /// containerd, the only one that we install and configure.
    #[serde(default)]
    pub containerd: ContainerdSpec,
}

/// containerd.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerdSpec {
    /// Any containerd config (version 3), deep-merged over ours.
    #[serde(default, skip_serializing_if = "Tree::is_empty")]
    pub config: Tree,
    /// Whether to install and configure it. Default true; false leaves all of
    /// it to you.
    pub managed: Option<bool>,
}
