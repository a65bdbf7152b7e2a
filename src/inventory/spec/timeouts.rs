//! How long to wait for what.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long to wait for what (kubeadm's names; durations such as `4m0s`).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TimeoutsSpec {
    /// API server, controller manager and scheduler to be healthy. Default 4m.
    pub control_plane_component_health_check: Option<String>,
    /// The kubelet's `/healthz`. Default 4m.
    pub kubelet_health_check: Option<String>,
    /// One call to the API, retries included. Default 1m.
    #[serde(rename = "kubernetesAPICall")]
    pub kubernetes_api_call: Option<String>,
    /// One call to etcd, retries included. Default 2m.
    #[serde(rename = "etcdAPICall")]
    pub etcd_api_call: Option<String>,
    /// The kubelet's TLS bootstrap. Default 5m.
    pub tls_bootstrap: Option<String>,
    /// A joined node to become Ready. Ours, not kubeadm's. Default 5m.
    pub node_ready: Option<String>,
}
