//! The kube-scheduler stand-in: binds pods to the emptiest node that they select and tolerate.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::api::{is_condition, items, name, namespace};
use crate::client::{Client, Kubeconfig, STRATEGIC};
use crate::flags::Flags;
use crate::informer::Informer;

/// Runs kube-scheduler until it is killed.
pub async fn main(args: &[String]) -> u8 {
    let release = crate::version::current();
    if args.iter().any(|a| a == "--version") {
        println!("Kubernetes {release}");
        return 0;
    }
    let flags = match crate::flags::parse("kube-scheduler", release, args) {
        Ok(flags) => flags,
        Err(e) => {
            eprintln!("Error: {e}");
            return 1;
        }
    };
    match run(&flags).await {
        Ok(()) => 0,
        Err(e) => {
            crate::klog!(error, "\"command failed\" err=\"{e:#}\"");
            1
        }
    }
}

async fn run(flags: &Flags) -> anyhow::Result<()> {
    let config = Kubeconfig::load(flags.get("kubeconfig"))?;
    for name in ["authentication-kubeconfig", "authorization-kubeconfig"] {
        if flags.has(name) {
            Kubeconfig::load(flags.get(name)).with_context(|| {
                format!(
                    "failed to get delegated {} kubeconfig",
                    name.trim_end_matches("-kubeconfig")
                )
            })?;
        }
    }
    let client = Client::new(&config)?;
    crate::leader::serve(flags, "kube-scheduler", "10259").await?;
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
                round(&client, &pods.all(), &nodes.all()).await;
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    };
    tokio::select! {
        () = scheduling => Ok(()),
        () = crate::proxy::terminated() => Ok(()),
    }
}

async fn round(client: &Client, pods: &[Value], nodes: &[Value]) {
    for pod in pods {
        let waits =
            pod["spec"]["nodeName"].is_null() && pod["metadata"]["deletionTimestamp"].is_null();
        if !waits || pod["spec"]["schedulerName"] != "default-scheduler" {
            continue;
        }
        let mut fitting: Vec<&Value> = nodes
            .iter()
            .filter(|n| {
                n["metadata"]["deletionTimestamp"].is_null()
                    && (is_condition(n, "Ready") || tolerates_all(&pod["spec"]))
            })
            .filter(|n| selects(&pod["spec"], n) && tolerates(&pod["spec"], n))
            .collect();
        let owner = &pod["metadata"]["ownerReferences"][0]["uid"];
        fitting.sort_by_key(|n| {
            let here = pods.iter().filter(|p| p["spec"]["nodeName"] == name(n));
            let same = here
                .clone()
                .filter(|p| p["metadata"]["ownerReferences"][0]["uid"] == *owner)
                .count();
            (same, here.count())
        });
        let path = format!("/api/v1/namespaces/{}/pods/{}", namespace(pod), name(pod));
        match fitting.first() {
            Some(node) => {
                let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name(pod), "namespace": namespace(pod)}, "target": {"kind": "Node", "apiVersion": "v1", "name": name(node)}});
                match client.create(&format!("{path}/binding"), &binding).await {
                    Err(e) if !matches!(e.code, 404 | 409) => {
                        crate::klog!(error, "binding {}: {e}", name(pod))
                    }
                    _ => {}
                }
                // One per round, so that the next is placed knowing this one.
                tokio::time::sleep(Duration::from_millis(20)).await;
                return;
            }
            None => {
                let told = items(pod, "/status/conditions")
                    .any(|c| c["type"] == "PodScheduled" && c["status"] == "False");
                if !told {
                    let mut status = pod.clone();
                    let why = format!(
                        "0/{} nodes are available: no node matches the pod's selector and tolerations.",
                        nodes.len()
                    );
                    crate::api::set_condition(
                        &mut status,
                        "PodScheduled",
                        "False",
                        "Unschedulable",
                        &why,
                    );
                    let _ = client
                        .patch(
                            &format!("{path}/status"),
                            STRATEGIC,
                            &json!({"status": {"conditions": status["status"]["conditions"]}}),
                        )
                        .await;
                }
            }
        }
    }
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
