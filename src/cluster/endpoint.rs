//! Whether the endpoint of a running cluster reaches its API: one attempt.

use std::time::Duration;

use text::terminal::escape;

use super::answer::answer_within;
use crate::host::preflight::{Finding, Severity};
use crate::inventory::{Cluster, Endpoint, LoadBalancer};
use crate::kubernetes::api::failed_checks;
use crate::run::remote::Remote;

/// Time limit for one connection, including the handshake.
pub(crate) const TRY: Duration = Duration::from_secs(5);

/// Whether an endpoint that isn't one of our own leads to an API server of the cluster
/// right now, as `from` sees it: one try. `None` if there is no such
/// endpoint.
pub(crate) async fn probe_endpoint(
    cluster: &Cluster,
    ca: &str,
    from: &Remote,
) -> Option<(Endpoint, Result<(), String>)> {
    let endpoint = cluster.control_plane_endpoint.as_ref()?;
    let local = matches!(cluster.load_balancer, LoadBalancer::Local { .. });
    if local || brings_own_certificate(cluster) {
        return None;
    }
    let asked = from.api_answers(&endpoint.host, endpoint.port, ca);
    let answer = answer_within(TRY, asked).await;
    let answer = answer.map_err(|error| failed_checks(&error.to_string()));
    Some((endpoint.clone(), answer))
}

/// Warns if the endpoint of an existing cluster does not work: workers cannot reach the API
/// then, whatever this run does.
pub(crate) async fn check_endpoint(
    cluster: &Cluster,
    ca: &str,
    control_plane: &str,
    from: &Remote,
) -> Option<Finding> {
    let (endpoint, answer) = probe_endpoint(cluster, ca, from).await?;
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
