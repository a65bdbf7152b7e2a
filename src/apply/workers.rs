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
use crate::run::tracker::Held;

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

/// Where a worker is on its way, so that its failure is told in the phase that it is about.
struct Stage<'a> {
    execution: &'a Execution<'a>,
    work: &'a Work,
    held: Held,
    /// Whether its part of the phase has begun.
    begun: bool,
}

impl<'a> Stage<'a> {
    /// The phases of a worker, in order.
    const ALL: [Phase; 4] = [Phase::Hosts, Phase::Join, Phase::Network, Phase::Nodes];

    fn first(execution: &'a Execution<'a>, work: &'a Work) -> Self {
        Stage {
            execution,
            work,
            held: execution.run.tracker.hold(Phase::Hosts),
            begun: false,
        }
    }

    /// Waits for its turn in `phase`.
    fn enter(&mut self, phase: Phase) {
        self.held = self.execution.run.tracker.hold(phase);
        self.begun = false;
    }

    /// Begins its part of the phase.
    fn begin(&mut self) {
        self.begun = true;
    }

    /// Reports the failure, once, and that the worker takes part in no later phase.
    fn failed(self, error: &Error) {
        let tracker = &self.execution.run.tracker;
        let at = self.held.phase();
        tracker.failed(at, self.work.name(), error);
        let missed = Self::ALL
            .into_iter()
            .skip_while(|phase| *phase != at)
            .skip(usize::from(self.begun))
            .filter(|phase| self.execution.plan.affects(*phase, self.work));
        for phase in missed {
            tracker.give_up(phase);
        }
    }
}

/// Sets up one worker. `Some` if it was set aside.
async fn bring_up_one(
    execution: &Execution<'_>,
    work: &Work,
    api_is_ready: watch::Receiver<bool>,
) -> Option<Aside> {
    let mut stage = Stage::first(execution, work);
    match take_steps(&mut stage, api_is_ready).await {
        Ok(()) => {
            execution.rollout.done(work);
            None
        }
        Err(error) => {
            execution.rollout.failed(work);
            stage.failed(&error);
            Some(Aside {
                host: work.name().to_owned(),
                error,
            })
        }
    }
}

async fn take_steps(
    stage: &mut Stage<'_>,
    mut api_is_ready: watch::Receiver<bool>,
) -> Result<(), Error> {
    let (execution, work) = (stage.execution, stage.work);
    let run = execution.run;
    // Held until the node is Ready again.
    let _turn = execution.rollout.turn(work).await?;
    stage.begin();
    let open = execution.open_changes.begin(work);
    let changed = change(execution, work).await;
    put_back::conclude(execution, work, changed).await?;
    drop(open);
    if run.first_phase_through_api().is_none() || (work.join.is_none() && work.is_empty()) {
        return Ok(());
    }
    stage.enter(Phase::Join);
    if api_is_ready.wait_for(|ready| *ready).await.is_err() {
        return Err(Error::Interrupted);
    }
    stage.begin();
    join::join(execution, work).await?;
    stage.enter(Phase::Network);
    stage.begin();
    if !nodes::connect(execution, work).await? {
        return Ok(());
    }
    stage.enter(Phase::Nodes);
    stage.begin();
    nodes::make_ready(execution, work).await
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
