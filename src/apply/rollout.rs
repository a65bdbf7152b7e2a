//! How many nodes of a running cluster are disturbed at once, and that a change
//! which one of them doesn't survive reaches no other: neither in this run nor, as long as
//! that one is down, in the next.

use std::sync::Mutex;

use tokio::sync::{Semaphore, SemaphorePermit, watch};

use crate::plan::model::{Plan, Work};
use crate::run::Run;
use crate::run::error::Error;

/// Turns that workers take.
pub(super) struct Rollout {
    turns: Semaphore,
    /// How many are down and not yet put right. They need no turn, and nobody gets one
    /// before them.
    down: watch::Sender<usize>,
    /// The first node that was disturbed and failed.
    failed: Mutex<Option<String>>,
}

impl Rollout {
    /// As many turns at once as `rollout.maxUnavailable` says, of all workers.
    pub(super) fn over(run: &Run, plan: &Plan) -> Self {
        let workers = run.cluster.hosts.iter();
        let workers = workers.filter(|host| !host.is_control_plane()).count();
        let turns = run.cluster.rollout.max_unavailable.scaled_to(workers);
        let disturbed = plan.work.iter().filter(|work| work.disturbs()).count();
        let workers = plan.work.iter().filter(|work| !work.is_control_plane());
        let down = workers.filter(|work| work.mends()).count();
        Rollout {
            turns: Semaphore::new(turns.min(disturbed.max(1))),
            down: watch::Sender::new(down),
            failed: Mutex::new(None),
        }
    }

    /// Waits for a turn, if `work` needs one; it ends when the answer is dropped.
    ///
    /// # Errors
    /// [`Error::RolloutStopped`] once a node that had its turn has failed.
    pub(super) async fn turn(&self, work: &Work) -> Result<Option<SemaphorePermit<'_>>, Error> {
        if work.mends() || !work.disturbs() {
            return Ok(None);
        }
        // It ends with a failure at the latest, which takes all turns away.
        let mut down = self.down.subscribe();
        let _ = down
            .wait_for(|down| *down == 0 || self.turns.is_closed())
            .await;
        match self.turns.acquire().await {
            Ok(turn) => Ok(Some(turn)),
            Err(_) => Err(Error::RolloutStopped {
                after: self.first_failed(),
            }),
        }
    }

    /// Says that a worker has failed. If it was disturbed, nobody else is.
    pub(super) fn failed(&self, work: &Work) {
        if !work.disturbs() && !work.mends() {
            return;
        }
        if let Ok(mut failed) = self.failed.lock() {
            failed.get_or_insert_with(|| work.name().to_owned());
        }
        self.turns.close();
        self.down.send_modify(|_| ());
    }

    /// Says that a worker is as it should be.
    pub(super) fn done(&self, work: &Work) {
        if work.mends() {
            self.down.send_modify(|down| *down = down.saturating_sub(1));
        }
    }

    fn first_failed(&self) -> String {
        let failed = self.failed.lock().map(|failed| failed.clone());
        failed.ok().flatten().unwrap_or_default()
    }
}
