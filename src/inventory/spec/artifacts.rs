//! Where Kubernetes itself comes from.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::Change;
use super::defaults;

/// Where the Kubernetes binaries and images come from.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-change" = Change::Live))]
pub struct ArtifactsSpec {
    /// `online`, or `directory` for a local directory.
    #[serde(default)]
    pub source: ArtifactSource,
    /// With `source: directory`: the directory, relative to the inventory.
    pub path: Option<String>,
    /// With `source: online`: mirrors of the upstream sites.
    #[serde(default)]
    pub mirrors: Mirrors,
    /// With `source: online`: SHA-256 of files by their path below the mirror's URL, such as
    /// `v1.36.2/bin/linux/amd64/kubelet`. Needed for releases that this program does not know,
    /// from mirrors that are not https, and for builds of your own.
    #[serde(default)]
    pub checksums: BTreeMap<String, String>,
    /// With `source: online`: a file of such checksums as `sha256sum` writes it, relative to the
    /// inventory. Those in `checksums` take precedence.
    pub checksums_file: Option<String>,
}

/// Kinds of source for Kubernetes' components.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactSource {
    /// The upstream sites; downloads are cached in `~/.cache`.
    #[default]
    Online,
    /// A directory on this machine.
    Directory,
}

/// Base URLs that replace those of the upstream sites. Known releases have to be those of their
/// publisher, whatever mirror they come from.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-change" = Change::Live))]
pub struct Mirrors {
    /// Base URL of the Kubernetes binaries.
    #[schemars(extend("default" = defaults::KUBERNETES_MIRROR))]
    pub kubernetes: Option<String>,
    /// Base URL of the CNI plugins.
    #[schemars(extend("default" = defaults::CNI_PLUGINS_MIRROR))]
    pub cni_plugins: Option<String>,
    /// Base URL of cri-tools.
    #[schemars(extend("default" = defaults::CRI_TOOLS_MIRROR))]
    pub cri_tools: Option<String>,
}
