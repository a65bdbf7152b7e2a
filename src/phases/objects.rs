//! The API objects of a cluster, phase by phase.

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use serde_json::Value;

use super::cluster_api::ClusterApi;
use super::plan::Plan;
use super::{Phase, Run, upload_certs};
use crate::Error;
use crate::engine::{Event, Part};
use crate::kubernetes::api::{ApiError, ObjectChange};

/// Phases that are nothing but objects, in order.
const PHASES: [Phase; 5] = [
    Phase::UploadConfig,
    Phase::UploadCerts,
    Phase::BootstrapToken,
    Phase::Addons,
    Phase::Network,
];

/// Leaves the number of CoreDNS' replicas to whoever has scaled it, as kubeadm
/// does.
pub(super) async fn keep_replicas(
    api: &ClusterApi,
    objects: &mut [(Phase, Value)],
) -> Result<(), Error> {
    let coredns = objects
        .iter_mut()
        .map(|(_, object)| object)
        .find(|object| object["kind"] == "Deployment" && object["metadata"]["name"] == "coredns");
    let Some(coredns) = coredns else {
        return Ok(());
    };
    let deployments: Api<Deployment> = Api::namespaced(api.admin.clone(), "kube-system");
    let live = deployments
        .get_opt("coredns")
        .await
        .map_err(ApiError::request("read Deployment kube-system/coredns"))?;
    if let Some(replicas) = live.and_then(|live| live.spec?.replicas) {
        coredns["spec"]["replicas"] = replicas.into();
    }
    Ok(())
}

/// Which objects would change. Writes nothing.
pub(super) async fn compare(
    api: &ClusterApi,
    objects: &[(Phase, Value)],
) -> Result<Vec<(Phase, ObjectChange)>, Error> {
    let values: Vec<Value> = objects.iter().map(|(_, object)| object.clone()).collect();
    let changes = api.applier().compare(&values).await?;
    Ok(changes
        .into_iter()
        // A token of the operator's own counts its time from when it was made:
        // one that is there stays as it is.
        .filter(|change| change.created || !change.id.name.starts_with("bootstrap-token-"))
        .filter_map(|change| {
            let phase = objects
                .iter()
                .find(|(_, object)| change.id.names(object))
                .map(|(phase, _)| *phase)?;
            Some((phase, change))
        })
        .collect())
}

/// Applies what the plan says, phase by phase. What the plan could not know, because there was
/// no API yet, is compared now.
pub(super) async fn apply(run: &Run, plan: &Plan, api: &ClusterApi) -> Result<(), Error> {
    if api.ensure_admin(&plan.context).await? {
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
            compared = compare(api, &plan.objects).await?;
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
