//! Phase `network`: the pod network, host by host or from the user's manifest.

use super::execution::Execution;
use super::join::wait_registered;
use super::objects::Changes;
use crate::cluster::converge;
use crate::plan::model::{Work, pod_cidrs};
use crate::run::error::Error;
use crate::run::phase::Phase;

/// Applies the objects of the user's manifest, if there is one.
///
/// # Errors
/// The API's refusal.
pub(super) async fn apply_manifest(
    execution: &Execution<'_>,
    changes: &Changes,
) -> Result<(), Error> {
    changes.apply_phase(execution, Phase::Network).await
}

/// Makes the changes that wait for registration: the pod network's files, which contain the
/// node's pod CIDR, and removing the bootstrap kubeconfig.
///
/// # Errors
/// A Node that doesn't register, or gets no CIDR, in time; the step that failed.
pub(super) async fn set_up(execution: &Execution<'_>, work: &Work) -> Result<(), Error> {
    let (run, plan) = (execution.run, execution.plan);
    let bridge = plan.affects(Phase::Network, work);
    if !bridge && work.join.is_none() {
        return Ok(());
    }
    let part = run
        .tracker
        .part(if bridge { Phase::Network } else { Phase::Join });
    part.doing(work.name(), "waiting for its pod CIDR");
    let node = wait_registered(execution, work, bridge).await?;
    let resources = plan.after_registration(work, &pod_cidrs(&node))?;
    let changes = converge::compare(&plan.context.owner, &work.surveyed, &resources).await?;
    converge::converge(run, &work.surveyed, &changes, &part).await?;
    part.done(work.name(), changes.changes.len());
    Ok(())
}
