//! Workers, each from bare to Ready: prepared first, joined once the API server is up.

use futures::future::join_all;
use tokio::sync::watch;

use super::execution::Execution;
use super::{hosts, join, nodes, put_back};
use crate::cluster::survey::Aside;
use crate::cluster::wait;
use crate::plan::model::Work;
use crate::run::error::Error;
use crate::run::phase::Phase;

/// Sets up all workers in parallel. Returns those that failed.
pub(super) async fn bring_up(
    execution: &Execution<'_>,
    api_is_ready: watch::Receiver<bool>,
) -> Vec<Aside> {
    let workers = execution
        .plan
        .work
        .iter()
        .filter(|work| !work.is_control_plane());
    let all = workers.map(|work| bring_up_one(execution, work, api_is_ready.clone()));
    join_all(all).await.into_iter().flatten().collect()
}

/// Sets up one worker. `Some` if it was set aside.
async fn bring_up_one(
    execution: &Execution<'_>,
    work: &Work,
    api_is_ready: watch::Receiver<bool>,
) -> Option<Aside> {
    match take_steps(execution, work, api_is_ready).await {
        Ok(()) => {
            execution.rollout.done(work);
            None
        }
        Err(error) => {
            execution.rollout.failed(work);
            let part = execution.run.tracker.part(Phase::Join);
            part.failed(work.name(), &error);
            Some(Aside {
                host: work.name().to_owned(),
                error,
            })
        }
    }
}

async fn take_steps(
    execution: &Execution<'_>,
    work: &Work,
    mut api_is_ready: watch::Receiver<bool>,
) -> Result<(), Error> {
    let run = execution.run;
    // Held until the node is Ready again.
    let _turn = execution.rollout.turn(work).await?;
    let open = execution.open_changes.begin(work);
    let changed = change(execution, work).await;
    put_back::conclude(execution, work, changed).await?;
    drop(open);
    if run.first_phase_through_api().is_none() || (work.join.is_none() && work.is_empty()) {
        return Ok(());
    }
    if api_is_ready.wait_for(|ready| *ready).await.is_err() {
        return Err(Error::Interrupted);
    }
    join::join(execution, work).await?;
    nodes::finish(execution, work).await
}

/// Makes the changes that need no API, and waits for the kubelet if it may have suffered.
async fn change(execution: &Execution<'_>, work: &Work) -> Result<(), Error> {
    hosts::prepare(execution, work).await?;
    let in_use = work.node.is_some();
    let keeps = work.prepare.keeps_previous();
    // One that has to join again doesn't run before that.
    let runs = work.join.is_none();
    if runs && (keeps || work.disturbs() || in_use && work.restarts_kubelet()) {
        wait::wait_for_kubelet(execution.run, &work.surveyed, in_use).await?;
    }
    Ok(())
}
