//! Phase `hosts`: everything that can be done on a host without the API.

use super::execution::Execution;
use crate::cluster::converge;
use crate::host::Resource;
use crate::plan::model::Work;
use crate::run::error::Error;
use crate::run::phase::Phase;
use crate::run::tracker::Part;

/// Makes the planned changes on one host, with one command.
///
/// # Errors
/// An SSH error, or the step that failed.
pub(super) async fn prepare(execution: &Execution<'_>, work: &Work) -> Result<(), Error> {
    if !execution.plan.affects(Phase::Hosts, work) {
        return Ok(());
    }
    let Ok(_slot) = execution.slots.acquire().await else {
        return Err(Error::Interrupted);
    };
    let part = execution.run.tracker.part(Phase::Hosts);
    let packages = work.runtime_packages();
    if packages.is_empty() {
        converge::converge(execution.run, &work.surveyed, &work.prepare, &part).await?;
    } else {
        install_runtime_first(execution, work, &packages, &part).await?;
    }
    part.done(work.name(), work.prepare.changes.len());
    Ok(())
}

/// Handles a host without a container runtime: its version is known only after it is
/// installed, and determines the format of its configuration.
async fn install_runtime_first(
    execution: &Execution<'_>,
    work: &Work,
    packages: &[&str],
    part: &Part,
) -> Result<(), Error> {
    let (run, plan, one) = (execution.run, execution.plan, &work.surveyed);
    let resources = plan.prepared_again(work, &one.gathered.facts)?;
    let packages: Vec<Resource> = resources
        .into_iter()
        .filter(|resource| {
            matches!(resource, Resource::Package(package) if packages.contains(&package.name.as_str()))
        })
        .collect();
    let changes = converge::compare(&plan.context.owner, one, &packages).await?;
    converge::converge(run, one, &changes, part).await?;
    let gathered = one.session.gather(&run.cluster, &one.host).await?;
    let resources = plan.prepared_again(work, &gathered.facts)?;
    let changes = converge::compare(&plan.context.owner, one, &resources).await?;
    converge::converge(run, one, &changes, part).await
}
