//! Admission: what happens to an object between authorization and storage.

use ipnet::IpNet;
use serde_json::{Value, json};

use super::Server;
use super::authn::User;
use super::resources::Resource;
use crate::api::{Error, Result, items, name, namespace};

/// NodeRestriction, ServiceAccount, Priority, and what else happens between
/// authorization and storage.
pub fn admit(
    server: &Server,
    user: &User,
    resource: &Resource,
    subresource: &str,
    object: &mut Value,
    old: &Value,
) -> Result<()> {
    if let Some(node) = user
        .name
        .strip_prefix("system:node:")
        .filter(|_| user.is_in("system:nodes") && server.node_restriction)
    {
        node_restriction(node, resource, object, old)?;
    }
    if !subresource.is_empty() {
        return Ok(());
    }
    if old.is_null() {
        if resource.namespaced {
            let space = namespace(object).to_owned();
            match server
                .cache
                .get(&format!("/registry/core/namespaces/{space}"))
            {
                None => return Err(Error::not_found("namespaces", &space)),
                Some(ns) if !ns["metadata"]["deletionTimestamp"].is_null() => {
                    return Err(Error::new(
                        403,
                        format!(
                            "{} {:?} is forbidden: unable to create new content in namespace {space} because it is being terminated",
                            resource.qualified(),
                            name(object)
                        ),
                    ));
                }
                Some(_) => {}
            }
        }
        if resource.kind == "Pod" {
            admit_pod(server, object)?;
        }
        if resource.kind == "Node"
            && !items(object, "/spec/taints").any(|t| t["key"] == "node.kubernetes.io/not-ready")
        {
            // TaintNodesByCondition: nothing is scheduled before the node is Ready.
            if !object["spec"]["taints"].is_array() {
                object["spec"]["taints"] = json!([]);
            }
            if let Some(list) = object["spec"]["taints"].as_array_mut() {
                list.push(json!({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}));
            }
        }
        if resource.kind == "CertificateSigningRequest" {
            // Nobody may ask in another's name.
            object["spec"]["username"] = user.name.clone().into();
            object["spec"]["groups"] = json!(user.groups);
            object["status"] = json!({});
        }
        if resource.kind == "Service" {
            service_ip(server, object)?;
        }
    } else if resource.kind == "Service" && object["spec"]["clusterIP"].is_null() {
        object["spec"]["clusterIP"] = old["spec"]["clusterIP"].clone();
        object["spec"]["clusterIPs"] = old["spec"]["clusterIPs"].clone();
    }
    if resource.group == "rbac.authorization.k8s.io"
        && (object.get("rules") != old.get("rules") || object.get("roleRef") != old.get("roleRef"))
    {
        let space = namespace(object);
        let rules: Vec<Value> = match resource.kind {
            "Role" | "ClusterRole" => items(object, "/rules").cloned().collect(),
            _ => server
                .authorizer
                .role(object, space)
                .map(|r| items(&r, "/rules").cloned().collect())
                .unwrap_or_default(),
        };
        // Who may `escalate` roles, or `bind` this one, need not hold what it gives.
        let (verb, plural, target) = match resource.kind {
            "Role" | "ClusterRole" => ("escalate", resource.plural, name(object)),
            _ if object["roleRef"]["kind"] == "ClusterRole" => (
                "bind",
                "clusterroles",
                object["roleRef"]["name"].as_str().unwrap_or_default(),
            ),
            _ => (
                "bind",
                "roles",
                object["roleRef"]["name"].as_str().unwrap_or_default(),
            ),
        };
        let exempt = super::authz::Attributes {
            verb: verb.into(),
            group: resource.group.into(),
            resource: plural.into(),
            name: target.into(),
            namespace: space.into(),
            ..super::authz::Attributes::default()
        };
        if server.authorizer.authorize(user, &exempt).is_err()
            && !server.authorizer.covers(user, &rules, space)
        {
            return Err(Error::new(
                403,
                format!(
                    "{} {:?} is forbidden: user {:?} (groups={:?}) is attempting to grant RBAC permissions not currently held",
                    resource.qualified(),
                    name(object),
                    user.name,
                    user.groups
                ),
            ));
        }
    }
    Ok(())
}

fn admit_pod(server: &Server, pod: &mut Value) -> Result<()> {
    let mirror = !pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_null();
    if !mirror {
        if pod["spec"]["serviceAccountName"]
            .as_str()
            .is_none_or(str::is_empty)
        {
            pod["spec"]["serviceAccountName"] = "default".into();
            pod["spec"]["serviceAccount"] = "default".into();
        }
        let account = pod["spec"]["serviceAccountName"]
            .as_str()
            .unwrap_or_default();
        if server
            .cache
            .get(&format!(
                "/registry/core/serviceaccounts/{}/{account}",
                namespace(pod)
            ))
            .is_none()
        {
            return Err(Error::new(
                403,
                format!(
                    "pods {:?} is forbidden: error looking up service account {}/{account}: serviceaccount {account:?} not found",
                    name(pod),
                    namespace(pod)
                ),
            ));
        }
        // DefaultTolerationSeconds.
        let has = |pod: &Value, key: &str| {
            items(pod, "/spec/tolerations")
                .any(|t| t["key"] == key || t["key"].is_null() && t["operator"] == "Exists")
        };
        for key in [
            "node.kubernetes.io/not-ready",
            "node.kubernetes.io/unreachable",
        ] {
            if !has(pod, key) {
                if !pod["spec"]["tolerations"].is_array() {
                    pod["spec"]["tolerations"] = json!([]);
                }
                if let Some(list) = pod["spec"]["tolerations"].as_array_mut() {
                    list.push(json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}));
                }
            }
        }
    }
    if let Some(class) = pod["spec"]["priorityClassName"]
        .as_str()
        .filter(|c| !c.is_empty())
    {
        match server.cache.get(&format!(
            "/registry/scheduling.k8s.io/priorityclasses/{class}"
        )) {
            Some(class) => pod["spec"]["priority"] = class["value"].clone(),
            None => {
                return Err(Error::new(
                    403,
                    format!(
                        "pods {:?} is forbidden: no PriorityClass with name {class} was found",
                        name(pod)
                    ),
                ));
            }
        }
    }
    if pod["status"]["phase"].is_null() {
        pod["status"]["phase"] = "Pending".into();
    }
    Ok(())
}

