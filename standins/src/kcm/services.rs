//! Endpoints of services that have a selector.

use serde_json::{Value, json};

use super::{Context, lenient};
use crate::api::{Result, is_condition, items, name, namespace};

/// Keeps an Endpoints object per service with the addresses of its ready pods.
pub(super) async fn endpoints(context: &Context) -> Result<()> {
    let pods = context.all("pods");
    for service in context.all("services") {
        let selector = &service["spec"]["selector"];
        if selector.as_object().is_none_or(|s| s.is_empty()) {
            continue;
        }
        let (space, own) = (namespace(&service), name(&service));
        let selected = pods.iter().filter(|p| {
            let labels = &p["metadata"]["labels"];
            namespace(p) == space
                && p["metadata"]["deletionTimestamp"].is_null()
                && selector
                    .as_object()
                    .into_iter()
                    .flatten()
                    .all(|(k, v)| labels.get(k) == Some(v))
                && is_condition(p, "Ready")
        });
        let mut addresses: Vec<Value> = selected
            .filter(|p| !p["status"]["podIP"].is_null())
            .map(|p| json!({"ip": p["status"]["podIP"], "nodeName": p["spec"]["nodeName"], "targetRef": {"kind": "Pod", "namespace": space, "name": name(p), "uid": p["metadata"]["uid"]}}))
            .collect();
        addresses.sort_by_key(|a| a["ip"].to_string());
        let ports: Vec<Value> = items(&service, "/spec/ports").map(|p| json!({"name": p["name"], "port": p["targetPort"].as_u64().map_or(p["port"].clone(), Value::from), "protocol": p["protocol"]})).collect();
        let subsets = if addresses.is_empty() {
            json!([])
        } else {
            json!([{"addresses": addresses, "ports": ports}])
        };
        let base = format!("/api/v1/namespaces/{space}/endpoints");
        let path = format!("{base}/{own}");
        let client = context.client("endpoint-controller").await?;
        match client.get(&path).await {
            Ok(live)
                if live["subsets"] == subsets
                    || live["subsets"].is_null() && addresses.is_empty() => {}
            Ok(mut live) => {
                live["subsets"] = subsets;
                lenient(client.replace(&path, &live).await)?;
            }
            Err(e) if e.code == 404 => {
                let object = json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": own, "namespace": space, "labels": service["metadata"]["labels"]}, "subsets": subsets});
                lenient(client.create(&base, &object).await)?;
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
