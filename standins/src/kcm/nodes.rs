//! Nodes: their pod ranges, and whether they are still there.

use serde_json::{Value, json};

use super::{Context, lenient};
use crate::api::{Result, age, items, name, now, set_condition, text};
use crate::client::MERGE;

/// Gives each node without one a pod range.
pub(super) async fn allocate(context: &Context) -> Result<()> {
    if !context.allocate {
        return Ok(());
    }
    let nodes = context.all("nodes");
    let mut taken: Vec<String> = nodes
        .iter()
        .flat_map(|n| items(n, "/spec/podCIDRs"))
        .filter_map(|c| c.as_str().map(str::to_owned))
        .collect();
    for node in nodes.iter().filter(|n| n["spec"]["podCIDR"].is_null()) {
        let mut ranges = vec![];
        for cluster in &context.cluster_cidrs {
            let mask = match cluster.addr().is_ipv4() {
                true => context.node_mask,
                false => cluster.prefix_len().max(64),
            };
            let mut all = cluster.subnets(mask).into_iter().flatten();
            let Some(free) = all.find(|n| !taken.contains(&n.to_string())) else {
                crate::klog!(
                    error,
                    "CIDR allocation failed; there are no remaining CIDRs left to allocate in the accepted range: node {}",
                    name(node)
                );
                return Ok(());
            };
            ranges.push(free.to_string());
        }
        let client = context.client("node-controller").await?;
        let patch = json!({"spec": {"podCIDR": ranges.first(), "podCIDRs": ranges}});
        let path = format!("/api/v1/nodes/{}", name(node));
        lenient(client.patch(&path, MERGE, &patch).await)?;
        taken.extend(ranges);
    }
    Ok(())
}

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

/// Marks silent nodes Unknown, and taints what is not Ready.
pub(super) async fn follow_heartbeats(context: &Context) -> Result<()> {
    for node in context.all("nodes") {
        let own = name(&node);
        let lease = context.one("leases", "kube-node-lease", own);
        let heard = lease
            .and_then(|l| age(&l["spec"]["renewTime"]))
            .or_else(|| age(&node["metadata"]["creationTimestamp"]));
        let silent = heard.is_some_and(|a| a > context.grace.as_secs_f64());
        let ready = items(&node, "/status/conditions").find(|c| c["type"] == "Ready");
        let ready = ready.map_or("", |c| text(c, "status"));
        let path = format!("/api/v1/nodes/{own}");
        let version = &node["metadata"]["resourceVersion"];
        if silent && ready != "Unknown" {
            let mut fresh = node.clone();
            let message = "Kubelet stopped posting node status.";
            set_condition(&mut fresh, "Ready", "Unknown", "NodeStatusUnknown", message);
            let conditions = &fresh["status"]["conditions"];
            let patch = json!({"metadata": {"resourceVersion": version}, "status": {"conditions": conditions}});
            let client = context.client("node-controller").await?;
            lenient(client.patch(&format!("{path}/status"), MERGE, &patch).await)?;
        }
        let wanted: &[(&str, &str)] = match ready {
            "True" if !silent => &[],
            "False" => &[(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")],
            // Not heard of yet.
            "" if !silent => &[(NOT_READY, "NoSchedule")],
            _ => &[(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")],
        };
        let before: Vec<Value> = items(&node, "/spec/taints").cloned().collect();
        let taints = with_taints(&before, wanted);
        if taints != before {
            let patch =
                json!({"metadata": {"resourceVersion": version}, "spec": {"taints": taints}});
            let client = context.client("node-controller").await?;
            lenient(client.patch(&path, MERGE, &patch).await)?;
        }
    }
    Ok(())
}

/// A node's taints, with those of its readiness put right.
fn with_taints(before: &[Value], wanted: &[(&str, &str)]) -> Vec<Value> {
    let is = |t: &Value, (key, effect): &(&str, &str)| t["key"] == *key && t["effect"] == *effect;
    let is_ours = |t: &Value| matches!(text(t, "key"), NOT_READY | UNREACHABLE);
    let mut taints = before.to_vec();
    taints.retain(|t| !is_ours(t) || wanted.iter().any(|w| is(t, w)));
    for one in wanted {
        if !taints.iter().any(|t| is(t, one)) {
            taints.push(json!({"key": one.0, "effect": one.1, "timeAdded": now()}));
        }
    }
    taints
}
