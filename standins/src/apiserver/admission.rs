//! Admission: what happens to an object between authorization and storage.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::Server;
use super::crud::Call;
use super::resources::Resource;
use crate::api::{Error, Result, err, items, name, namespace, text};

/// NodeRestriction, NamespaceLifecycle, ServiceAccount, Priority, TaintNodesByCondition,
/// DefaultTolerationSeconds, and the addresses of Services. `old` is Null for a new object.
pub fn admit(call: &Call<'_>, object: &mut Value, old: &Value) -> Result<()> {
    let (server, user, resource) = (call.server, call.user, call.resource);
    if let Some(node) = user.node().filter(|_| server.node_restriction) {
        restrict_node(node, resource, object, old)?;
    }
    if !call.subresource.is_empty() {
        return Ok(());
    }
    if !old.is_null() {
        if resource.kind == "Service" && object["spec"]["clusterIP"].is_null() {
            object["spec"]["clusterIP"] = old["spec"]["clusterIP"].clone();
            object["spec"]["clusterIPs"] = old["spec"]["clusterIPs"].clone();
        }
        return Ok(());
    }
    let space = namespace(object);
    let key = format!("/registry/core/namespaces/{space}");
    if resource.namespaced && server.cache.get(&key).is_none() {
        return Err(err!(404, "namespaces {space:?} not found"));
    }
    match resource.kind {
        "Pod" => admit_pod(server, object)?,
        "Service" => give_address(server, object)?,
        "Node" => {
            // Nothing is scheduled before the node is Ready.
            let key = "node.kubernetes.io/not-ready";
            if !items(object, "/spec/taints").any(|t| t["key"] == key) {
                push(
                    &mut object["spec"]["taints"],
                    json!({"key": key, "effect": "NoSchedule"}),
                );
            }
        }
        "CertificateSigningRequest" => {
            // Nobody may ask in another's name.
            object["spec"]["username"] = user.name.clone().into();
            object["spec"]["groups"] = json!(user.groups);
            object["status"] = json!({});
        }
        _ => {}
    }
    Ok(())
}

fn push(list: &mut Value, item: Value) {
    if !list.is_array() {
        *list = json!([]);
    }
    if let Some(list) = list.as_array_mut() {
        list.push(item);
    }
}

fn admit_pod(server: &Server, pod: &mut Value) -> Result<()> {
    let refuse = |why: String| Err(err!(403, "pods {:?} is forbidden: {why}", name(pod)));
    let class = text(&pod["spec"], "priorityClassName");
    let key = format!("/registry/scheduling.k8s.io/priorityclasses/{class}");
    let priority = match server.cache.get(&key) {
        Some(class) => class["value"].clone(),
        None if class.is_empty() => Value::Null,
        None => return refuse(format!("no PriorityClass with name {class} was found")),
    };
    if pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_null() {
        let space = namespace(pod);
        let account = match text(&pod["spec"], "serviceAccountName") {
            "" => "default".to_owned(),
            account => account.to_owned(),
        };
        let key = format!("/registry/core/serviceaccounts/{space}/{account}");
        if server.cache.get(&key).is_none() {
            return refuse(format!(
                "error looking up service account {space}/{account}: serviceaccount {account:?} not found"
            ));
        }
        pod["spec"]["serviceAccountName"] = account.clone().into();
        pod["spec"]["serviceAccount"] = account.into();
        for key in ["not-ready", "unreachable"] {
            let key = format!("node.kubernetes.io/{key}");
            let tolerated = items(pod, "/spec/tolerations").any(|t| {
                t["key"] == key.as_str() || t["key"].is_null() && t["operator"] == "Exists"
            });
            if !tolerated {
                push(
                    &mut pod["spec"]["tolerations"],
                    json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}),
                );
            }
        }
    }
    if !priority.is_null() {
        pod["spec"]["priority"] = priority;
    }
    if pod["status"]["phase"].is_null() {
        pod["status"]["phase"] = "Pending".into();
    }
    Ok(())
}

