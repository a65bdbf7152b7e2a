//! DaemonSets, Deployments and ReplicaSets: enough that their pods come, follow a
//! changed template, and are counted.

use serde_json::{Value, json};

use super::{Context, lenient};
use crate::api::{Result, is_condition, items, name, namespace, set_condition, text};
use crate::client::MERGE;
use crate::scheduler::{selects, tolerates};

/// Taints that a DaemonSet's pods tolerate.
const TOLERATED: [(&str, &str); 7] = [
    ("not-ready", "NoExecute"),
    ("unreachable", "NoExecute"),
    ("disk-pressure", "NoSchedule"),
    ("memory-pressure", "NoSchedule"),
    ("pid-pressure", "NoSchedule"),
    ("unschedulable", "NoSchedule"),
    ("network-unavailable", "NoSchedule"),
];
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

fn owned_by(objects: &[Value], owner: &Value) -> Vec<Value> {
    let uid = &owner["metadata"]["uid"];
    let is_owned = |o: &&Value| items(o, "/metadata/ownerReferences").any(|r| r["uid"] == *uid);
    objects.iter().filter(is_owned).cloned().collect()
}

fn hash(template: &Value) -> String {
    crate::api::sha256(template.to_string().as_bytes())[..10].to_owned()
}

fn is_live(pod: &Value) -> bool {
    let phase = text(&pod["status"], "phase");
    pod["metadata"]["deletionTimestamp"].is_null() && !matches!(phase, "Failed" | "Succeeded")
}

fn count(set: &Value, part: &str, field: &str) -> u64 {
    set[part][field].as_u64().unwrap_or(0)
}

/// A controller, as what owns something.
fn owner(object: &Value, kind: &str) -> Value {
    json!([{"apiVersion": "apps/v1", "kind": kind, "name": name(object), "uid": object["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true}])
}

/// A pod of a workload's template.
fn pod_of(workload: &Value, kind: &str) -> Value {
    let template = &workload["spec"]["template"];
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"generateName": format!("{}-", name(workload)), "namespace": namespace(workload),
                     "labels": template["metadata"]["labels"], "annotations": template["metadata"]["annotations"],
                     "ownerReferences": owner(workload, kind)},
        "spec": template["spec"],
    })
}

fn path(object: &Value, resource: &str) -> String {
    let space = namespace(object);
    format!(
        "/apis/apps/v1/namespaces/{space}/{resource}/{}",
        name(object)
    )
}

async fn write_status(
    context: &Context,
    account: &'static str,
    object: &Value,
    resource: &str,
    status: Value,
) -> Result<()> {
    if object["status"] == status {
        return Ok(());
    }
    let client = context.client(account).await?;
    let mut fresh = object.clone();
    fresh["status"] = status;
    let path = format!("{}/status", path(object, resource));
    lenient(client.replace(&path, &fresh).await)
}

async fn create(context: &Context, account: &'static str, pod: &Value) -> Result<()> {
    let client = context.client(account).await?;
    let path = format!("/api/v1/namespaces/{}/pods", namespace(pod));
    client.create(&path, pod).await.map(|_| ())
}

async fn delete(context: &Context, account: &'static str, pod: &Value) -> Result<()> {
    let client = context.client(account).await?;
    let path = format!("/api/v1/namespaces/{}/pods/{}", namespace(pod), name(pod));
    lenient(client.delete(&path).await)
}

/// One pod per node that a DaemonSet fits.
pub(super) async fn run_daemon_sets(context: &Context) -> Result<()> {
    for set in context.all("daemonsets") {
        run_daemon_set(context, &set).await?;
    }
    Ok(())
}

async fn run_daemon_set(context: &Context, set: &Value) -> Result<()> {
    const ACCOUNT: &str = "daemon-set-controller";
    let own = owned_by(&context.all("pods"), set);
    let revision = hash(&set["spec"]["template"]);
    let template = daemon_of(set, &revision);
    let strategy = &set["spec"]["updateStrategy"];
    let unavailable = strategy["rollingUpdate"]["maxUnavailable"].as_i64();
    let down = own
        .iter()
        .filter(|p| is_live(p) && !is_condition(p, "Ready"));
    let mut may_stop = unavailable.unwrap_or(1) - down.count() as i64;
    let (mut desired, mut current, mut ready, mut updated) = (0, 0, 0, 0);
    for node in context.all("nodes") {
        let mut here = own.iter().filter(|p| node_of(p) == name(&node));
        if !(selects(&template["spec"], &node) && tolerates(&template["spec"], &node)) {
            for pod in here {
                delete(context, ACCOUNT, pod).await?;
            }
            continue;
        }
        desired += 1;
        let Some(pod) = here.clone().find(|p| is_live(p)) else {
            if here.next().is_none() {
                let mut pod = template.clone();
                let term = json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name(&node)]}]});
                pod["spec"]["affinity"]["nodeAffinity"][REQUIRED] =
                    json!({"nodeSelectorTerms": [term]});
                create(context, ACCOUNT, &pod).await?;
            }
            continue;
        };
        current += 1;
        ready += i64::from(is_condition(pod, "Ready"));
        if pod["metadata"]["labels"]["controller-revision-hash"] == revision.as_str() {
            updated += 1;
        } else if may_stop > 0 && strategy["type"] != "OnDelete" {
            may_stop -= 1;
            delete(context, ACCOUNT, pod).await?;
        }
    }
    let counted = json!({"currentNumberScheduled": current, "desiredNumberScheduled": desired, "numberMisscheduled": 0, "numberReady": ready,
                         "numberAvailable": ready, "numberUnavailable": desired - ready, "updatedNumberScheduled": updated, "observedGeneration": set["metadata"]["generation"]});
    write_status(context, ACCOUNT, set, "daemonsets", counted).await
}

