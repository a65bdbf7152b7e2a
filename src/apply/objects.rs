//! The API objects of a cluster, phase by phase.

use serde_json::Value;

use crate::apply::upload_certs;
use crate::cluster::api::ClusterApi;
use crate::kubernetes::api::ObjectChange;
use crate::plan::model::Plan;
use crate::run::Run;
use crate::run::error::Error;
use crate::run::events::Event;
use crate::run::phase::Phase;
use crate::run::tracker::Part;

/// Phases that are nothing but objects, in order.
const PHASES: [Phase; 5] = [
    Phase::UploadConfig,
    Phase::UploadCerts,
    Phase::BootstrapToken,
    Phase::Addons,
    Phase::Network,
];

/// Applies what the plan says, phase by phase. What the plan could not know, because there was
/// no API yet, is compared now.
pub(crate) async fn apply(run: &Run, plan: &Plan, api: &ClusterApi) -> Result<(), Error> {
    if api.ensure_admin(&plan.context.cluster_admins()?).await? {
        run.events().emit(Event::Changed {
            phase: Phase::ControlPlane.name(),
            what: "ClusterRoleBinding kubeadm:cluster-admins".into(),
            how: "created".into(),
        });
    }
    let compared;
    let changes = match &plan.object_changes {
        Some(changes) => changes,
        None => {
            compared = crate::plan::objects::compare(api, &plan.objects).await?;
            &compared
        }
    };
    for phase in PHASES {
        let changes: Vec<&ObjectChange> = changes
            .iter()
            .filter(|(owner, _)| *owner == phase)
            .map(|(_, change)| change)
            .collect();
        let uploads = phase == Phase::UploadCerts && plan.certificate_key.is_some();
        if changes.is_empty() && !uploads {
            continue;
        }
        let part = run.tracker.part(phase);
        if !changes.is_empty() {
            apply_changes(run, plan, api, &part, changes).await?;
        }
        if uploads {
            upload_certs::upload(run, plan, api, &part).await?;
        }
    }
    Ok(())
}

async fn apply_changes(
    run: &Run,
    plan: &Plan,
    api: &ClusterApi,
    part: &Part,
    changes: Vec<&ObjectChange>,
) -> Result<(), Error> {
    let objects: Vec<Value> = plan
        .objects
        .iter()
        .map(|(_, object)| object)
        .filter(|object| changes.iter().any(|change| change.id.names(object)))
        .cloned()
        .collect();
    let what = format!("{} objects", objects.len());
    run.journalled(None, part.phase(), &what, async {
        Ok(api.applier().apply_all(&objects).await?)
    })
    .await?;
    for change in changes {
        let how = if change.created { "created" } else { "updated" };
        part.changed(change.id.to_string(), how);
    }
    Ok(())
}