/// A Service's address: the one it asks for, or a free one.
fn give_address(server: &Server, service: &mut Value) -> Result<()> {
    let services = server.cache.list("/registry/core/services/");
    let is_taken = |ip: &str| services.iter().any(|s| s["spec"]["clusterIP"] == ip);
    let range = server.service_ranges[0];
    let ip = match text(&service["spec"], "clusterIP") {
        "None" => return Ok(()),
        "" => range
            .hosts()
            .map(|ip| ip.to_string())
            .find(|ip| !is_taken(ip))
            .ok_or_else(|| err!(500, "failed to allocate a serviceIP: range is full"))?,
        ip => {
            let why = match ip.parse::<IpAddr>() {
                Err(_) => "must be a valid IP address".to_owned(),
                Ok(parsed) if !server.service_ranges.iter().any(|r| r.contains(&parsed)) => {
                    format!(
                        "failed to allocate IP {ip}: the provided IP ({ip}) is not in the valid range. The range of valid IPs is {range}"
                    )
                }
                Ok(_) if is_taken(ip) => {
                    format!("failed to allocate IP {ip}: provided IP is already allocated")
                }
                Ok(_) => String::new(),
            };
            if !why.is_empty() {
                return Err(err!(
                    422,
                    "Service {:?} is invalid: spec.clusterIPs: Invalid value: [{ip:?}]: {why}",
                    name(service)
                ));
            }
            ip.to_owned()
        }
    };
    service["spec"]["clusterIPs"] = json!([ip]);
    service["spec"]["clusterIP"] = ip.into();
    Ok(())
}

/// What a kubelet may write: its own Node without taints and others' labels, mirror pods,
/// and the status of its pods.
fn restrict_node(node: &str, resource: &Resource, object: &Value, old: &Value) -> Result<()> {
    let why = match resource.kind {
        "Node" if name(object) != node => {
            format!(
                "node {node:?} is not allowed to modify node {:?}",
                name(object)
            )
        }
        "Node" => {
            let labels = object["metadata"]["labels"].as_object();
            let alien = labels.into_iter().flatten().find(|(key, value)| {
                old["metadata"]["labels"].get(key) != Some(value) && !is_kubelet_label(key)
            });
            match alien {
                Some((key, _)) => format!("is not allowed to modify labels: {key}"),
                None if !old.is_null() && object["spec"]["taints"] != old["spec"]["taints"] => {
                    format!("node {node:?} is not allowed to modify taints")
                }
                None => return Ok(()),
            }
        }
        "Pod" if old.is_null() => {
            let spec = &object["spec"];
            if object["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_null() {
                format!(
                    "pod does not have \"kubernetes.io/config.mirror\" annotation, node {node:?} can only create mirror pods"
                )
            } else if spec["nodeName"] != node {
                format!("node {node:?} can only create pods with spec.nodeName set to itself")
            } else if !text(spec, "serviceAccountName").is_empty() {
                format!("node {node:?} can not create pods that reference a service account")
            } else {
                return Ok(());
            }
        }
        "Pod" if old["spec"]["nodeName"] != node => format!(
            "node {node:?} can only update pod status for pods with spec.nodeName set to itself"
        ),
        _ => return Ok(()),
    };
    let what = resource.qualified();
    Err::<(), Error>(err!(403, "{what} {:?} is forbidden: {why}", name(object)))
}

/// Whether a kubelet may set this label on its own Node.
pub fn is_kubelet_label(key: &str) -> bool {
    const ALLOWED: [&str; 5] = [
        "kubernetes.io/hostname",
        "kubernetes.io/arch",
        "kubernetes.io/os",
        "topology.kubernetes.io/zone",
        "topology.kubernetes.io/region",
    ];
    let Some((prefix, _)) = key.split_once('/') else {
        return true;
    };
    let is_in = |domain: &str| prefix == domain || prefix.ends_with(&format!(".{domain}"));
    !(is_in("kubernetes.io") || is_in("k8s.io"))
        || ALLOWED.contains(&key.trim_start_matches("beta."))
        || is_in("kubelet.kubernetes.io")
        || is_in("node.kubernetes.io")
}
