//! CoreDNS and kube-proxy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::Tree;

/// Cluster DNS.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DnsSpec {
    /// Default: `registry.k8s.io/coredns`, or `spec.imageRepository`.
    pub image_repository: Option<String>,
    /// Default: kubeadm's for the Kubernetes version.
    pub image_tag: Option<String>,
    /// Leave CoreDNS out.
    #[serde(default)]
    pub disabled: bool,
}

/// kube-proxy, switched on or off.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProxySpec {
    /// Leave kube-proxy out.
    #[serde(default)]
    pub disabled: bool,
}

/// kube-proxy's configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KubeProxySpec {
    /// Any `KubeProxyConfiguration` field, merged over ours.
    #[serde(default, skip_serializing_if = "Tree::is_empty")]
    pub config: Tree,
}
