//! What the server itself puts into an empty cluster.

use serde_json::{Value, json};

use super::Server;
use super::resources::{Resource, find};
use crate::api::{Result, name, namespace, now, uid};

fn bare(object: &Value) -> Option<&'static Resource> {
    let version = object["apiVersion"].as_str()?;
    let group = version.strip_suffix("/v1").unwrap_or("");
    super::resources::RESOURCES
        .iter()
        .find(|r| r.group == group && r.kind == object["kind"])
        .and_then(|r| find(r.group, r.plural))
}

async fn ensure(server: &Server, mut object: Value) -> Result<()> {
    let Some(resource) = bare(&object) else {
        return Ok(());
    };
    object["metadata"]["uid"] = uid().into();
    object["metadata"]["creationTimestamp"] = now().into();
    super::defaults::default(resource, &mut object);
    let key = resource.key(namespace(&object), name(&object));
    if server.cache.get(&key).is_none() {
        server.etcd.put(&key, &object, 0).await?;
    }
    Ok(())
}

/// Creates what is missing of namespaces, default roles and their bindings, priority
/// classes, the `kubernetes` Service and the CA ConfigMap that extensions read.
pub async fn run(server: &Server) -> Result<()> {
    for space in ["kube-system", "kube-public", "kube-node-lease", "default"] {
        ensure(
            server,
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}}),
        )
        .await?;
    }
    let roles: Vec<Value> =
        serde_json::from_str(include_str!("../../data/rbac.json")).unwrap_or_default();
    for object in roles {
        ensure(server, object).await?;
    }
    for (class, value) in [
        ("system-node-critical", 2_000_001_000),
        ("system-cluster-critical", 2_000_000_000),
    ] {
        ensure(server, json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": class}, "value": value,
                              "preemptionPolicy": "PreemptLowerPriority"})).await?;
    }
    if let Some(first) = server.service_ranges.first().and_then(|r| r.hosts().next()) {
        let ip = first.to_string();
        ensure(server, json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"component": "apiserver", "provider": "kubernetes"}},
            "spec": {"clusterIP": ip, "clusterIPs": [ip], "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": server.port}]}})).await?;
    }
    ensure(server, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
                          "data": server.authentication_info})).await?;
    endpoints(server).await
}

/// Adds this server to the endpoints of the `kubernetes` Service.
async fn endpoints(server: &Server) -> Result<()> {
    let Some(resource) = find("", "endpoints") else {
        return Ok(());
    };
    let key = resource.key("default", "kubernetes");
    for _ in 0..5 {
        let (mut object, revision) = match server.etcd.get(&key).await? {
            Some(stored) => (stored.value, stored.revision),
            None => (
                json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "kubernetes", "namespace": "default", "uid": uid(), "creationTimestamp": now()},
                       "subsets": [{"addresses": [], "ports": [{"name": "https", "port": server.port, "protocol": "TCP"}]}]}),
                0,
            ),
        };
        let own = json!({"ip": server.advertise});
        let Some(list) = object["subsets"][0]["addresses"].as_array_mut() else {
            return Ok(());
        };
        if list.contains(&own) {
            return Ok(());
        }
        list.push(own);
        if server.etcd.put(&key, &object, revision).await?.is_some() {
            return Ok(());
        }
    }
    Ok(())
}
