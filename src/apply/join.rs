//! Phase `join`: a worker's kubelet gets its certificate with the bootstrap token, and registers.

use k8s_openapi::api::core::v1::Node;

use super::execution::Execution;
use crate::cluster::{converge, diagnose, wait};
use crate::kubernetes::api::{Health, node_reported_since, wait_for_node};
use crate::plan::model::{Work, pod_cidrs};
use crate::run::error::Error;
use crate::run::phase::Phase;

/// Joins a worker, if it has not joined yet. Needs the API and the run's token.
///
/// # Errors
/// The step that failed; a kubelet that gets no certificate in time, with evidence from its
/// host.
pub(super) async fn join(execution: &Execution<'_>, work: &Work) -> Result<(), Error> {
    let run = execution.run;
    if !execution.plan.affects(Phase::Join, work) {
        return Ok(());
    }
    let part = run.tracker.part(Phase::Join);
    part.doing(work.name(), "joining");
    // Observed again right before: minutes may have passed since the plan.
    let plan = converge::compare(
        &execution.plan.context.owner,
        &work.surveyed,
        &work.join_resources,
    )
    .await?;
    converge::converge(run, &work.surveyed, &plan, &part).await?;
    wait::wait_for_kubelet(run, &work.surveyed, false).await?;
    part.doing(work.name(), "waiting for its certificate");
    wait_registered(execution, work, false).await?;
    part.done(work.name(), plan.changes.len());
    Ok(())
}

/// Waits until the kubelet of `work` has its certificate and has registered,
/// with a pod CIDR if the pod network needs one.
pub(super) async fn wait_registered(
    execution: &Execution<'_>,
    work: &Work,
    needs_cidr: bool,
) -> Result<Node, Error> {
    let host = work.host();
    // Until then, what it asks for its certificate with has to stay.
    let since = match work.joins_again() {
        true => Some(work.surveyed.session.kubelet_started().await?),
        false => None,
    };
    let wanted = |node: &Node| {
        if let Some(start) = since
            && let no @ (Health::No(_) | Health::Never(_)) = node_reported_since(node, start)
        {
            return no;
        }
        if needs_cidr && pod_cidrs(node).is_empty() {
            return Health::No("the controller manager has not assigned it a pod CIDR".into());
        }
        Health::Ok
    };
    let what = format!("node {} to register", host.node_name);
    let timeout = execution.run.cluster.timeouts.tls_bootstrap;
    match wait_for_node(
        &execution.api.admin,
        &host.node_name,
        &what,
        timeout,
        wanted,
    )
    .await
    {
        Ok(node) => Ok(node),
        Err(error) => {
            Err(diagnose::explain_unhealthy(&work.surveyed.session, &["kubelet"], error).await)
        }
    }
}
