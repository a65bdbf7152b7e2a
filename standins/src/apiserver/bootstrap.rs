//! What the server itself puts into an empty cluster.

use serde_json::{Value, json};

use super::Server;
use super::resources::of_kind;
use crate::api::{Result, name, namespace, now, text, uid};

async fn ensure(server: &Server, mut object: Value) -> Result<()> {
    let Some(resource) = of_kind(text(&object, "apiVersion"), text(&object, "kind")) else {
        return Ok(());
    };
    object["metadata"]["uid"] = uid().into();
    object["metadata"]["creationTimestamp"] = now().into();
    super::defaults::fill_in(resource, &mut object);
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
    Ok(())
}
