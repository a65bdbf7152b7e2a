//! `kubectl wait` and `kubectl drain`.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::json;

use super::{Options, path_of, say, targets};
use crate::api::{items, name, namespace};
use crate::client::{Client, MERGE};

fn end(o: &Options, default: &str) -> anyhow::Result<Instant> {
    let text = if o.timeout.is_empty() {
        default
    } else {
        &o.timeout
    };
    let limit = crate::flags::duration(text)
        .with_context(|| format!("error: invalid --timeout {text:?}"))?;
    Ok(Instant::now() + limit)
}

/// Waits until all objects have a condition, or are deleted.
pub(super) async fn wait(client: &Client, o: &Options) -> anyhow::Result<()> {
    let end = end(o, "30s")?;
    let (kind, status) = match o.condition.strip_prefix("condition=") {
        Some(wanted) => wanted.split_once('=').unwrap_or((wanted, "True")),
        None if o.condition == "delete" => ("", ""),
        None => bail!("error: unrecognized condition: {:?}", o.condition),
    };
    for (resource, space, own) in targets(o)? {
        loop {
            let found = match client.get(&path_of(resource, &space, &own)).await {
                Err(e) if e.code != 404 => bail!("Error from server ({}): {e}", e.reason),
                found => found.ok(),
            };
            let done = match &found {
                None => kind.is_empty(),
                Some(value) => {
                    let one = [value.clone()];
                    let all: Vec<_> = match value.get("items") {
                        Some(_) => items(value, "/items").collect(),
                        None => one.iter().collect(),
                    };
                    let has = |object: &serde_json::Value| {
                        items(object, "/status/conditions").any(|c| {
                            c["type"]
                                .as_str()
                                .is_some_and(|t| t.eq_ignore_ascii_case(kind))
                                && c["status"] == status
                        })
                    };
                    !all.is_empty() && all.into_iter().all(has)
                }
            };
            let label = format!("{}/{own}", resource.kind.to_lowercase());
            if done {
                say(&format!("{label} condition met"));
                break;
            }
            if Instant::now() > end {
                bail!("error: timed out waiting for the condition on {label}");
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
    Ok(())
}

/// Cordons nodes and evicts their pods, but for those of DaemonSets and static ones.
pub(super) async fn drain(client: &Client, o: &Options) -> anyhow::Result<()> {
    let end = end(o, "5m")?;
    for node in &o.words[1..] {
        client
            .patch(
                &format!("/api/v1/nodes/{node}"),
                MERGE,
                &json!({"spec": {"unschedulable": true}}),
            )
            .await?;
        say(&format!("node/{node} cordoned"));
        loop {
            let pods = client
                .get(&format!("/api/v1/pods?fieldSelector=spec.nodeName={node}"))
                .await?;
            let mut left = 0;
            for pod in items(&pods, "/items") {
                let owned_by =
                    |kind: &str| items(pod, "/metadata/ownerReferences").any(|r| r["kind"] == kind);
                if !pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_null() {
                    continue;
                }
                if owned_by("DaemonSet") {
                    if !o.ignore_daemonsets {
                        bail!(
                            "error: unable to drain node {node:?}: cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore): {}/{}",
                            namespace(pod),
                            name(pod)
                        );
                    }
                    continue;
                }
                left += 1;
                let path = format!(
                    "/api/v1/namespaces/{}/pods/{}/eviction",
                    namespace(pod),
                    name(pod)
                );
                let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name(pod), "namespace": namespace(pod)}});
                match client.create(&path, &eviction).await {
                    Err(e) if !matches!(e.code, 404 | 409 | 429) => {
                        bail!("error when evicting pods/{:?}: {e}", name(pod))
                    }
                    _ => {}
                }
            }
            if left == 0 {
                say(&format!("node/{node} drained"));
                break;
            }
            if Instant::now() > end {
                bail!("error: unable to drain node {node:?}: global timeout reached");
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    Ok(())
}
