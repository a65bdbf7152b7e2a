//! Our applied set: announced before anything is applied, and what left the inventory is
//! deleted once everything else is applied.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use serde_json::Value;

use super::execution::Execution;
use crate::kubernetes::api::{ApiError, AppliedSet};
use crate::kubernetes::applied_set;
use crate::plan::removals::Removal;
use crate::run::error::Error;
use crate::run::events::Event;
use crate::run::phase::Phase;
use crate::run::tracker::Part;

/// How long an object may take to go once it was deleted: a finalizer holds it.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many are deleted at once.
const CONCURRENCY: usize = 8;
/// How often it is looked for.
const PAUSE: Duration = Duration::from_millis(500);

/// The set while a run is applied.
pub(super) struct Announced {
    /// Its parent as the API has it.
    parent: Value,
}

impl Announced {
    /// Makes the set's parent list what it listed before and what is about to be applied, so
    /// that whatever happens, the next run finds all members.
    ///
    /// # Errors
    /// An error of the API.
    pub(super) async fn begin(execution: &Execution<'_>) -> Result<Self, Error> {
        let wanted = &execution.plan.applied_set;
        let known: AppliedSet = execution.api.applier().read_parent().await?;
        let mut kinds = applied_set::kinds_of(wanted);
        let mut namespaces = applied_set::namespaces_of(wanted);
        let mut changes = execution.plan.object_changes.iter().flatten();
        let is_complete = changes.all(|(_, change)| !change.id.names(wanted))
            && kinds.is_subset(&known.kinds)
            && namespaces.is_subset(&known.namespaces);
        kinds.extend(known.kinds);
        namespaces.extend(known.namespaces);
        let parent = applied_set::parent(&kinds, &namespaces);
        if !is_complete {
            write(execution, &parent).await?;
            execution.run.events().emit(Event::Changed {
                phase: Phase::ControlPlane.name(),
                what: "ConfigMap kube-system/clusterctl-rs".into(),
                how: "updated".into(),
            });
        }
        Ok(Announced { parent })
    }

    /// Deletes what the plan deletes, and makes the parent list what is left.
    ///
    /// # Errors
    /// An error of the API.
    pub(super) async fn prune(self, execution: &Execution<'_>) -> Result<(), Error> {
        // Without a comparison there is no telling what else is a member.
        if execution.plan.object_changes.is_none() {
            return Ok(());
        }
        delete_all(execution, &execution.plan.removals).await?;
        let wanted = &execution.plan.applied_set;
        let is_left = applied_set::kinds_of(wanted) == applied_set::kinds_of(&self.parent)
            && applied_set::namespaces_of(wanted) == applied_set::namespaces_of(&self.parent);
        if !is_left {
            write(execution, wanted).await?;
        }
        Ok(())
    }
}

/// Deletes objects, those of one rank at once, and waits until they are gone before those of
/// the next, which they may need.
async fn delete_all(execution: &Execution<'_>, removals: &[Removal]) -> Result<(), Error> {
    let tracker = &execution.run.tracker;
    let phases: BTreeSet<Phase> = removals.iter().map(|removal| removal.phase).collect();
    let parts: BTreeMap<Phase, Part> = phases
        .into_iter()
        .map(|phase| {
            tracker.expect(phase, 1);
            (phase, tracker.part(phase))
        })
        .collect();
    for equals in removals.chunk_by(|one, next| one.rank() == next.rank()) {
        let deletions = equals.iter().map(|removal| async {
            let what = removal.id.to_string();
            let deletion = delete(execution, removal);
            let run = execution.run;
            run.journalled(None, removal.phase, &what, deletion).await?;
            if let Some(part) = parts.get(&removal.phase) {
                part.changed(what, "deleted");
            }
            Ok::<_, Error>(())
        });
        let deletions = futures::stream::iter(deletions).buffered(CONCURRENCY);
        deletions.try_collect::<Vec<()>>().await?;
    }
    Ok(())
}

async fn delete(execution: &Execution<'_>, removal: &Removal) -> Result<(), Error> {
    let applier = execution.api.applier();
    let Removal { id, uid, .. } = removal;
    if applier.delete(id, uid).await? {
        return Ok(());
    }
    let gone = async {
        while !applier.is_gone(id, uid).await? {
            tokio::time::sleep(PAUSE).await;
        }
        Ok::<_, ApiError>(())
    };
    match tokio::time::timeout(PATIENCE, gone).await {
        Ok(result) => Ok(result?),
        Err(_) => {
            execution.run.events().warn(format!(
                "{id} is deleted, but its finalizers still hold it after {} s: look at its \
                 `metadata.finalizers`",
                PATIENCE.as_secs()
            ));
            Ok(())
        }
    }
}

async fn write(execution: &Execution<'_>, parent: &Value) -> Result<(), Error> {
    let what = "ConfigMap kube-system/clusterctl-rs";
    let run = execution.run;
    let applied = async { Ok(execution.api.applier().apply(parent).await?) };
    run.journalled(None, Phase::ControlPlane, what, applied)
        .await?;
    Ok(())
}
