//! Which API objects would change.

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use serde_json::Value;

use crate::cluster::api::ClusterApi;
use crate::kubernetes::api::{ApiError, ObjectChange};
use crate::run::error::Error;
use crate::run::phase::Phase;

/// Keeps the number of CoreDNS replicas if it has been scaled, as kubeadm does.
pub(crate) async fn keep_replicas(
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
pub(crate) async fn compare(
    api: &ClusterApi,
    objects: &[(Phase, Value)],
) -> Result<Vec<(Phase, ObjectChange)>, Error> {
    let values: Vec<Value> = objects.iter().map(|(_, object)| object.clone()).collect();
    let changes = api.applier().compare(&values).await?;
    Ok(changes
        .into_iter()
        // The lifetime of a token from the inventory starts when it is created: an existing
        // one is kept.
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
