//! `kubectl get`: objects as tables, names, JSON or YAML.

use anyhow::bail;
use serde_json::Value;

use super::{Options, path_of, say, targets};
use crate::api::{age, is_condition, items, name, namespace};
use crate::apiserver::resources::Resource;
use crate::client::Client;

/// Prints objects in the form that `-o` names.
pub(super) async fn get(client: &Client, o: &Options) -> anyhow::Result<()> {
    let mut kinds = vec![];
    for (resource, space, own) in targets(o)? {
        let mut path = path_of(resource, &space, &own);
        if !o.selector.is_empty() {
            path = format!("{path}?labelSelector={}", crate::http::encode(&o.selector));
        }
        match client.get(&path).await {
            Err(e) if e.code == 404 && o.ignore_missing => {}
            other => kinds.push((
                resource,
                other.map_err(|e| anyhow::anyhow!("Error from server ({}): {e}", e.reason))?,
            )),
        }
    }
    for (resource, value) in kinds {
        let mut list: Vec<Value> = match value.get("items") {
            Some(_) => items(&value, "/items").cloned().collect(),
            None => vec![value.clone()],
        };
        match o.output.as_str() {
            "json" => say(&serde_json::to_string_pretty(&value)?),
            "yaml" => say(serde_saphyr::to_string(&value)?.trim_end_matches('\n')),
            "name" => list
                .iter()
                .for_each(|i| say(&format!("{}/{}", resource.kind.to_lowercase(), name(i)))),
            output if output.starts_with("jsonpath=") => {
                let path = output["jsonpath=".len()..].trim_matches(['{', '}', '\'', '"']);
                let pointer = path.replace(['.', '['], "/").replace(']', "");
                if let Some(found) = value.pointer(&pointer) {
                    say(&found
                        .as_str()
                        .map_or_else(|| found.to_string(), str::to_owned));
                }
            }
            "" | "wide" => {
                list.sort_by_key(|i| (namespace(i).to_owned(), name(i).to_owned()));
                table(resource, &list, o.all, o.output == "wide");
            }
            other => {
                bail!("error: unable to match a printer suitable for the output format {other:?}")
            }
        }
    }
    Ok(())
}

fn table(resource: &Resource, list: &[Value], all: bool, wide: bool) {
    if list.is_empty() {
        eprintln!("No resources found");
        return;
    }
    let text = |v: &Value| v.as_str().unwrap_or("<none>").to_owned();
    let mut header = vec!["NAME"];
    match resource.kind {
        "Node" => header.extend(["STATUS", "ROLES", "AGE", "VERSION"]),
        "Pod" => header.extend(["READY", "STATUS", "RESTARTS", "AGE"]),
        "Deployment" | "DaemonSet" => header.extend(["READY", "UP-TO-DATE", "AVAILABLE", "AGE"]),
        _ => header.push("AGE"),
    }
    if wide && resource.kind == "Pod" {
        header.extend(["IP", "NODE"]);
    }
    if wide && resource.kind == "Node" {
        header.extend(["INTERNAL-IP", "CONTAINER-RUNTIME"]);
    }
    if all && resource.namespaced {
        header.insert(0, "NAMESPACE");
    }
    let mut rows: Vec<Vec<String>> = vec![header.iter().map(|h| (*h).to_owned()).collect()];
    for item in list {
        let old = age(&item["metadata"]["creationTimestamp"]).unwrap_or(0.0) as u64;
        let old = if old < 120 {
            format!("{old}s")
        } else {
            format!("{}m", old / 60)
        };
        let mut row = vec![name(item).to_owned()];
        match resource.kind {
            "Node" => {
                let mut status = if is_condition(item, "Ready") {
                    "Ready".to_owned()
                } else {
                    "NotReady".to_owned()
                };
                if item["spec"]["unschedulable"] == true {
                    status.push_str(",SchedulingDisabled");
                }
                let roles: Vec<&str> = item["metadata"]["labels"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .filter_map(|(k, _)| k.strip_prefix("node-role.kubernetes.io/"))
                    .collect();
                let roles = if roles.is_empty() {
                    "<none>".to_owned()
                } else {
                    roles.join(",")
                };
                row.extend([
                    status,
                    roles,
                    old,
                    text(&item["status"]["nodeInfo"]["kubeletVersion"]),
                ]);
                if wide {
                    row.extend([
                        text(&item["status"]["addresses"][0]["address"]),
                        text(&item["status"]["nodeInfo"]["containerRuntimeVersion"]),
                    ]);
                }
            }
            "Pod" => {
                let total = items(item, "/spec/containers").count();
                let ready = items(item, "/status/containerStatuses")
                    .filter(|c| c["ready"] == true)
                    .count();
                let waiting = items(item, "/status/containerStatuses")
                    .find_map(|c| c["state"]["waiting"]["reason"].as_str());
                let restarts: u64 = items(item, "/status/containerStatuses")
                    .filter_map(|c| c["restartCount"].as_u64())
                    .sum();
                row.extend([
                    format!("{ready}/{total}"),
                    waiting.map_or_else(|| text(&item["status"]["phase"]), str::to_owned),
                    restarts.to_string(),
                    old,
                ]);
                if wide {
                    row.extend([
                        text(&item["status"]["podIP"]),
                        text(&item["spec"]["nodeName"]),
                    ]);
                }
            }
            "Deployment" => {
                let n = |v: &Value| v.as_u64().unwrap_or(0).to_string();
                let s = &item["status"];
                row.extend([
                    format!(
                        "{}/{}",
                        n(&s["readyReplicas"]),
                        n(&item["spec"]["replicas"])
                    ),
                    n(&s["updatedReplicas"]),
                    n(&s["availableReplicas"]),
                    old,
                ]);
            }
            "DaemonSet" => {
                let n = |f: &str| item["status"][f].as_u64().unwrap_or(0).to_string();
                row.extend([
                    format!("{}/{}", n("numberReady"), n("desiredNumberScheduled")),
                    n("updatedNumberScheduled"),
                    n("numberAvailable"),
                    old,
                ]);
            }
            _ => row.push(old),
        }
        if all && resource.namespaced {
            row.insert(0, namespace(item).to_owned());
        }
        rows.push(row);
    }
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|i| {
            rows.iter()
                .map(|r| r.get(i).map_or(0, String::len))
                .max()
                .unwrap_or(0)
        })
        .collect();
    for row in rows {
        let line: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        say(line.join("   ").trim_end());
    }
}
