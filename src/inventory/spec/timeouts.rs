//! How long to wait for what.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::Change;
use super::defaults;

/// How long to wait for what (kubeadm's names; durations such as `4m0s`).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-change" = Change::Live))]
pub struct TimeoutsSpec {
    /// Until API server, controller manager and scheduler are healthy.
    #[schemars(extend("default" = defaults::CONTROL_PLANE_HEALTH_TIMEOUT))]
    pub control_plane_component_health_check: Option<String>,
    /// Until the kubelet's `/healthz` succeeds.
    #[schemars(extend("default" = defaults::KUBELET_HEALTH_TIMEOUT))]
    pub kubelet_health_check: Option<String>,
    /// For one call to the API, including retries.
    #[schemars(extend("default" = defaults::API_CALL_TIMEOUT))]
    #[serde(rename = "kubernetesAPICall")]
    pub kubernetes_api_call: Option<String>,
    /// For one call to etcd, including retries.
    #[schemars(extend("default" = defaults::ETCD_CALL_TIMEOUT))]
    #[serde(rename = "etcdAPICall")]
    pub etcd_api_call: Option<String>,
    /// For the kubelet's TLS bootstrap.
    #[schemars(extend("default" = defaults::TLS_BOOTSTRAP_TIMEOUT))]
    pub tls_bootstrap: Option<String>,
    /// Until a node that has joined is Ready. Not one of kubeadm's.
    #[schemars(extend("default" = defaults::NODE_READY_TIMEOUT))]
    pub node_ready: Option<String>,
}
