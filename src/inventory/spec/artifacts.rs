//! Where Kubernetes itself comes from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where Kubernetes itself comes from.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ArtifactsSpec {
    /// `online` or `directory`. Default `online`.
    #[serde(default)]
    pub source: ArtifactSource,
    /// With `directory`: where, relative to the inventory.
    pub path: Option<String>,
    /// With `online`: mirrors that replace the upstream sites.
    #[serde(default)]
    pub mirrors: Mirrors,
}

/// Kinds of source for Kubernetes' components.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactSource {
    /// The upstream sites, through the user's cache.
    #[default]
    Online,
    /// A directory on the workstation.
    Directory,
}

/// Base URLs that replace the upstream sites.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mirrors {
    /// Default `https://dl.k8s.io`.
    pub kubernetes: Option<String>,
    /// Default `https://github.com/containernetworking/plugins/releases/download`.
    pub cni_plugins: Option<String>,
    /// Default `https://github.com/kubernetes-sigs/cri-tools/releases/download`.
    pub cri_tools: Option<String>,
}
