//! CoreDNS and kube-proxy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::Tree;

/// Cluster DNS (CoreDNS).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DnsSpec {
    /// Registry for the CoreDNS image. Default: `registry.k8s.io/coredns`, or
    /// `spec.imageRepository` if set.
    pub image_repository: Option<String>,
    /// Tag of the CoreDNS image. Default: as kubeadm, by Kubernetes version.
    pub image_tag: Option<String>,
    /// Don't install CoreDNS.
    #[serde(default)]
    pub disabled: bool,
}

/// Whether kube-proxy is installed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProxySpec {
    /// Don't install kube-proxy.
    #[serde(default)]
    pub disabled: bool,
}

/// kube-proxy's configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KubeProxySpec {
    /// Any fields of a `KubeProxyConfiguration`, merged over the defaults.
    #[serde(default, skip_serializing_if = "Tree::is_empty")]
    pub config: Tree,
}
