//! Phase `control-plane`: starts or changes control planes and waits until each is healthy.

use futures::future::{join_all, try_join_all};

use super::execution::Execution;
use super::{etcd, hosts, nodes, put_back, virtual_address};
use crate::cluster::api::ClusterApi;
use crate::cluster::crash_loop::CrashWatch;
use crate::cluster::wait;
use crate::plan::model::{EtcdStep, Work};
use crate::run::error::Error;
use crate::run::phase::Phase;
use crate::run::tracker::Part;

/// Starts control planes in parallel if there is no cluster yet. In a running cluster,
/// changes one at a time, each healthy before the next, then adds new ones, each of which
/// changes etcd's membership.
///
/// # Errors
/// The first control plane that fails.
pub(super) async fn bring_up(execution: &Execution<'_>) -> Result<(), Error> {
    let plan = execution.plan;
    let control_planes = plan.work.iter().filter(|one| one.is_control_plane());
    if !plan.live {
        let all = control_planes.map(|work| bring_up_one(execution, work));
        return try_join_all(all).await.map(|_| ());
    }
    let (new, mut old): (Vec<_>, Vec<_>) =
        control_planes.partition(|work| plan.is_new_control_plane(work.host()));
    // Repair one that is down before taking another one down.
    old.sort_by_key(|work| !work.mends());
    let (down, up) = match plan.responds {
        true => (Vec::new(), old),
        false => split_off_down(execution, old).await,
    };
    // None of these can respond before most of them do, and nothing can be lost by changing them.
    try_join_all(down.iter().map(|work| bring_up_one(execution, work))).await?;
    for work in up.into_iter().chain(new) {
        bring_up_one(execution, work).await?;
    }
    Ok(())
}

/// Control planes whose etcd doesn't work, and those whose etcd does.
async fn split_off_down<'a>(
    execution: &Execution<'_>,
    all: Vec<&'a Work>,
) -> (Vec<&'a Work>, Vec<&'a Work>) {
    let (run, plan) = (execution.run, execution.plan);
    let looks = all.iter().map(|work| etcd::is_down(run, plan, work));
    let down = join_all(looks).await;
    let (down, up): (Vec<_>, Vec<_>) = all.into_iter().zip(down).partition(|(_, down)| *down);
    let works = |zipped: Vec<(&'a Work, bool)>| zipped.into_iter().map(|(work, _)| work).collect();
    (works(down), works(up))
}

/// Applies what control planes get once their nodes have registered.
///
/// # Errors
/// The first control plane that fails.
pub(super) async fn finish_nodes(execution: &Execution<'_>) -> Result<(), Error> {
    let control_planes = execution
        .plan
        .work
        .iter()
        .filter(|work| work.is_control_plane());
    let all = control_planes.map(|work| async {
        let finished = nodes::finish(execution, work).await;
        finished.map_err(|error| error.on(work.name()))
    });
    try_join_all(all).await.map(|_| ())
}

async fn bring_up_one(execution: &Execution<'_>, work: &Work) -> Result<(), Error> {
    let steps = take_steps(execution, work).await;
    steps.map_err(|error| error.on(work.name()))
}

async fn take_steps(execution: &Execution<'_>, work: &Work) -> Result<(), Error> {
    let (run, plan) = (execution.run, execution.plan);
    let keeps = work.prepare.keeps_previous();
    let waited_for = plan.affects(Phase::ControlPlane, work) || keeps;
    if !waited_for && !plan.affects(Phase::Hosts, work) {
        return Ok(());
    }
    let part = run.tracker.part(Phase::ControlPlane);
    if plan.live && work.restarts_control_plane() {
        if plan.responds || !etcd::is_down(run, plan, work).await {
            etcd::wait_for_others(run, plan, work, &part).await?;
        }
        virtual_address::before_restart(run, plan, work, &part).await;
    }
    if let Some(EtcdStep::Join | EtcdStep::Replace) = work.etcd {
        etcd::admit(run, plan, work, &part).await?;
    }
    if !waited_for {
        return hosts::prepare(execution, work).await;
    }
    let _open = execution.open_changes.begin(work);
    let changed = change(execution, work, &part).await;
    put_back::conclude(execution, work, changed).await?;
    part.done(work.name(), 0);
    Ok(())
}

/// Makes the changes and waits until everything is healthy.
async fn change(execution: &Execution<'_>, work: &Work, part: &Part) -> Result<(), Error> {
    let (run, plan) = (execution.run, execution.plan);
    let mut watch = CrashWatch::begin(&work.surveyed, work.prepare.keeps_previous()).await;
    hosts::prepare(execution, work).await?;
    // An API server cannot respond while its etcd member has no vote.
    if work.etcd.is_some() {
        etcd::promote(run, plan, work, part).await?;
    }
    let one = &work.surveyed;
    let api = ClusterApi::new(run, &plan.context.pki, one)?;
    wait::wait_for_api(run, one, &api, &mut watch, part).await?;
    wait::wait_for_the_rest(run, one, &mut watch, part).await
}
