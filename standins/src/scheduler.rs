//! The kube-scheduler stand-in: binds pods to the emptiest node that they select and tolerate.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::api::{is_condition, items, name, namespace};
use crate::client::{Client, MERGE};
use crate::flags::Flags;
use crate::informer::Informer;

/// Runs kube-scheduler until it is killed.
pub async fn run(flags: Flags) -> anyhow::Result<()> {
    let client = Client::new(&crate::leader::load_kubeconfigs(&flags)?)?;
    crate::leader::serve(&flags, "kube-scheduler", "10259").await?;
    let scheduling = async {
        if flags.bool("leader-elect", true) {
            crate::leader::elect(client.clone(), "kube-scheduler").await;
        }
        let bell = Arc::new(Notify::new());
        let pods = Informer::start(client.clone(), "/api/v1/pods", bell.clone());
        let nodes = Informer::start(client.clone(), "/api/v1/nodes", bell.clone());
        loop {
            let _ = tokio::time::timeout(Duration::from_secs(1), bell.notified()).await;
            if pods.synced() && nodes.synced() {
                schedule_one(&client, &pods.all(), &nodes.all()).await;
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    };
    tokio::select! {
        () = scheduling => Ok(()),
        () = crate::terminated() => Ok(()),
    }
}

/// Binds the first pod that fits somewhere; the next is placed knowing this one.
async fn schedule_one(client: &Client, pods: &[Value], nodes: &[Value]) {
    for pod in pods {
        let waits =
            pod["spec"]["nodeName"].is_null() && pod["metadata"]["deletionTimestamp"].is_null();
        if !waits || pod["spec"]["schedulerName"] != "default-scheduler" {
            continue;
        }
        let path = format!("/api/v1/namespaces/{}/pods/{}", namespace(pod), name(pod));
        let Some(node) = choose_node(pod, pods, nodes) else {
            refuse_pod(client, &path, pod, nodes.len()).await;
            continue;
        };
        let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name(pod), "namespace": namespace(pod)}, "target": {"kind": "Node", "apiVersion": "v1", "name": name(node)}});
        match client.create(&format!("{path}/binding"), &binding).await {
            Err(e) if !matches!(e.code, 404 | 409) => {
                crate::klog!(error, "binding {}: {e}", name(pod))
            }
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        return;
    }
}

/// The node with the fewest of a pod's siblings, then of pods.
fn choose_node<'a>(pod: &Value, pods: &[Value], nodes: &'a [Value]) -> Option<&'a Value> {
    let spec = &pod["spec"];
    let owner = &pod["metadata"]["ownerReferences"][0]["uid"];
    nodes
        .iter()
        .filter(|n| n["metadata"]["deletionTimestamp"].is_null())
        .filter(|n| is_condition(n, "Ready") || tolerates_all(spec))
        .filter(|n| selects(spec, n) && tolerates(spec, n))
        .min_by_key(|n| {
            let here = pods.iter().filter(|p| p["spec"]["nodeName"] == name(n));
            let is_sibling = |p: &&Value| p["metadata"]["ownerReferences"][0]["uid"] == *owner;
            (here.clone().filter(is_sibling).count(), here.count())
        })
}

/// Says once that a pod fits nowhere.
async fn refuse_pod(client: &Client, path: &str, pod: &Value, nodes: usize) {
    let told = items(pod, "/status/conditions")
        .any(|c| c["type"] == "PodScheduled" && c["status"] == "False");
    if told {
        return;
    }
    let mut status = pod.clone();
    let why = format!(
        "0/{nodes} nodes are available: no node matches the pod's selector and tolerations."
    );
    crate::api::set_condition(&mut status, "PodScheduled", "False", "Unschedulable", &why);
    let patch = json!({"status": {"conditions": status["status"]["conditions"]}});
    // The next round tries again.
    let _ = client.patch(&format!("{path}/status"), MERGE, &patch).await;
}

fn tolerates_all(spec: &Value) -> bool {
    items(spec, "/tolerations").any(|t| t["key"].is_null() && t["operator"] == "Exists" && t["effect"].is_null())
        || items(spec, "/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms").any(|t| items(t, "/matchFields").next().is_some())
}

/// Whether a pod's nodeSelector and required node affinity fit a node.
pub fn selects(spec: &Value, node: &Value) -> bool {
    let labels = &node["metadata"]["labels"];
    let exact = spec["nodeSelector"]
        .as_object()
        .into_iter()
        .flatten()
        .all(|(k, v)| labels.get(k) == Some(v));
    let mut terms = items(
        spec,
        "/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms",
    )
    .peekable();
    let affine = terms.peek().is_none()
        || terms.any(|term| {
            crate::api::object_selector(
                &json!({"matchExpressions": term["matchExpressions"]}),
                labels,
            ) && items(term, "/matchFields").all(|f| items(f, "/values").any(|v| v == name(node)))
        });
    exact && affine
}

/// Whether a pod tolerates all of a node's NoSchedule and NoExecute taints.
pub fn tolerates(spec: &Value, node: &Value) -> bool {
    let cordon = (node["spec"]["unschedulable"] == true)
        .then(|| json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}));
    items(node, "/spec/taints")
        .cloned()
        .chain(cordon)
        .filter(|t| t["effect"] != "PreferNoSchedule")
        .all(|taint| {
            items(spec, "/tolerations").any(|t| {
                let empty = |f: &str| t[f].as_str().is_none_or(str::is_empty);
                (empty("effect") || t["effect"] == taint["effect"])
                    && (empty("key") && t["operator"] == "Exists"
                        || t["key"] == taint["key"]
                            && (t["operator"] == "Exists"
                                || t["value"].as_str().unwrap_or("")
                                    == taint["value"].as_str().unwrap_or("")))
            })
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn taints_need_tolerations() {
        let node =
            json!({"spec": {"taints": [{"key": "a", "value": "b", "effect": "NoSchedule"}]}});
        assert!(!tolerates(&json!({}), &node));
        assert!(tolerates(
            &json!({"tolerations": [{"operator": "Exists"}]}),
            &node
        ));
        assert!(tolerates(
            &json!({"tolerations": [{"key": "a", "value": "b"}]}),
            &node
        ));
        assert!(!tolerates(
            &json!({"tolerations": [{"key": "a", "value": "c"}]}),
            &node
        ));
        assert!(!tolerates(
            &json!({}),
            &json!({"spec": {"unschedulable": true}})
        ));
    }
}
