//! CoreDNS and kube-proxy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::Change;
use super::values::Tree;
use crate::layout::components;

/// Cluster DNS (CoreDNS).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DnsSpec {
    /// Registry for the CoreDNS image. Default: `registry.k8s.io/coredns`, or
    /// `spec.imageRepository` if set.
    #[schemars(extend("x-change" = Change::Restarts(components::COREDNS)))]
    pub image_repository: Option<String>,
    /// Tag of the CoreDNS image. Default: as kubeadm, by Kubernetes version.
    #[schemars(extend("x-change" = Change::Restarts(components::COREDNS)))]
    pub image_tag: Option<String>,
    /// CoreDNS's Corefile, whole. Without it, the default is used, and one that was edited in
    /// the cluster is kept.
    #[schemars(extend("x-change" = Change::Live))]
    pub corefile: Option<String>,
    /// Don't install CoreDNS.
    #[serde(default)]
    #[schemars(extend("x-change" = Change::Live))]
    pub disabled: bool,
}

/// Whether kube-proxy is installed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProxySpec {
    /// Don't install kube-proxy.
    #[serde(default)]
    #[schemars(extend("x-change" = Change::Live))]
    pub disabled: bool,
}

/// kube-proxy's configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KubeProxySpec {
    /// Any fields of a `KubeProxyConfiguration`, merged over the defaults.
    #[serde(default, skip_serializing_if = "Tree::is_empty")]
    #[schemars(extend("x-change" = Change::Restarts(components::KUBE_PROXY)))]
    pub config: Tree,
}
