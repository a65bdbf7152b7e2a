//! How long to wait for what.

use std::time::Duration;

use super::resolver::Resolver;
use super::values;
use crate::inventory::cluster::Timeouts;
use crate::inventory::spec::TimeoutsSpec;
use crate::inventory::yaml::FieldPath;

/// kubeadm's timeouts and our own.
pub(super) fn resolve_timeouts(
    given: &TimeoutsSpec,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> Timeouts {
    let mut wait = |given: &Option<String>, field, minutes: u64| {
        let default = Duration::from_secs(60 * minutes);
        values::resolve_duration(given.as_deref(), default, &at.key(field), resolver)
    };
    Timeouts {
        control_plane_component_health_check: wait(
            &given.control_plane_component_health_check,
            "controlPlaneComponentHealthCheck",
            4,
        ),
        kubelet_health_check: wait(&given.kubelet_health_check, "kubeletHealthCheck", 4),
        kubernetes_api_call: wait(&given.kubernetes_api_call, "kubernetesAPICall", 1),
        etcd_api_call: wait(&given.etcd_api_call, "etcdAPICall", 2),
        tls_bootstrap: wait(&given.tls_bootstrap, "tlsBootstrap", 5),
        node_ready: wait(&given.node_ready, "nodeReady", 5),
    }
}
