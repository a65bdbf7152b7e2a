//! Whether the endpoint of a running cluster reaches its API: one attempt.

use std::time::Duration;

use ssh::Session;
use text::terminal::escape;

use super::tunnel::Tunnel;
use crate::host::preflight::{Finding, Severity};
use crate::inventory::{Cluster, Endpoint, LoadBalancer};
use crate::kubernetes::api;
use crate::kubernetes::api::failed_checks;

/// Time limit for one connection, including the handshake.
pub(crate) const TRY: Duration = Duration::from_secs(5);

/// Whether an external endpoint currently reaches an API server of the cluster, as seen
/// from the host of `session`: one attempt. `None` if there is no such endpoint.
pub(crate) async fn probe(
    cluster: &Cluster,
    ca: &str,
    session: &Session,
) -> Option<(Endpoint, Result<(), String>)> {
    let endpoint = cluster.control_plane_endpoint.as_ref()?;
    let local = matches!(cluster.load_balancer, LoadBalancer::Local { .. });
    if local || brings_own_certificate(cluster) {
        return None;
    }
    let tunnel = Tunnel::new(session, &endpoint.host, endpoint.port);
    let answer = match tokio::time::timeout(TRY, api::answers(tunnel, ca)).await {
        Ok(answer) => answer.map_err(|error| failed_checks(&error.to_string())),
        Err(_) => Err(silent()),
    };
    Some((endpoint.clone(), answer))
}

/// Warns if the endpoint of an existing cluster does not work: workers cannot reach the API
/// then, whatever this run does.
pub(crate) async fn finding(
    cluster: &Cluster,
    ca: &str,
    control_plane: &str,
    session: &Session,
) -> Option<Finding> {
    let (endpoint, answer) = probe(cluster, ca, session).await?;
    Some(Finding {
        check: "ControlPlaneEndpoint".into(),
        host: control_plane.to_owned(),
        severity: Severity::Warning,
        message: format!(
            "{endpoint} (controlPlaneEndpoint) does not reach the API server: {}",
            escape(&answer.err()?)
        ),
        remedy: Some("check the load balancer, and that the API servers run".into()),
    })
}

/// Whether the API servers use certificates that are not ours.
pub(crate) fn brings_own_certificate(cluster: &Cluster) -> bool {
    let args = &cluster.api_server.extra_args;
    args.iter().any(|arg| arg.name == "tls-cert-file")
}

pub(crate) fn silent() -> String {
    format!("timed out after {} s", TRY.as_secs())
}
