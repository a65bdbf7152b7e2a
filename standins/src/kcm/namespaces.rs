//! What every namespace gets, and what goes when its owner goes.

use serde_json::{Value, json};

use super::{Context, lenient};
use crate::api::{Result, items, name, namespace, text};
use crate::apiserver::resources::{Resource, find, of_kind};

/// The service account `default` in each namespace.
pub(super) async fn add_accounts(context: &Context) -> Result<()> {
    for space in context.all("namespaces") {
        let space = name(&space);
        if context.one("serviceaccounts", space, "default").is_none() {
            let object = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": space}});
            let client = context.client("service-account-controller").await?;
            let path = format!("/api/v1/namespaces/{space}/serviceaccounts");
            lenient(client.create(&path, &object).await)?;
        }
    }
    Ok(())
}

/// Deletes what has an owner that is gone, and pods of nodes that are.
pub(super) async fn collect_garbage(context: &Context) -> Result<()> {
    for resource in [find("", "pods"), find("apps", "replicasets")]
        .into_iter()
        .flatten()
    {
        for object in context.all(resource.plural) {
            let space = namespace(&object);
            for owner in items(&object, "/metadata/ownerReferences") {
                let of = of_kind(text(owner, "apiVersion"), text(owner, "kind"));
                let Some(of) = of else { continue };
                if is_gone(context, of, space, text(owner, "name"), &owner["uid"]).await {
                    delete(context, resource, &object, "generic-garbage-collector").await?;
                }
            }
            let node = text(&object["spec"], "nodeName");
            if let Some(nodes) = find("", "nodes").filter(|_| !node.is_empty())
                && is_gone(context, nodes, "", node, &Value::Null).await
            {
                delete(context, resource, &object, "pod-garbage-collector").await?;
            }
        }
    }
    Ok(())
}

/// Whether an object is not there, or has another uid.
async fn is_gone(context: &Context, of: &Resource, space: &str, own: &str, uid: &Value) -> bool {
    let space = if of.namespaced { space } else { "" };
    let is_it = |live: &Value| uid.is_null() || live["metadata"]["uid"] == *uid;
    if context
        .one(of.plural, space, own)
        .is_some_and(|o| is_it(&o))
    {
        return false;
    }
    // The copy may be behind: ask.
    match context.main.get(&of.path(space, own)).await {
        Ok(live) => !is_it(&live),
        Err(e) => e.code == 404,
    }
}

async fn delete(
    context: &Context,
    resource: &Resource,
    object: &Value,
    account: &'static str,
) -> Result<()> {
    let path = resource.path(namespace(object), name(object));
    let client = context.client(account).await?;
    lenient(client.delete(&format!("{path}?gracePeriodSeconds=0")).await)
}
