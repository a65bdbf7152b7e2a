//! API objects, applied phase by phase.

use serde_json::Value;

use super::execution::Execution;
use crate::kubernetes::api::ObjectChange;
use crate::plan::objects::{compare, keep_live_values};
use crate::run::error::Error;
use crate::run::events::Event;
use crate::run::phase::Phase;
use crate::run::tracker::Part;

/// The objects to change, by phase.
pub(super) struct Changes {
    changes: Vec<(Phase, ObjectChange)>,
    /// All objects as they are applied.
    objects: Vec<(Phase, Value)>,
}

impl Changes {
    /// Takes the changes from the plan, or compares now if there was no API when it was
    /// built. First makes sure that the admin has its permissions.
    ///
    /// # Errors
    /// An error of the API.
    pub(super) async fn determine(execution: &Execution<'_>) -> Result<Self, Error> {
        let (run, plan, api) = (execution.run, execution.plan, &execution.api);
        if api.ensure_admin(&plan.context.cluster_admins()?).await? {
            run.events().emit(Event::Changed {
                phase: Phase::ControlPlane.name(),
                what: "ClusterRoleBinding kubeadm:cluster-admins".into(),
                how: "created".into(),
            });
        }
        let mut objects = plan.objects.clone();
        let changes = match &plan.object_changes {
            Some(changes) => changes.clone(),
            None => {
                let kept = keep_live_values(&plan.context, api, &mut objects).await?;
                kept.iter()
                    .for_each(|warning| run.events().warn(warning.as_str()));
                compare(run, api, &objects).await?
            }
        };
        Ok(Changes { changes, objects })
    }

    /// Applies the changes of a phase, if any.
    ///
    /// # Errors
    /// An error of the API.
    pub(super) async fn apply_phase(
        &self,
        execution: &Execution<'_>,
        phase: Phase,
    ) -> Result<(), Error> {
        if self.of_phase(phase).next().is_none() {
            return Ok(());
        }
        let part = execution.run.tracker.part(phase);
        self.apply_in(execution, &part).await
    }

    /// Like `apply`, within a part of a phase that does more.
    ///
    /// # Errors
    /// An error of the API.
    pub(super) async fn apply_in(
        &self,
        execution: &Execution<'_>,
        part: &Part,
    ) -> Result<(), Error> {
        let changes: Vec<&ObjectChange> = self.of_phase(part.phase()).collect();
        if changes.is_empty() {
            return Ok(());
        }
        let objects: Vec<Value> = self
            .objects
            .iter()
            .map(|(_, object)| object)
            .filter(|object| changes.iter().any(|change| change.id.names(object)))
            .cloned()
            .collect();
        let what = format!("{} objects", objects.len());
        let applied = async { Ok(execution.api.applier().apply_all(&objects).await?) };
        let run = execution.run;
        run.journalled(None, part.phase(), &what, applied).await?;
        for change in changes {
            let how = if change.created { "created" } else { "updated" };
            part.changed(change.id.to_string(), how);
        }
        Ok(())
    }

    fn of_phase(&self, phase: Phase) -> impl Iterator<Item = &ObjectChange> {
        let changes = self
            .changes
            .iter()
            .filter(move |(owner, _)| *owner == phase);
        changes.map(|(_, change)| change)
    }
}
