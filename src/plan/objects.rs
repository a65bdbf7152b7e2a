//! Which API objects would change.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use serde_json::Value;

use super::corefile;
use crate::cluster::api::ClusterApi;
use crate::desired::context::Context;
use crate::kubernetes::api::{ApiError, ObjectChange};
use crate::layout::names;
use crate::run::Run;
use crate::run::error::Error;
use crate::run::phase::Phase;

/// Keeps what is not the inventory's to say about objects that exist: to how many replicas
/// CoreDNS was scaled and a Corefile that was edited, as kubeadm does, and when a token ends,
/// whose lifetime starts when it is created. Returns warnings about what is kept.
///
/// # Errors
/// An error of the API.
pub(crate) async fn keep_live_values(
    context: &Context,
    api: &ClusterApi,
    objects: &mut [(Phase, Value)],
) -> Result<Vec<String>, Error> {
    let mut warnings = Vec::new();
    for (_, object) in objects {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        match object["kind"].as_str() {
            Some("Deployment") if name == "coredns" => keep_replicas(api, object).await?,
            Some("ConfigMap") if name == "coredns" && !context.brings_corefile() => {
                warnings.extend(keep_corefile(api, object).await?);
            }
            Some("Secret") if name.starts_with(names::BOOTSTRAP_TOKEN_PREFIX) => {
                keep_expiration(api, object).await?;
            }
            _ => {}
        }
    }
    Ok(warnings)
}

async fn keep_corefile(api: &ClusterApi, coredns: &mut Value) -> Result<Option<String>, Error> {
    let maps: Api<ConfigMap> = Api::namespaced(api.admin.clone(), names::KUBE_SYSTEM);
    let live = maps
        .get_opt("coredns")
        .await
        .map_err(ApiError::request("read ConfigMap kube-system/coredns"))?;
    Ok(live.and_then(|live| corefile::keep_edited(&live, coredns)))
}

async fn keep_replicas(api: &ClusterApi, coredns: &mut Value) -> Result<(), Error> {
    let deployments: Api<Deployment> = Api::namespaced(api.admin.clone(), names::KUBE_SYSTEM);
    let live = deployments
        .get_opt("coredns")
        .await
        .map_err(ApiError::request("read Deployment kube-system/coredns"))?;
    if let Some(replicas) = live.and_then(|live| live.spec?.replicas) {
        coredns["spec"]["replicas"] = replicas.into();
    }
    Ok(())
}

async fn keep_expiration(api: &ClusterApi, token: &mut Value) -> Result<(), Error> {
    let name = token["metadata"]["name"].as_str().unwrap_or_default();
    let secrets: Api<Secret> = Api::namespaced(api.admin.clone(), names::KUBE_SYSTEM);
    let live = secrets
        .get_opt(name)
        .await
        .map_err(ApiError::request("read a bootstrap token"))?;
    let (Some(live), Some(data)) = (live, token["data"].as_object_mut()) else {
        return Ok(());
    };
    data.shift_remove("expiration");
    let live = live.data.unwrap_or_default();
    if let Some(expiration) = live.get("expiration") {
        data.insert("expiration".into(), STANDARD.encode(&expiration.0).into());
    }
    Ok(())
}

/// Which objects would change. Writes nothing; warns of those of which the API can't say it.
pub(crate) async fn compare(
    run: &Run,
    api: &ClusterApi,
    objects: &[(Phase, Value)],
) -> Result<Vec<(Phase, ObjectChange)>, Error> {
    let values: Vec<Value> = objects.iter().map(|(_, object)| object.clone()).collect();
    let (changes, warnings) = api.applier().compare_and_warn(&values).await?;
    for warning in warnings {
        run.events().warn(warning);
    }
    Ok(changes
        .into_iter()
        .filter_map(|change| {
            let phase = objects
                .iter()
                .find(|(_, object)| change.id.names(object))
                .map(|(phase, _)| *phase)?;
            Some((phase, change))
        })
        .collect())
}