fn service_ip(server: &Server, service: &mut Value) -> Result<()> {
    if service["spec"]["type"] == "ExternalName" || service["spec"]["clusterIP"] == "None" {
        return Ok(());
    }
    let taken: Vec<String> = server
        .cache
        .list("/registry/core/services/")
        .iter()
        .filter_map(|s| s["spec"]["clusterIP"].as_str().map(str::to_owned))
        .collect();
    let ip = match service["spec"]["clusterIP"]
        .as_str()
        .filter(|ip| !ip.is_empty())
    {
        Some(ip) => {
            let why = match ip.parse::<std::net::IpAddr>() {
                Err(_) => {
                    Some("must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned())
                }
                Ok(parsed) if !server.service_ranges.iter().any(|r| r.contains(&parsed)) => {
                    Some(format!(
                        "failed to allocate IP {ip}: the provided IP ({ip}) is not in the valid range. The range of valid IPs is {}",
                        server.service_ranges[0]
                    ))
                }
                Ok(_) if taken.iter().any(|t| t == ip) => Some(format!(
                    "failed to allocate IP {ip}: provided IP is already allocated"
                )),
                Ok(_) => None,
            };
            if let Some(why) = why {
                return Err(Error::new(
                    422,
                    format!(
                        "Service {:?} is invalid: spec.clusterIPs: Invalid value: [{ip:?}]: {why}",
                        name(service)
                    ),
                ));
            }
            ip.to_owned()
        }
        None => {
            let free = hosts(server.service_ranges[0])
                .skip(19)
                .find(|ip| !taken.contains(ip));
            free.ok_or_else(|| Error::new(500, "failed to allocate a serviceIP: range is full"))?
        }
    };
    service["spec"]["clusterIPs"] = json!([ip]);
    service["spec"]["clusterIP"] = ip.into();
    Ok(())
}

/// The first addresses of a range; enough of them.
fn hosts(range: IpNet) -> impl Iterator<Item = String> {
    range.hosts().take(4096).map(|ip| ip.to_string())
}

fn node_restriction(node: &str, resource: &Resource, object: &Value, old: &Value) -> Result<()> {
    let deny = |why: String| {
        Err(Error::new(
            403,
            format!(
                "{} {:?} is forbidden: {why}",
                resource.qualified(),
                name(object)
            ),
        ))
    };
    match resource.kind {
        "Node" => {
            if name(object) != node {
                return deny(format!(
                    "node {node:?} is not allowed to modify node {:?}",
                    name(object)
                ));
            }
            let labels = |o: &Value| {
                o["metadata"]["labels"]
                    .as_object()
                    .cloned()
                    .unwrap_or_default()
            };
            let before = labels(old);
            for (key, value) in labels(object) {
                if before.get(&key) != Some(&value) && !kubelet_label(&key) {
                    return deny(format!("is not allowed to modify labels: {key}"));
                }
            }
            if !old.is_null() && object["spec"]["taints"] != old["spec"]["taints"] {
                return deny(format!("node {node:?} is not allowed to modify taints"));
            }
        }
        "Pod" if old.is_null() => {
            if object["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_null() {
                return deny(format!(
                    "pod does not have \"kubernetes.io/config.mirror\" annotation, node {node:?} can only create mirror pods"
                ));
            }
            if object["spec"]["nodeName"] != node {
                return deny(format!(
                    "node {node:?} can only create pods with spec.nodeName set to itself"
                ));
            }
            if object["spec"]["serviceAccountName"]
                .as_str()
                .is_some_and(|s| !s.is_empty())
            {
                return deny(format!(
                    "node {node:?} can not create pods that reference a service account"
                ));
            }
        }
        "Pod" if old["spec"]["nodeName"] != node => {
            return deny(format!(
                "node {node:?} can only update pod status for pods with spec.nodeName set to itself"
            ));
        }
        _ => {}
    }
    Ok(())
}

/// Whether a kubelet may set this label on its own Node.
pub fn kubelet_label(key: &str) -> bool {
    let Some((prefix, _)) = key.split_once('/') else {
        return true;
    };
    let special = prefix == "kubernetes.io"
        || prefix.ends_with(".kubernetes.io")
        || prefix == "k8s.io"
        || prefix.ends_with(".k8s.io");
    !special
        || matches!(
            key,
            "kubernetes.io/hostname"
                | "kubernetes.io/arch"
                | "kubernetes.io/os"
                | "beta.kubernetes.io/arch"
                | "beta.kubernetes.io/os"
                | "beta.kubernetes.io/instance-type"
                | "node.kubernetes.io/instance-type"
                | "topology.kubernetes.io/zone"
                | "topology.kubernetes.io/region"
                | "failure-domain.beta.kubernetes.io/zone"
                | "failure-domain.beta.kubernetes.io/region"
        )
        || prefix == "kubelet.kubernetes.io"
        || prefix.ends_with(".kubelet.kubernetes.io")
        || prefix == "node.kubernetes.io"
        || prefix.ends_with(".node.kubernetes.io")
}
