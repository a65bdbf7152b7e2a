//! What the phases of one `apply` share.

use tokio::sync::Semaphore;

use super::open_changes::OpenChanges;
use super::rollout::Rollout;
use crate::cluster::api::ClusterApi;
use crate::plan::model::Plan;
use crate::run::Run;
use crate::run::error::Error;
use crate::run::phase::Phase;

/// A plan that is being applied.
pub(super) struct Execution<'a> {
    pub(super) run: &'a Run,
    pub(super) plan: &'a Plan,
    /// The API that the run uses.
    pub(super) api: ClusterApi,
    /// Limits how many hosts are changed in parallel.
    pub(super) slots: Semaphore,
    /// Changes that have not proven themselves yet.
    pub(super) open_changes: OpenChanges,
    /// Limits how many nodes of a running cluster are disrupted at once.
    pub(super) rollout: Rollout,
}

impl<'a> Execution<'a> {
    /// Begins.
    ///
    /// # Errors
    /// A state directory without the admin's certificate.
    pub(super) fn new(run: &'a Run, plan: &'a Plan) -> Result<Self, Error> {
        Ok(Execution {
            run,
            plan,
            api: ClusterApi::new(run, &plan.context.pki, plan.first())?,
            slots: Semaphore::new(run.options.parallel),
            open_changes: OpenChanges::new(),
            rollout: Rollout::over(plan),
        })
    }

    /// Clients of the API through each control plane of the cluster, the run's own first.
    ///
    /// # Errors
    /// Certificates that don't parse.
    pub(super) fn clients(&self) -> Result<Vec<kube::Client>, Error> {
        let (run, plan) = (self.run, self.plan);
        let first = plan.first();
        let mut control_planes = vec![first];
        control_planes.extend(plan.control_planes.iter().filter(|one| {
            let takes_part = !plan.live || plan.context.owns(one);
            takes_part && one.host.name != first.host.name
        }));
        let client = |one| Ok(ClusterApi::new(run, &plan.context.pki, one)?.strongest());
        control_planes.into_iter().map(client).collect()
    }

    /// Announces how many parts each phase has, so that its end is known.
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

    /// Whether the plan needs the API.
    pub(super) fn needs_api(&self) -> bool {
        self.run.first_phase_through_api().is_some() && !self.plan.is_empty()
    }
}
