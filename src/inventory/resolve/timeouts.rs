//! How long to wait for what.

use super::resolver::Resolver;
use super::values;
use crate::inventory::cluster::Timeouts;
use crate::inventory::spec::{TimeoutsSpec, defaults};
use crate::inventory::yaml::FieldPath;

/// kubeadm's timeouts and our own.
pub(super) fn resolve_timeouts(
    given: &TimeoutsSpec,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> Timeouts {
    let mut wait = |given: &Option<String>, field, default| {
        values::resolve_duration(given.as_deref(), default, &at.key(field), resolver)
    };
    Timeouts {
        control_plane_component_health_check: wait(
            &given.control_plane_component_health_check,
            "controlPlaneComponentHealthCheck",
            defaults::CONTROL_PLANE_HEALTH_TIMEOUT,
        ),
        kubelet_health_check: wait(
            &given.kubelet_health_check,
            "kubeletHealthCheck",
            defaults::KUBELET_HEALTH_TIMEOUT,
        ),
        kubernetes_api_call: wait(
            &given.kubernetes_api_call,
            "kubernetesAPICall",
            defaults::API_CALL_TIMEOUT,
        ),
        etcd_api_call: wait(
            &given.etcd_api_call,
            "etcdAPICall",
            defaults::ETCD_CALL_TIMEOUT,
        ),
        tls_bootstrap: wait(
            &given.tls_bootstrap,
            "tlsBootstrap",
            defaults::TLS_BOOTSTRAP_TIMEOUT,
        ),
        node_ready: wait(&given.node_ready, "nodeReady", defaults::NODE_READY_TIMEOUT),
    }
}
