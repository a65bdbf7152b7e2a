//! What every namespace gets, how one ends, and what goes when its owner goes.

use serde_json::{Value, json};

use super::{Context, lenient};
use crate::api::{Result, items, label_selector, name, namespace, object_selector};
use crate::apiserver::resources::RESOURCES;

fn alive(context: &Context) -> Vec<Value> {
    context
        .all("namespaces")
        .into_iter()
        .filter(|n| n["metadata"]["deletionTimestamp"].is_null())
        .collect()
}

/// The service account `default` in each namespace.
pub(super) async fn accounts(context: &Context) -> Result<()> {
    for space in alive(context) {
        if context
            .one("serviceaccounts", name(&space), "default")
            .is_none()
        {
            let object = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name(&space)}});
            let client = context.client("service-account-controller").await?;
            lenient(
                client
                    .create(
                        &format!("/api/v1/namespaces/{}/serviceaccounts", name(&space)),
                        &object,
                    )
                    .await,
            )?;
        }
    }
    Ok(())
}

/// The ConfigMap `kube-root-ca.crt` in each namespace.
pub(super) async fn root_ca(context: &Context) -> Result<()> {
    if context.root_ca.is_empty() {
        return Ok(());
    }
    for space in alive(context) {
        let space = name(&space);
        let data = json!({"ca.crt": context.root_ca});
        let base = format!("/api/v1/namespaces/{space}/configmaps");
        let client = context.client("root-ca-cert-publisher").await?;
        match context.one("configmaps", space, "kube-root-ca.crt") {
            Some(live) if live["data"] == data => {}
            Some(mut live) => {
                live["data"] = data;
                lenient(
                    client
                        .replace(&format!("{base}/kube-root-ca.crt"), &live)
                        .await,
                )?;
            }
            None => {
                let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kube-root-ca.crt", "namespace": space}, "data": data});
                lenient(client.create(&base, &object).await)?;
            }
        }
    }
    Ok(())
}

/// The rules of roles that gather others' by label.
pub(super) async fn aggregate(context: &Context) -> Result<()> {
    let roles = context.all("clusterroles");
    for role in roles.iter().filter(|r| r["aggregationRule"].is_object()) {
        let mut rules: Vec<Value> = vec![];
        for other in roles.iter().filter(|o| name(o) != name(role)) {
            let selected = items(role, "/aggregationRule/clusterRoleSelectors")
                .any(|s| object_selector(s, &other["metadata"]["labels"]));
            if selected && label_selector("", &other["metadata"]["labels"]) {
                for rule in items(other, "/rules") {
                    if !rules.contains(rule) {
                        rules.push(rule.clone());
                    }
                }
            }
        }
        let mut fresh = role.clone();
        fresh["rules"] = json!(rules);
        if items(role, "/rules").count() != rules.len()
            || !items(role, "/rules").all(|r| rules.contains(r))
        {
            let client = context.client("clusterrole-aggregation-controller").await?;
            fresh["kind"] = "ClusterRole".into();
            fresh["apiVersion"] = "rbac.authorization.k8s.io/v1".into();
            lenient(
                client
                    .replace(
                        &format!(
                            "/apis/rbac.authorization.k8s.io/v1/clusterroles/{}",
                            name(role)
                        ),
                        &fresh,
                    )
                    .await,
            )?;
        }
    }
    Ok(())
}

/// Empties namespaces that are to go, then lets them.
pub(super) async fn terminate(context: &Context) -> Result<()> {
    for mut space in context
        .all("namespaces")
        .into_iter()
        .filter(|n| !n["metadata"]["deletionTimestamp"].is_null())
    {
        let client = context.client("namespace-controller").await?;
        let mut left = 0;
        for resource in RESOURCES.iter().filter(|r| r.namespaced && !r.is_review()) {
            let base = if resource.group.is_empty() {
                "/api/v1".to_owned()
            } else {
                format!("/apis/{}/v1", resource.group)
            };
            let path = format!("{base}/namespaces/{}/{}", name(&space), resource.plural);
            let list = client.get(&path).await?;
            if items(&list, "/items").next().is_some() {
                client.delete(&path).await?;
                left += items(&client.get(&path).await?, "/items").count();
            }
        }
        if left == 0 {
            space["kind"] = "Namespace".into();
            space["apiVersion"] = "v1".into();
            space["spec"]["finalizers"] = json!([]);
            lenient(
                client
                    .replace(
                        &format!("/api/v1/namespaces/{}/finalize", name(&space)),
                        &space,
                    )
                    .await,
            )?;
        }
    }
    Ok(())
}

/// Deletes what has an owner that is gone, and pods of nodes that are.
pub(super) async fn collect(context: &Context) -> Result<()> {
    for kind in ["pods", "replicasets", "secrets"] {
        for object in context.all(kind) {
            for owner in items(&object, "/metadata/ownerReferences") {
                let version = owner["apiVersion"].as_str().unwrap_or_default();
                let Some(resource) = RESOURCES
                    .iter()
                    .find(|r| r.kind == owner["kind"] && r.api_version() == version)
                else {
                    continue;
                };
                let base = if resource.group.is_empty() {
                    "/api/v1".to_owned()
                } else {
                    format!("/apis/{version}")
                };
                let space = if resource.namespaced {
                    format!("/namespaces/{}", namespace(&object))
                } else {
                    String::new()
                };
                let owner_name = owner["name"].as_str().unwrap_or_default();
                let known = context.informers.get(resource.plural).and_then(|i| {
                    i.get(
                        if resource.namespaced {
                            namespace(&object)
                        } else {
                            ""
                        },
                        owner_name,
                    )
                });
                if known.is_some_and(|k| k["metadata"]["uid"] == owner["uid"]) {
                    continue;
                }
                // The copy may be behind: ask.
                let gone = match context
                    .main
                    .get(&format!("{base}{space}/{}/{owner_name}", resource.plural))
                    .await
                {
                    Ok(live) => live["metadata"]["uid"] != owner["uid"],
                    Err(e) => e.code == 404,
                };
                if gone {
                    delete(context, kind, &object, "generic-garbage-collector").await?;
                }
            }
            let node = object["spec"]["nodeName"].as_str().unwrap_or_default();
            if kind == "pods" && !node.is_empty() && context.one("nodes", "", node).is_none() {
                let live = context.main.get(&format!("/api/v1/nodes/{node}")).await;
                if live.is_err_and(|e| e.code == 404) {
                    delete(context, kind, &object, "pod-garbage-collector").await?;
                }
            }
        }
    }
    Ok(())
}

async fn delete(
    context: &Context,
    kind: &str,
    object: &Value,
    account: &'static str,
) -> Result<()> {
    let base = if kind == "replicasets" {
        "/apis/apps/v1"
    } else {
        "/api/v1"
    };
    let client = context.client(account).await?;
    let path = format!(
        "{base}/namespaces/{}/{kind}/{}?gracePeriodSeconds=0",
        namespace(object),
        name(object)
    );
    lenient(client.delete(&path).await)
}
