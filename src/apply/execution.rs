//! What the phases of one `apply` share.

use tokio::sync::Semaphore;

use super::rollout::Rollout;
use crate::cluster::api::ClusterApi;
use crate::plan::model::Plan;
use crate::run::Run;
use crate::run::error::Error;
use crate::run::phase::Phase;

/// A plan that is being carried out.
pub(super) struct Execution<'a> {
    pub(super) run: &'a Run,
    pub(super) plan: &'a Plan,
    /// The API that the run speaks to.
    pub(super) api: ClusterApi,
    /// How many hosts are converged at once.
    pub(super) slots: Semaphore,
    /// Which nodes of a running cluster are disturbed at once.
    pub(super) rollout: Rollout,
}

impl<'a> Execution<'a> {
    /// Nothing has been done yet.
    ///
    /// # Errors
    /// An operator state without the admin's certificate.
    pub(super) fn new(run: &'a Run, plan: &'a Plan) -> Result<Self, Error> {
        Ok(Execution {
            run,
            plan,
            api: ClusterApi::new(run, &plan.context.pki, plan.first())?,
            slots: Semaphore::new(run.options.parallel),
            rollout: Rollout::over(run, plan),
        })
    }

    /// Says how many parts each phase will have, so that each one's end is known.
    pub(super) fn announce_parts(&self) {
        for phase in [
            Phase::Hosts,
            Phase::ControlPlane,
            Phase::Join,
            Phase::Network,
            Phase::Nodes,
        ] {
            let parts = self.plan.affected_by(phase).count();
            self.run.tracker.expect(phase, parts);
        }
    }

    /// Whether something is to be done through the API.
    pub(super) fn needs_api(&self) -> bool {
        self.run.first_phase_through_api().is_some() && !self.plan.is_empty()
    }
}