/// A DaemonSet's pod, whatever its node.
fn daemon_of(set: &Value, revision: &str) -> Value {
    let mut pod = pod_of(set, "DaemonSet");
    pod["metadata"]["labels"]["controller-revision-hash"] = revision.into();
    let host = pod["spec"]["hostNetwork"] == true;
    let mut tolerations: Vec<Value> = items(&pod, "/spec/tolerations").cloned().collect();
    for (key, effect) in TOLERATED {
        if key != "network-unavailable" || host {
            tolerations.push(json!({"key": format!("node.kubernetes.io/{key}"), "operator": "Exists", "effect": effect}));
        }
    }
    pod["spec"]["tolerations"] = json!(tolerations);
    pod
}

/// The node that a DaemonSet's pod is on, or waits for.
fn node_of(pod: &Value) -> &str {
    let wanted =
        format!("/affinity/nodeAffinity/{REQUIRED}/nodeSelectorTerms/0/matchFields/0/values/0");
    let spec = &pod["spec"];
    let wanted = spec.pointer(&wanted).and_then(Value::as_str);
    spec["nodeName"].as_str().or(wanted).unwrap_or_default()
}

/// Replicas of each ReplicaSet.
pub(super) async fn run_replica_sets(context: &Context) -> Result<()> {
    const ACCOUNT: &str = "replicaset-controller";
    let pods = context.all("pods");
    for set in context.all("replicasets") {
        let mut own = owned_by(&pods, &set);
        own.retain(is_live);
        let wanted = set["spec"]["replicas"].as_u64().unwrap_or(1) as usize;
        // What was made a moment ago may not be in the copy yet: counting at the
        // server keeps a slow watch from making pods twice.
        if own.len() < wanted {
            let path = format!("/api/v1/namespaces/{}/pods", namespace(&set));
            let fresh = context.main.get(&path).await?;
            let fresh: Vec<Value> = items(&fresh, "/items").cloned().collect();
            let there = owned_by(&fresh, &set).iter().filter(|p| is_live(p)).count();
            for _ in there..wanted {
                create(context, ACCOUNT, &pod_of(&set, "ReplicaSet")).await?;
            }
        }
        own.sort_by_key(|p| is_condition(p, "Ready"));
        for pod in own.iter().take(own.len().saturating_sub(wanted)) {
            delete(context, ACCOUNT, pod).await?;
        }
        let ready = own.iter().filter(|p| is_condition(p, "Ready")).count();
        let counted = json!({"replicas": own.len(), "fullyLabeledReplicas": own.len(), "readyReplicas": ready, "availableReplicas": ready, "observedGeneration": set["metadata"]["generation"]});
        write_status(context, ACCOUNT, &set, "replicasets", counted).await?;
    }
    Ok(())
}

