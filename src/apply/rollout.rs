//! Limits how many nodes of a running cluster are disrupted at once. A change that breaks
//! one of them is not made on any other: neither in this run nor in the next ones, as long
//! as that node is down.

use std::sync::Mutex;

use tokio::sync::{Semaphore, SemaphorePermit, watch};

use crate::plan::model::{Plan, Work};
use crate::run::error::Error;

/// Turns that workers take.
pub(super) struct Rollout {
    turns: Semaphore,
    /// How many nodes are down and not repaired yet. They need no turn, and no other node
    /// gets one before they are.
    down: watch::Sender<usize>,
    /// The first disrupted node that failed.
    failed: Mutex<Option<String>>,
}

impl Rollout {
    /// Allows as many concurrent turns as the plan says.
    pub(super) fn over(plan: &Plan) -> Self {
        let turns = plan.turns_of_workers();
        let disturbed = plan.work.iter().filter(|work| work.disturbs()).count();
        let workers = plan.work.iter().filter(|work| !work.is_control_plane());
        let down = workers.filter(|work| work.mends()).count();
        Rollout {
            turns: Semaphore::new(turns.min(disturbed.max(1))),
            down: watch::Sender::new(down),
            failed: Mutex::new(None),
        }
    }

    /// Waits for a turn, if `work` needs one. The turn ends when the returned value is
    /// dropped.
    ///
    /// # Errors
    /// [`Error::RolloutStopped`] once a node that had its turn has failed.
    pub(super) async fn turn(&self, work: &Work) -> Result<Option<SemaphorePermit<'_>>, Error> {
        if work.mends() || !work.disturbs() {
            return Ok(None);
        }
        // A failure ends it, too, by closing all turns.
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

    /// Reports that a worker has failed. If it was disrupted, no other will be.
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

    /// No other node gets its turn, because a control plane has failed.
    pub(super) fn stop(&self, error: &Error) {
        if let (Ok(mut failed), Error::OnHost { host, .. }) = (self.failed.lock(), error) {
            failed.get_or_insert_with(|| host.clone());
        }
        self.turns.close();
        self.down.send_modify(|_| ());
    }

    /// Reports that a worker is done.
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
