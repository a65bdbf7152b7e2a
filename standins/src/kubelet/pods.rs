//! Pods in the API: mirrors of the static ones, and those that were scheduled here,
//! which get the status that they would have.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::static_pods::{Pod, Table, host_path};
use super::{Kubelet, field};
use crate::api::{Error, Result, items, name, namespace, now, set_condition};
use crate::client::{Client, STRATEGIC};
use crate::informer::Informer;

const HASH: &str = "kubernetes.io/config.hash";
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Keeps the API's pods of this node true, for ever.
pub async fn run(kubelet: Arc<Kubelet>, table: Table) {
    let mut clients = kubelet.client.subscribe();
    let Ok(client) = clients.wait_for(Option::is_some).await.map(|c| c.clone()) else {
        return;
    };
    let Some(mut client) = client else { return };
    let bell = Arc::new(Notify::new());
    let path = format!("/api/v1/pods?fieldSelector=spec.nodeName={}", kubelet.node);
    let pods = Informer::start(client.clone(), &path, bell.clone());
    let mut addresses: HashMap<String, String> = HashMap::new();
    loop {
        let _ = tokio::time::timeout(Duration::from_millis(700), bell.notified()).await;
        if let Some(newer) = clients.borrow().clone() {
            client = newer;
        }
        if !pods.synced() {
            continue;
        }
        let all = pods.all();
        if let Err(e) = mirrors(&kubelet, &client, &table.pods(), &all).await
            && e.code != 404
        {
            crate::klog!(error, "Failed to sync mirror pods: {e}");
        }
        addresses.retain(|uid, _| all.iter().any(|p| p["metadata"]["uid"] == uid.as_str()));
        for pod in all
            .iter()
            .filter(|p| p["metadata"]["annotations"][MIRROR].is_null())
        {
            if let Err(e) = sync(&kubelet, &client, pod, &mut addresses).await
                && !matches!(e.code, 404 | 409)
            {
                crate::klog!(
                    error,
                    "Error syncing pod {}/{}: {e}",
                    namespace(pod),
                    name(pod)
                );
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn path(pod: &Value) -> String {
    format!("/api/v1/namespaces/{}/pods/{}", namespace(pod), name(pod))
}

async fn delete(client: &Client, pod: &Value) -> Result<()> {
    let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}});
    client
        .request("DELETE", &path(pod), "application/json", Some(&options))
        .await
        .map(|_| ())
}

async fn mirrors(kubelet: &Kubelet, client: &Client, statics: &[Pod], all: &[Value]) -> Result<()> {
    let mut node: Option<Value> = None;
    let wanted: BTreeMap<String, &Pod> = statics
        .iter()
        .map(|p| {
            (
                format!(
                    "{}/{}-{}",
                    namespace(&p.manifest),
                    name(&p.manifest),
                    kubelet.node
                ),
                p,
            )
        })
        .collect();
    for mirror in all
        .iter()
        .filter(|p| !p["metadata"]["annotations"][MIRROR].is_null())
    {
        let key = format!("{}/{}", namespace(mirror), name(mirror));
        let good = wanted.get(&key).is_some_and(|p| {
            mirror["metadata"]["annotations"][MIRROR] == p.hash.as_str()
                && mirror["metadata"]["deletionTimestamp"].is_null()
        });
        if !good {
            delete(client, mirror).await?;
        }
    }
    for (key, pod) in wanted {
        let live = all
            .iter()
            .find(|p| format!("{}/{}", namespace(p), name(p)) == key);
        let Some(live) = live else {
            if node.is_none() {
                node = Some(
                    client
                        .get(&format!("/api/v1/nodes/{}", kubelet.node))
                        .await?,
                );
            }
            let uid = node
                .as_ref()
                .map(|n| n["metadata"]["uid"].clone())
                .unwrap_or_default();
            let mut mirror = pod.manifest.clone();
            mirror["metadata"]["name"] = format!("{}-{}", name(&pod.manifest), kubelet.node).into();
            for (annotation, value) in [
                (HASH, pod.hash.as_str()),
                (MIRROR, &pod.hash),
                ("kubernetes.io/config.seen", &now()),
                ("kubernetes.io/config.source", "file"),
            ] {
                mirror["metadata"]["annotations"][annotation] = value.into();
            }
            mirror["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "Node", "name": kubelet.node, "uid": uid, "controller": true}]);
            mirror["spec"]["nodeName"] = kubelet.node.clone().into();
            mirror["status"] = json!({});
            match client
                .create(
                    &format!("/api/v1/namespaces/{}/pods", namespace(&pod.manifest)),
                    &mirror,
                )
                .await
            {
                Err(e) if e.reason == "AlreadyExists" => {}
                other => {
                    other?;
                }
            }
            continue;
        };
        let container = json!({"name": pod.manifest["spec"]["containers"][0]["name"], "image": pod.manifest["spec"]["containers"][0]["image"]});
        let state = if pod.waiting.is_empty() {
            Ok(pod.since.clone())
        } else {
            Err(pod.waiting.clone())
        };
        let fresh = status(
            live,
            &[(container, state, pod.ready, pod.started, pod.restarts)],
            Some(kubelet.ip.clone()),
            kubelet,
        );
        publish(client, live, &fresh).await?;
    }
    Ok(())
}

/// One container: name and image, running since or waiting for, ready, started, restarts.
type State = (Value, std::result::Result<String, String>, bool, bool, u64);

fn status(pod: &Value, containers: &[State], ip: Option<String>, kubelet: &Kubelet) -> Value {
    let mut fresh = pod.clone();
    let ready = containers.iter().all(|c| c.2);
    let running = containers.iter().any(|c| c.1.is_ok())
        || containers
            .iter()
            .any(|c| c.1.as_ref().is_err_and(|w| w.starts_with("CrashLoop")));
    let statuses: Vec<Value> = containers
        .iter()
        .map(|(container, state, ready, started, restarts)| {
            let state = match state {
                Ok(since) => json!({"running": {"startedAt": since}}),
                Err(why) => {
                    let (reason, message) = why.split_once(": ").unwrap_or((why, ""));
                    json!({"waiting": {"reason": reason, "message": message}})
                }
            };
            let id = crate::api::sha256(container.to_string().as_bytes());
            json!({"name": container["name"], "image": container["image"], "imageID": format!("sha256:{id}"), "containerID": format!("containerd://{id}"),
                   "ready": ready, "started": started, "restartCount": restarts, "state": state, "lastState": {}})
        })
        .collect();
    fresh["status"]["phase"] = if running { "Running" } else { "Pending" }.into();
    fresh["status"]["hostIP"] = kubelet.ip.clone().into();
    fresh["status"]["hostIPs"] = json!([{"ip": kubelet.ip}]);
    if let Some(ip) = ip {
        fresh["status"]["podIPs"] = json!([{"ip": ip}]);
        fresh["status"]["podIP"] = ip.into();
    }
    if fresh["status"]["startTime"].is_null() {
        fresh["status"]["startTime"] = now().into();
    }
    fresh["status"]["qosClass"] = "Burstable".into();
    let word = |b: bool| if b { "True" } else { "False" };
    set_condition(
        &mut fresh,
        "PodReadyToStartContainers",
        word(running),
        "",
        "",
    );
    set_condition(&mut fresh, "Initialized", "True", "", "");
    set_condition(
        &mut fresh,
        "Ready",
        word(ready),
        if ready { "" } else { "ContainersNotReady" },
        "",
    );
    set_condition(
        &mut fresh,
        "ContainersReady",
        word(ready),
        if ready { "" } else { "ContainersNotReady" },
        "",
    );
    set_condition(&mut fresh, "PodScheduled", "True", "", "");
    fresh["status"]["containerStatuses"] = json!(statuses);
    fresh["status"].clone()
}

async fn publish(client: &Client, live: &Value, status: &Value) -> Result<()> {
    if live["status"] == *status {
        return Ok(());
    }
    let patch = json!({"metadata": {"uid": live["metadata"]["uid"]}, "status": status});
    client
        .patch(&format!("{}/status", path(live)), STRATEGIC, &patch)
        .await
        .map(|_| ())
}

async fn sync(
    kubelet: &Kubelet,
    client: &Client,
    pod: &Value,
    addresses: &mut HashMap<String, String>,
) -> Result<()> {
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        return delete(client, pod).await;
    }
    let running_since = pod
        .pointer("/status/containerStatuses/0/state/running/startedAt")
        .and_then(Value::as_str);
    let since = running_since.map_or_else(now, str::to_owned);
    let (problem, ip) = match prepare(kubelet, client, pod, addresses).await {
        Ok(ip) => (None, Some(ip)),
        Err(why) => (Some(why), None),
    };
    let mut states: Vec<State> = vec![];
    for container in items(pod, "/spec/containers") {
        let shown = json!({"name": container["name"], "image": container["image"]});
        let image = field(container, "image");
        let state = match &problem {
            Some(why) => Err(why.clone()),
            None if !kubelet.runtime.has_image(image).await => Err(format!(
                "ErrImagePull: failed to pull image {image:?}: not in the runtime, and no registry can be reached"
            )),
            None => Ok(since.clone()),
        };
        let good = state.is_ok();
        states.push((shown, state, good, good, 0));
    }
    publish(client, pod, &status(pod, &states, ip, kubelet)).await
}

/// Volumes, network, and what the components that the product installs would read;
/// the pod's address, or what it waits for.
async fn prepare(
    kubelet: &Kubelet,
    client: &Client,
    pod: &Value,
    addresses: &mut HashMap<String, String>,
) -> std::result::Result<String, String> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    let get = |kind: &'static str, own: &str| {
        let path = format!("/api/v1/namespaces/{}/{kind}/{own}", namespace(pod));
        async move { client.get(&path).await }
    };
    let told = |what: &str, e: Error| {
        format!("ContainerCreating: MountVolume.SetUp failed for volume {what:?}: {e}")
    };
    for volume in items(pod, "/spec/volumes") {
        if let Some(map) = volume.get("configMap").filter(|m| m.is_object()) {
            let found = get("configmaps", field(map, "name"))
                .await
                .map_err(|e| told(field(volume, "name"), e))?;
            for item in items(map, "/items") {
                if found["data"].get(field(item, "key")).is_none() {
                    return Err(format!(
                        "ContainerCreating: MountVolume.SetUp failed for volume {}: references non-existent config key: {}",
                        volume["name"], item["key"]
                    ));
                }
            }
            for (key, value) in found["data"].as_object().into_iter().flatten() {
                files.insert(key.clone(), value.as_str().unwrap_or_default().to_owned());
            }
        }
        if let Some(secret) = volume
            .get("secret")
            .filter(|s| s.is_object() && s["optional"] != true)
        {
            get("secrets", field(secret, "secretName"))
                .await
                .map_err(|e| told(field(volume, "name"), e))?;
        }
        let path = field(&volume["hostPath"], "path");
        if !path.is_empty() {
            host_path(path, field(&volume["hostPath"], "type"))
                .map_err(|e| format!("ContainerCreating: {e}"))?;
        }
    }
    for container in items(pod, "/spec/containers") {
        let image = field(container, "image");
        let base = image.rsplit('/').next().unwrap_or_default();
        let crash = |e: String| format!("CrashLoopBackOff: {e}");
        let missing = |file: &str| crash(format!("open {file}: no such file or directory"));
        if base.starts_with("kube-proxy:") {
            crate::proxy::kube_proxy_config(
                files
                    .get("config.conf")
                    .ok_or_else(|| missing("config.conf"))?,
            )
            .map_err(crash)?;
            let kubeconfig = files
                .get("kubeconfig.conf")
                .ok_or_else(|| missing("kubeconfig.conf"))?;
            let _: Value = serde_saphyr::from_str(kubeconfig).map_err(|e| crash(e.to_string()))?;
            let args: Vec<String> = items(container, "/command")
                .skip(1)
                .chain(items(container, "/args"))
                .filter_map(|a| a.as_str().map(str::to_owned))
                .collect();
            crate::flags::parse("kube-proxy", crate::version::current(), &args).map_err(crash)?;
        } else if base.starts_with("coredns:") {
            crate::proxy::corefile(files.get("Corefile").ok_or_else(|| missing("Corefile"))?)
                .map_err(crash)?;
        }
    }
    if pod["spec"]["hostNetwork"] == true {
        return Ok(kubelet.ip.clone());
    }
    if let Some(why) = super::runtime::network() {
        return Err(format!("ContainerCreating: network is not ready: {why}"));
    }
    let uid = field(&pod["metadata"], "uid").to_owned();
    let given = field(&pod["status"], "podIP");
    if !given.is_empty() {
        addresses.insert(uid.clone(), given.to_owned());
    }
    if let Some(ip) = addresses.get(&uid) {
        return Ok(ip.clone());
    }
    let node = client
        .get(&format!("/api/v1/nodes/{}", kubelet.node))
        .await
        .map_err(|e| e.to_string())?;
    let range: ipnet::IpNet = field(&node["spec"], "podCIDR")
        .parse()
        .map_err(|_| "ContainerCreating: node has no podCIDR yet".to_owned())?;
    // The first address is the bridge's.
    let free = range
        .hosts()
        .skip(1)
        .map(|a| a.to_string())
        .find(|a| !addresses.values().any(|t| t == a));
    let ip = free.ok_or("ContainerCreating: no address left in the node's range")?;
    addresses.insert(uid, ip.clone());
    Ok(ip)
}
