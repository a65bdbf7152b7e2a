//! DaemonSets, Deployments and ReplicaSets: enough that their pods come, follow a
//! changed template, and are counted.

use serde_json::{Value, json};

use super::{Context, lenient};
use crate::api::{Result, is_condition, items, name, namespace, object_selector, set_condition};
use crate::scheduler::{selects, tolerates};

fn owned(pods: &[Value], owner: &Value) -> Vec<Value> {
    pods.iter()
        .filter(|p| {
            items(p, "/metadata/ownerReferences").any(|o| o["uid"] == owner["metadata"]["uid"])
        })
        .cloned()
        .collect()
}

fn hash(template: &Value) -> String {
    crate::api::sha256(template.to_string().as_bytes())[..10].to_owned()
}

fn live(pod: &Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_null()
        && !matches!(
            pod["status"]["phase"].as_str(),
            Some("Failed" | "Succeeded")
        )
}

fn pod_of(owner: &Value, kind: &str, labels: &[(&str, &str)]) -> Value {
    let template = &owner["spec"]["template"];
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"generateName": format!("{}-", name(owner)), "namespace": namespace(owner),
                     "labels": template["metadata"]["labels"],
                     "ownerReferences": [{"apiVersion": "apps/v1", "kind": kind, "name": name(owner), "uid": owner["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true}]},
        "spec": template["spec"],
    });
    if let Some(annotations) = template["metadata"]
        .get("annotations")
        .filter(|a| a.is_object())
    {
        pod["metadata"]["annotations"] = annotations.clone();
    }
    for (key, value) in labels {
        pod["metadata"]["labels"][*key] = (*value).into();
    }
    pod
}

fn path(object: &Value, resource: &str) -> String {
    format!(
        "/apis/apps/v1/namespaces/{}/{resource}/{}",
        namespace(object),
        name(object)
    )
}

async fn status(
    context: &Context,
    account: &'static str,
    object: &Value,
    resource: &str,
    kind: &str,
    status: Value,
) -> Result<()> {
    if object["status"] == status {
        return Ok(());
    }
    let mut fresh = object.clone();
    fresh["kind"] = kind.into();
    fresh["apiVersion"] = "apps/v1".into();
    fresh["status"] = status;
    lenient(
        context
            .client(account)
            .await?
            .replace(&format!("{}/status", path(object, resource)), &fresh)
            .await,
    )
}

async fn create(context: &Context, account: &'static str, pod: &Value) -> Result<()> {
    context
        .client(account)
        .await?
        .create(&format!("/api/v1/namespaces/{}/pods", namespace(pod)), pod)
        .await
        .map(|_| ())
}

async fn delete(context: &Context, account: &'static str, pod: &Value) -> Result<()> {
    lenient(
        context
            .client(account)
            .await?
            .delete(&format!(
                "/api/v1/namespaces/{}/pods/{}",
                namespace(pod),
                name(pod)
            ))
            .await,
    )
}

/// One pod per node that a DaemonSet fits.
pub(super) async fn daemon_sets(context: &Context) -> Result<()> {
    const ACCOUNT: &str = "daemon-set-controller";
    let pods = context.all("pods");
    for set in context.all("daemonsets") {
        let revision = hash(&set["spec"]["template"]);
        let own = owned(&pods, &set);
        let mut template = pod_of(
            &set,
            "DaemonSet",
            &[
                ("controller-revision-hash", &revision),
                ("pod-template-generation", "1"),
            ],
        );
        let host = template["spec"]["hostNetwork"] == true;
        if !template["spec"]["tolerations"].is_array() {
            template["spec"]["tolerations"] = json!([]);
        }
        let extra = [
            ("not-ready", "NoExecute"),
            ("unreachable", "NoExecute"),
            ("disk-pressure", "NoSchedule"),
            ("memory-pressure", "NoSchedule"),
            ("pid-pressure", "NoSchedule"),
            ("unschedulable", "NoSchedule"),
            ("network-unavailable", "NoSchedule"),
        ];
        if let Some(list) = template["spec"]["tolerations"].as_array_mut() {
            for (key, effect) in extra
                .iter()
                .filter(|(k, _)| *k != "network-unavailable" || host)
            {
                list.push(json!({"key": format!("node.kubernetes.io/{key}"), "operator": "Exists", "effect": effect}));
            }
        }
        let (mut desired, mut current, mut ready, mut updated) = (0, 0, 0, 0);
        let unavailable = set["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"]
            .as_i64()
            .unwrap_or(1);
        let mut may_stop = unavailable
            - own
                .iter()
                .filter(|p| live(p) && !is_condition(p, "Ready"))
                .count() as i64;
        for node in context.all("nodes") {
            let fits = selects(&template["spec"], &node) && tolerates(&template["spec"], &node);
            let wanted = |p: &Value| {
                items(p, "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms")
                    .any(|t| items(t, "/matchFields").any(|f| items(f, "/values").any(|v| v == name(&node))))
            };
            let here: Vec<&Value> = own
                .iter()
                .filter(|p| {
                    p["spec"]["nodeName"] == name(&node)
                        || p["spec"]["nodeName"].is_null() && wanted(p)
                })
                .collect();
            if !fits {
                for pod in here {
                    delete(context, ACCOUNT, pod).await?;
                }
                continue;
            }
            desired += 1;
            match here.iter().find(|p| live(p)) {
                Some(pod) => {
                    current += 1;
                    ready += i64::from(is_condition(pod, "Ready"));
                    if pod["metadata"]["labels"]["controller-revision-hash"] == revision.as_str() {
                        updated += 1;
                    } else if may_stop > 0 && set["spec"]["updateStrategy"]["type"] != "OnDelete" {
                        may_stop -= 1;
                        delete(context, ACCOUNT, pod).await?;
                    }
                }
                None if here.is_empty() => {
                    let mut pod = template.clone();
                    pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] = json!({"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name(&node)]}]}]});
                    create(context, ACCOUNT, &pod).await?;
                }
                None => {
                    for pod in here.iter().filter(|p| {
                        matches!(p["status"]["phase"].as_str(), Some("Failed" | "Succeeded"))
                    }) {
                        delete(context, ACCOUNT, pod).await?;
                    }
                }
            }
        }
        let counted = json!({"currentNumberScheduled": current, "desiredNumberScheduled": desired, "numberMisscheduled": 0, "numberReady": ready,
                             "numberAvailable": ready, "numberUnavailable": desired - ready, "updatedNumberScheduled": updated, "observedGeneration": set["metadata"]["generation"]});
        status(context, ACCOUNT, &set, "daemonsets", "DaemonSet", counted).await?;
    }
    Ok(())
}

/// Replicas of each ReplicaSet.
pub(super) async fn replica_sets(context: &Context) -> Result<()> {
    const ACCOUNT: &str = "replicaset-controller";
    let pods = context.all("pods");
    for set in context.all("replicasets") {
        let own: Vec<Value> = owned(&pods, &set).into_iter().filter(live).collect();
        let wanted = set["spec"]["replicas"].as_u64().unwrap_or(1) as usize;
        // What was made a moment ago may not be in the copy yet: counting at the
        // server keeps a slow watch from making pods twice.
        if own.len() < wanted {
            let fresh = context
                .main
                .get(&format!("/api/v1/namespaces/{}/pods", namespace(&set)))
                .await?;
            let fresh: Vec<Value> = items(&fresh, "/items").cloned().collect();
            let there = owned(&fresh, &set).iter().filter(|p| live(p)).count();
            for _ in there..wanted {
                create(context, ACCOUNT, &pod_of(&set, "ReplicaSet", &[])).await?;
            }
        }
        let mut surplus: Vec<&Value> = own.iter().collect();
        surplus.sort_by_key(|p| is_condition(p, "Ready"));
        for pod in surplus.into_iter().take(own.len().saturating_sub(wanted)) {
            delete(context, ACCOUNT, pod).await?;
        }
        let ready = own.iter().filter(|p| is_condition(p, "Ready")).count();
        let counted = json!({"replicas": own.len(), "fullyLabeledReplicas": own.len(), "readyReplicas": ready, "availableReplicas": ready, "observedGeneration": set["metadata"]["generation"]});
        status(context, ACCOUNT, &set, "replicasets", "ReplicaSet", counted).await?;
    }
    Ok(())
}

/// A ReplicaSet per template of each Deployment; the old ones shrink once the new one stands.
pub(super) async fn deployments(context: &Context) -> Result<()> {
    const ACCOUNT: &str = "deployment-controller";
    let sets = context.all("replicasets");
    for deployment in context.all("deployments") {
        let own = owned(&sets, &deployment);
        let revision = hash(&deployment["spec"]["template"]);
        let wanted = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
        let current = own
            .iter()
            .find(|s| s["metadata"]["labels"]["pod-template-hash"] == revision.as_str());
        let client = context.client(ACCOUNT).await?;
        let Some(current) = current else {
            let mut template = deployment["spec"]["template"].clone();
            template["metadata"]["labels"]["pod-template-hash"] = revision.clone().into();
            let mut selector = deployment["spec"]["selector"].clone();
            selector["matchLabels"]["pod-template-hash"] = revision.clone().into();
            let object = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
                "metadata": {"name": format!("{}-{revision}", name(&deployment)), "namespace": namespace(&deployment), "labels": template["metadata"]["labels"],
                             "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": name(&deployment), "uid": deployment["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true}]},
                "spec": {"replicas": wanted, "selector": selector, "template": template}});
            lenient(
                client
                    .create(
                        &format!(
                            "/apis/apps/v1/namespaces/{}/replicasets",
                            namespace(&deployment)
                        ),
                        &object,
                    )
                    .await,
            )?;
            continue;
        };
        if current["spec"]["replicas"] != wanted {
            lenient(
                client
                    .patch(
                        &path(current, "replicasets"),
                        crate::client::MERGE,
                        &json!({"spec": {"replicas": wanted}}),
                    )
                    .await,
            )?;
        }
        let count = |set: &Value, field: &str| set["status"][field].as_u64().unwrap_or(0);
        let ready: u64 = own.iter().map(|s| count(s, "readyReplicas")).sum();
        for old in own
            .iter()
            .filter(|s| name(s) != name(current) && s["spec"]["replicas"].as_u64().unwrap_or(0) > 0)
        {
            if count(current, "readyReplicas") >= wanted {
                lenient(
                    client
                        .patch(
                            &path(old, "replicasets"),
                            crate::client::MERGE,
                            &json!({"spec": {"replicas": 0}}),
                        )
                        .await,
                )?;
            }
        }
        let replicas: u64 = own.iter().map(|s| count(s, "replicas")).sum();
        let unavailable = match &deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] {
            Value::Number(n) => n.as_u64().unwrap_or(0),
            // 25 %, rounded down, is the default.
            _ => wanted / 4,
        };
        let mut fresh = deployment.clone();
        let available = ready + unavailable >= wanted;
        let (word, reason) = if available {
            ("True", "MinimumReplicasAvailable")
        } else {
            ("False", "MinimumReplicasUnavailable")
        };
        set_condition(&mut fresh, "Available", word, reason, "");
        let (reason, done) = if count(current, "readyReplicas") >= wanted {
            ("NewReplicaSetAvailable", "has successfully progressed.")
        } else {
            ("ReplicaSetUpdated", "is progressing.")
        };
        set_condition(
            &mut fresh,
            "Progressing",
            "True",
            reason,
            &format!("ReplicaSet {:?} {done}", name(current)),
        );
        let mut counted = json!({"observedGeneration": deployment["metadata"]["generation"], "replicas": replicas, "updatedReplicas": count(current, "replicas"),
                                 "readyReplicas": ready, "availableReplicas": ready, "conditions": fresh["status"]["conditions"]});
        if ready < wanted {
            counted["unavailableReplicas"] = (wanted - ready).into();
        }
        debug_assert!(object_selector(
            &deployment["spec"]["selector"],
            &deployment["spec"]["template"]["metadata"]["labels"]
        ));
        status(
            context,
            ACCOUNT,
            &deployment,
            "deployments",
            "Deployment",
            counted,
        )
        .await?;
    }
    Ok(())
}
