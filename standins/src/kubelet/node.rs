//! The Node object and its Lease.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Kubelet, runtime};
use crate::api::{Result, micro_now, now, set_condition};
use crate::client::{Client, STRATEGIC};

/// Registers, then heartbeats for ever.
pub async fn run(kubelet: Arc<Kubelet>) {
    let mut clients = kubelet.client.subscribe();
    let mut registered = false;
    let mut last: Option<(Instant, Value)> = None;
    let mut renewed: Option<Instant> = None;
    loop {
        let client = match clients.wait_for(Option::is_some).await {
            Ok(client) => client.clone(),
            Err(_) => return,
        };
        let Some(client) = client else { continue };
        if !registered {
            match register(&kubelet, &client).await {
                Ok(()) => registered = true,
                Err(e) => {
                    crate::klog!(
                        error,
                        "Unable to register node with API server: {e} node={:?}",
                        kubelet.node
                    );
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            }
        }
        if renewed.is_none_or(|at| at.elapsed() > Duration::from_secs(10)) {
            match lease(&kubelet, &client).await {
                Ok(()) => renewed = Some(Instant::now()),
                Err(e) => crate::klog!(error, "Failed to ensure lease exists, will retry: {e}"),
            }
        }
        let conditions = conditions(&kubelet);
        let due = last
            .as_ref()
            .is_none_or(|(at, c)| at.elapsed() > Duration::from_secs(10) || *c != conditions);
        if due {
            match status(&kubelet, &client, &conditions).await {
                Ok(()) => last = Some((Instant::now(), conditions)),
                Err(e) if e.code == 404 => registered = false,
                Err(e) => crate::klog!(error, "Error updating node status, will retry: {e}"),
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    }
}

async fn register(kubelet: &Kubelet, client: &Client) -> Result<()> {
    let mut labels = json!({"kubernetes.io/hostname": kubelet.node, "kubernetes.io/os": "linux", "kubernetes.io/arch": arch(),
                            "beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": arch()});
    for (key, value) in &kubelet.config.labels {
        labels[key.as_str()] = value.clone().into();
    }
    let mut spec = json!({});
    if !kubelet.config.taints.is_empty() {
        spec["taints"] = json!(kubelet.config.taints);
    }
    if kubelet.flags.has("provider-id") {
        spec["providerID"] = kubelet.flags.get("provider-id").into();
    }
    let node = json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": kubelet.node, "labels": labels, "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"}},
        "spec": spec});
    match client.create("/api/v1/nodes", &node).await {
        Ok(_) => {
            crate::klog!(info, "Successfully registered node {:?}", kubelet.node);
            Ok(())
        }
        // Ours from before: its labels are brought up to date, its taints are left alone.
        Err(e) if e.reason == "AlreadyExists" => {
            let patch = json!({"metadata": {"labels": labels}});
            client
                .patch(
                    &format!("/api/v1/nodes/{}", kubelet.node),
                    STRATEGIC,
                    &patch,
                )
                .await
                .map(|_| ())
        }
        Err(e) => Err(e),
    }
}

async fn lease(kubelet: &Kubelet, client: &Client) -> Result<()> {
    let base = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    let path = format!("{base}/{}", kubelet.node);
    match client.get(&path).await {
        Ok(mut lease) => {
            lease["spec"]["renewTime"] = micro_now().into();
            client.replace(&path, &lease).await.map(|_| ())
        }
        Err(e) if e.code == 404 => {
            let node = client
                .get(&format!("/api/v1/nodes/{}", kubelet.node))
                .await?;
            let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": kubelet.node, "namespace": "kube-node-lease", "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": kubelet.node, "uid": node["metadata"]["uid"]}]},
                "spec": {"holderIdentity": kubelet.node, "leaseDurationSeconds": 40, "renewTime": micro_now()}});
            client.create(base, &lease).await.map(|_| ())
        }
        Err(e) => Err(e),
    }
}

/// The conditions, without times.
fn conditions(_kubelet: &Kubelet) -> Value {
    let mut node = json!({"status": {}});
    for (kind, reason, message) in [
        (
            "MemoryPressure",
            "KubeletHasSufficientMemory",
            "kubelet has sufficient memory available",
        ),
        (
            "DiskPressure",
            "KubeletHasNoDiskPressure",
            "kubelet has no disk pressure",
        ),
        (
            "PIDPressure",
            "KubeletHasSufficientPID",
            "kubelet has sufficient PID available",
        ),
    ] {
        set_condition(&mut node, kind, "False", reason, message);
    }
    match runtime::network() {
        None => set_condition(
            &mut node,
            "Ready",
            "True",
            "KubeletReady",
            "kubelet is posting ready status",
        ),
        Some(why) => set_condition(
            &mut node,
            "Ready",
            "False",
            "KubeletNotReady",
            &format!(
                "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: {why}"
            ),
        ),
    }
    for condition in node["status"]["conditions"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        condition["lastTransitionTime"] = Value::Null;
    }
    node["status"]["conditions"].clone()
}

fn file(path: &str) -> String {
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

async fn status(kubelet: &Kubelet, client: &Client, conditions: &Value) -> Result<()> {
    let path = format!("/api/v1/nodes/{}", kubelet.node);
    let live = client.get(&path).await?;
    let mut fresh = live.clone();
    let mut list = vec![];
    for c in conditions.as_array().into_iter().flatten() {
        let text = |f: &str| c[f].as_str().unwrap_or_default();
        set_condition(
            &mut fresh,
            text("type"),
            text("status"),
            text("reason"),
            text("message"),
        );
    }
    for c in fresh["status"]["conditions"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        c["lastHeartbeatTime"] = now().into();
        list.push(c.clone());
    }
    let os = file("/etc/os-release");
    let os = os
        .lines()
        .find_map(|l| l.strip_prefix("PRETTY_NAME="))
        .unwrap_or("Linux")
        .trim_matches('"')
        .to_owned();
    let memory = file("/proc/meminfo");
    let memory = memory
        .lines()
        .next()
        .and_then(|l| l.split_whitespace().nth(1))
        .unwrap_or("1024")
        .to_owned();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let capacity = json!({"cpu": cpus.to_string(), "memory": format!("{memory}Ki"), "pods": kubelet.config.max_pods.to_string(), "ephemeral-storage": "10Gi", "hugepages-2Mi": "0"});
    let version = crate::version::current().to_string();
    let patch = json!({"status": {
        "conditions": list,
        "capacity": capacity,
        "allocatable": capacity,
        "addresses": [{"type": "InternalIP", "address": kubelet.ip}, {"type": "Hostname", "address": crate::leader::hostname()}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet.config.port}},
        "nodeInfo": {"kubeletVersion": version, "kubeProxyVersion": "", "containerRuntimeVersion": kubelet.runtime.version(), "osImage": os,
                     "kernelVersion": file("/proc/sys/kernel/osrelease"), "operatingSystem": "linux", "architecture": arch(),
                     "machineID": file("/etc/machine-id"), "bootID": file("/proc/sys/kernel/random/boot_id"), "systemUUID": file("/etc/machine-id")},
    }});
    client
        .patch(&format!("{path}/status"), STRATEGIC, &patch)
        .await
        .map(|_| ())
}
