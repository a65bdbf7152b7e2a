//! The Node object and its Lease.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Kubelet, runtime};
use crate::api::{Result, items, micro_now, now, set_condition};
use crate::client::{Client, MERGE};

/// How often a lease is renewed and a status that has not changed is sent.
const BEAT: Duration = Duration::from_secs(10);

/// Registers, then heartbeats for ever.
pub async fn run(kubelet: Arc<Kubelet>) {
    let mut clients = kubelet.client.subscribe();
    let mut registered = false;
    let mut sent: Option<(Instant, Option<String>)> = None;
    let mut renewed: Option<Instant> = None;
    loop {
        let client = match clients.wait_for(Option::is_some).await {
            Ok(client) => client.clone(),
            Err(_) => return,
        };
        let Some(client) = client else { continue };
        if !registered {
            if let Err(e) = register(&kubelet, &client).await {
                let node = &kubelet.node;
                crate::klog!(
                    error,
                    "Unable to register node with API server: {e} node={node:?}"
                );
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
            registered = true;
        }
        if renewed.is_none_or(|at| at.elapsed() > BEAT) {
            match renew_lease(&kubelet, &client).await {
                Ok(()) => renewed = Some(Instant::now()),
                Err(e) => crate::klog!(error, "Failed to ensure lease exists, will retry: {e}"),
            }
        }
        let problem = runtime::network_problem();
        let is_old =
            |(at, said): &(Instant, Option<String>)| at.elapsed() > BEAT || *said != problem;
        if sent.as_ref().is_none_or(is_old) {
            match send_status(&kubelet, &client, problem.as_deref()).await {
                Ok(()) => sent = Some((Instant::now(), problem)),
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

fn path(kubelet: &Kubelet) -> String {
    format!("/api/v1/nodes/{}", kubelet.node)
}

async fn register(kubelet: &Kubelet, client: &Client) -> Result<()> {
    let mut labels = json!({"kubernetes.io/hostname": kubelet.node, "kubernetes.io/os": "linux", "kubernetes.io/arch": arch(),
                            "beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": arch()});
    for (key, value) in &kubelet.config.labels {
        labels[key.as_str()] = value.clone().into();
    }
    let mut node = json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": kubelet.node, "labels": labels, "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"}},
        "spec": {"taints": kubelet.config.taints}});
    if kubelet.flags.has("provider-id") {
        node["spec"]["providerID"] = kubelet.flags.get("provider-id").into();
    }
    match client.create("/api/v1/nodes", &node).await {
        // Ours from before: its labels are brought up to date, its taints are left alone.
        Err(e) if e.reason == "AlreadyExists" => {
            let patch = json!({"metadata": {"labels": labels}});
            client.patch(&path(kubelet), MERGE, &patch).await?;
        }
        Err(e) => return Err(e),
        Ok(_) => crate::klog!(info, "Successfully registered node {:?}", kubelet.node),
    }
    Ok(())
}

async fn renew_lease(kubelet: &Kubelet, client: &Client) -> Result<()> {
    let base = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    let own = format!("{base}/{}", kubelet.node);
    match client.get(&own).await {
        Ok(mut lease) => {
            lease["spec"]["renewTime"] = micro_now().into();
            client.replace(&own, &lease).await.map(|_| ())
        }
        Err(e) if e.code == 404 => {
            let node = client.get(&path(kubelet)).await?;
            let owner = json!({"apiVersion": "v1", "kind": "Node", "name": kubelet.node, "uid": node["metadata"]["uid"]});
            let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": kubelet.node, "namespace": "kube-node-lease", "ownerReferences": [owner]},
                "spec": {"holderIdentity": kubelet.node, "leaseDurationSeconds": 40, "renewTime": micro_now()}});
            client.create(base, &lease).await.map(|_| ())
        }
        Err(e) => Err(e),
    }
}

/// A host's file; empty if there is none.
fn read(path: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.trim().to_owned()
}

/// The node's conditions, with what keeps its network from being ready.
fn conditions(live: &Value, problem: Option<&str>) -> Vec<Value> {
    let mut fresh = live.clone();
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
        set_condition(&mut fresh, kind, "False", reason, message);
    }
    match problem {
        None => {
            let message = "kubelet is posting ready status";
            set_condition(&mut fresh, "Ready", "True", "KubeletReady", message);
        }
        Some(why) => {
            let message = format!(
                "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: {why}"
            );
            set_condition(&mut fresh, "Ready", "False", "KubeletNotReady", &message);
        }
    }
    let mut list: Vec<Value> = items(&fresh, "/status/conditions").cloned().collect();
    for condition in &mut list {
        condition["lastHeartbeatTime"] = now().into();
    }
    list
}

async fn send_status(kubelet: &Kubelet, client: &Client, problem: Option<&str>) -> Result<()> {
    let path = path(kubelet);
    let live = client.get(&path).await?;
    let os = read("/etc/os-release");
    let mut lines = os.lines();
    let os = lines.find_map(|l| l.strip_prefix("PRETTY_NAME="));
    let memory = read("/proc/meminfo");
    let memory = memory.split_whitespace().nth(1).unwrap_or("1024");
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let capacity = json!({"cpu": cpus.to_string(), "memory": format!("{memory}Ki"), "pods": kubelet.config.max_pods.to_string(), "ephemeral-storage": "10Gi", "hugepages-2Mi": "0"});
    let patch = json!({"status": {
        "conditions": conditions(&live, problem),
        "capacity": capacity,
        "allocatable": capacity,
        "addresses": [{"type": "InternalIP", "address": kubelet.ip}, {"type": "Hostname", "address": crate::leader::hostname()}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet.config.port}},
        "nodeInfo": {"kubeletVersion": crate::version::current().to_string(), "kubeProxyVersion": "", "containerRuntimeVersion": kubelet.runtime.version(),
                     "osImage": os.unwrap_or("Linux").trim_matches('"'),
                     "kernelVersion": read("/proc/sys/kernel/osrelease"), "operatingSystem": "linux", "architecture": arch(),
                     "machineID": read("/etc/machine-id"), "bootID": read("/proc/sys/kernel/random/boot_id"), "systemUUID": read("/etc/machine-id")},
    }});
    client
        .patch(&format!("{path}/status"), MERGE, &patch)
        .await
        .map(|_| ())
}