/// A ReplicaSet per template of each Deployment; the old ones shrink once the new one stands.
pub(super) async fn run_deployments(context: &Context) -> Result<()> {
    const ACCOUNT: &str = "deployment-controller";
    let sets = context.all("replicasets");
    for deployment in context.all("deployments") {
        let own = owned_by(&sets, &deployment);
        let revision = hash(&deployment["spec"]["template"]);
        let wanted = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
        let client = context.client(ACCOUNT).await?;
        let is_current =
            |s: &&Value| s["metadata"]["labels"]["pod-template-hash"] == revision.as_str();
        let Some(current) = own.iter().find(is_current) else {
            let set = replica_set_of(&deployment, &revision, wanted);
            let path = format!("/apis/apps/v1/namespaces/{}/replicasets", namespace(&set));
            lenient(client.create(&path, &set).await)?;
            continue;
        };
        let stands = count(current, "status", "readyReplicas") >= wanted;
        for set in &own {
            let replicas = match name(set) == name(current) {
                true => wanted,
                false if stands => 0,
                false => continue,
            };
            if count(set, "spec", "replicas") != replicas {
                let patch = json!({"spec": {"replicas": replicas}});
                lenient(client.patch(&path(set, "replicasets"), MERGE, &patch).await)?;
            }
        }
        let counted = deployment_status(&deployment, &own, current, wanted);
        write_status(context, ACCOUNT, &deployment, "deployments", counted).await?;
    }
    Ok(())
}

fn replica_set_of(deployment: &Value, revision: &str, replicas: u64) -> Value {
    let mut template = deployment["spec"]["template"].clone();
    template["metadata"]["labels"]["pod-template-hash"] = revision.into();
    let mut selector = deployment["spec"]["selector"].clone();
    selector["matchLabels"]["pod-template-hash"] = revision.into();
    json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": format!("{}-{revision}", name(deployment)), "namespace": namespace(deployment),
                     "labels": template["metadata"]["labels"], "ownerReferences": owner(deployment, "Deployment")},
        "spec": {"replicas": replicas, "selector": selector, "template": template}})
}

fn deployment_status(deployment: &Value, own: &[Value], current: &Value, wanted: u64) -> Value {
    let sum = |field: &str| own.iter().map(|s| count(s, "status", field)).sum::<u64>();
    let (replicas, ready) = (sum("replicas"), sum("readyReplicas"));
    let unavailable = match &deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] {
        Value::Number(n) => n.as_u64().unwrap_or(0),
        // 25 %, rounded down, is the default.
        _ => wanted / 4,
    };
    let (word, reason) = match ready + unavailable >= wanted {
        true => ("True", "MinimumReplicasAvailable"),
        false => ("False", "MinimumReplicasUnavailable"),
    };
    let mut fresh = deployment.clone();
    set_condition(&mut fresh, "Available", word, reason, "");
    let (reason, done) = match count(current, "status", "readyReplicas") >= wanted {
        true => ("NewReplicaSetAvailable", "has successfully progressed."),
        false => ("ReplicaSetUpdated", "is progressing."),
    };
    let message = format!("ReplicaSet {:?} {done}", name(current));
    set_condition(&mut fresh, "Progressing", "True", reason, &message);
    json!({"observedGeneration": deployment["metadata"]["generation"], "replicas": replicas,
           "updatedReplicas": count(current, "status", "replicas"), "readyReplicas": ready, "availableReplicas": ready,
           "unavailableReplicas": wanted.saturating_sub(ready), "conditions": fresh["status"]["conditions"]})
}
