//! Nodes: their pod ranges, and whether they are still there.

use serde_json::{Value, json};

use super::{Context, lenient};
use crate::api::{Result, age, items, name, now};
use crate::client::STRATEGIC;

/// Gives each node without one a pod range.
pub(super) async fn allocate(context: &Context) -> Result<()> {
    let nodes = context.all("nodes");
    let mut taken: Vec<String> = nodes
        .iter()
        .flat_map(|n| items(n, "/spec/podCIDRs"))
        .filter_map(|c| c.as_str().map(str::to_owned))
        .collect();
    for node in nodes.iter().filter(|n| n["spec"]["podCIDR"].is_null()) {
        let mut ranges = vec![];
        for cluster in &context.cluster_cidrs {
            let mask = if cluster.addr().is_ipv4() {
                context.node_mask
            } else {
                64.max(cluster.prefix_len())
            };
            let free = cluster
                .subnets(mask)
                .ok()
                .and_then(|mut s| s.find(|n| !taken.contains(&n.to_string())));
            let Some(free) = free else {
                crate::klog!(
                    error,
                    "CIDR allocation failed; there are no remaining CIDRs left to allocate in the accepted range: node {}",
                    name(node)
                );
                return Ok(());
            };
            ranges.push(free.to_string());
        }
        if let Some(first) = ranges.first() {
            let client = context.client("node-controller").await?;
            let patch = json!({"spec": {"podCIDR": first, "podCIDRs": ranges}});
            lenient(
                client
                    .patch(&format!("/api/v1/nodes/{}", name(node)), STRATEGIC, &patch)
                    .await,
            )?;
            taken.extend(ranges);
        }
    }
    Ok(())
}

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

/// Follows heartbeats: marks silent nodes Unknown, and taints what is not Ready.
pub(super) async fn lifecycle(context: &Context) -> Result<()> {
    for node in context.all("nodes") {
        let own = name(&node);
        let lease = context.one("leases", "kube-node-lease", own);
        let heard = lease
            .and_then(|l| age(&l["spec"]["renewTime"]))
            .or_else(|| age(&node["metadata"]["creationTimestamp"]));
        let ready = items(&node, "/status/conditions")
            .find(|c| c["type"] == "Ready")
            .cloned()
            .unwrap_or_default();
        let silent = heard.is_some_and(|a| a > context.grace.as_secs_f64());
        let path = format!("/api/v1/nodes/{own}");
        if silent && ready["status"] != "Unknown" {
            let client = context.client("node-controller").await?;
            let condition = json!({"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status.", "lastTransitionTime": now()});
            lenient(
                client
                    .patch(
                        &format!("{path}/status"),
                        STRATEGIC,
                        &json!({"status": {"conditions": [condition]}}),
                    )
                    .await,
            )?;
        }
        let wanted: &[(&str, &str)] = match ready["status"].as_str() {
            Some("True") if !silent => &[],
            Some("False") => &[(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")],
            // Not heard of yet.
            None if !silent => &[(NOT_READY, "NoSchedule")],
            _ => &[(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")],
        };
        let taints: Vec<Value> = items(&node, "/spec/taints").cloned().collect();
        let mut fresh: Vec<Value> = taints
            .iter()
            .filter(|t| {
                let ours = matches!(t["key"].as_str(), Some(NOT_READY | UNREACHABLE));
                !ours
                    || wanted
                        .iter()
                        .any(|(k, e)| t["key"] == *k && t["effect"] == *e)
            })
            .cloned()
            .collect();
        for (key, effect) in wanted {
            if !fresh
                .iter()
                .any(|t| t["key"] == *key && t["effect"] == *effect)
            {
                fresh.push(json!({"key": key, "effect": effect, "timeAdded": now()}));
            }
        }
        if fresh != taints {
            let client = context.client("node-controller").await?;
            let version = &node["metadata"]["resourceVersion"];
            let patch =
                json!({"metadata": {"resourceVersion": version}, "spec": {"taints": fresh}});
            lenient(client.patch(&path, STRATEGIC, &patch).await)?;
        }
    }
    Ok(())
}
