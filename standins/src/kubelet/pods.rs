//! Pods in the API: mirrors of the static ones, and those that were scheduled here,
//! which get the status that they would have.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::Kubelet;
use super::process::check_host_path;
use super::static_pods::{Pod, Table};
use crate::api::{Result, items, name, namespace, now, set_condition, text};
use crate::client::{Client, MERGE};
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
        let (mirrors, others): (Vec<Value>, Vec<Value>) = pods
            .all()
            .into_iter()
            .partition(|p| p["metadata"]["annotations"][MIRROR].is_string());
        match sync_mirrors(&kubelet, &client, &table.pods(), &mirrors).await {
            Err(e) if e.code != 404 => {
                crate::klog!(error, "Failed to sync mirror pods: {e}");
            }
            _ => {}
        }
        addresses.retain(|uid, _| others.iter().any(|p| p["metadata"]["uid"] == uid.as_str()));
        for pod in &others {
            match sync(&kubelet, &client, pod, &mut addresses).await {
                Err(e) if !matches!(e.code, 404 | 409) => {
                    crate::klog!(error, "Error syncing pod {}: {e}", path_of(pod));
                }
                _ => {}
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn path_of(pod: &Value) -> String {
    format!("/api/v1/namespaces/{}/pods/{}", namespace(pod), name(pod))
}

async fn delete(client: &Client, pod: &Value) -> Result<()> {
    let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}});
    client
        .request("DELETE", &path_of(pod), "application/json", Some(&options))
        .await
        .map(|_| ())
}

async fn sync_mirrors(
    kubelet: &Kubelet,
    client: &Client,
    statics: &[Pod],
    mirrors: &[Value],
) -> Result<()> {
    let is_of = |mirror: &Value, pod: &Pod| {
        namespace(mirror) == namespace(&pod.manifest) && name(mirror) == kubelet.mirror_name(pod)
    };
    let is_good = |mirror: &Value, pod: &Pod| {
        mirror["metadata"]["annotations"][MIRROR] == pod.hash.as_str()
            && mirror["metadata"]["deletionTimestamp"].is_null()
    };
    for mirror in mirrors {
        if !statics
            .iter()
            .any(|p| is_of(mirror, p) && is_good(mirror, p))
        {
            delete(client, mirror).await?;
        }
    }
    for pod in statics {
        let Some(live) = mirrors.iter().find(|m| is_of(m, pod)) else {
            create_mirror(kubelet, client, pod).await?;
            continue;
        };
        let container = State {
            container: &pod.manifest["spec"]["containers"][0],
            since: &pod.since,
            waiting: &pod.waiting,
            ready: pod.ready,
            started: pod.started,
            restarts: pod.restarts,
        };
        let fresh = status(live, &[container], &kubelet.ip, kubelet);
        publish(client, live, fresh).await?;
    }
    Ok(())
}

async fn create_mirror(kubelet: &Kubelet, client: &Client, pod: &Pod) -> Result<()> {
    let path = format!("/api/v1/nodes/{}", kubelet.node);
    let node = client.get(&path).await?;
    let mut mirror = pod.manifest.clone();
    mirror["metadata"]["name"] = kubelet.mirror_name(pod).into();
    for (annotation, value) in [
        (HASH, pod.hash.as_str()),
        (MIRROR, &pod.hash),
        ("kubernetes.io/config.seen", &now()),
        ("kubernetes.io/config.source", "file"),
    ] {
        mirror["metadata"]["annotations"][annotation] = value.into();
    }
    mirror["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "Node", "name": kubelet.node, "uid": node["metadata"]["uid"], "controller": true}]);
    mirror["spec"]["nodeName"] = kubelet.node.clone().into();
    mirror["status"] = json!({});
    let path = format!("/api/v1/namespaces/{}/pods", namespace(&mirror));
    match client.create(&path, &mirror).await {
        Err(e) if e.reason != "AlreadyExists" => Err(e),
        _ => Ok(()),
    }
}

/// How a container is.
struct State<'a> {
    container: &'a Value,
    since: &'a str,
    /// What it waits for; empty while it runs.
    waiting: &'a str,
    ready: bool,
    started: bool,
    restarts: u64,
}

impl State<'_> {
    fn json(&self) -> Value {
        let (name, image) = (&self.container["name"], &self.container["image"]);
        let id = crate::api::sha256(format!("{name}{image}").as_bytes());
        let state = match self.waiting.split_once(": ") {
            None if self.waiting.is_empty() => json!({"running": {"startedAt": self.since}}),
            None => json!({"waiting": {"reason": self.waiting}}),
            Some((reason, message)) => {
                json!({"waiting": {"reason": reason, "message": message}})
            }
        };
        json!({"name": name, "image": image, "imageID": format!("sha256:{id}"), "containerID": format!("containerd://{id}"),
               "ready": self.ready, "started": self.started, "restartCount": self.restarts, "state": state, "lastState": {}})
    }
}

/// The status of a pod whose containers are like that; `ip` may be empty.
fn status(pod: &Value, containers: &[State], ip: &str, kubelet: &Kubelet) -> Value {
    let ready = containers.iter().all(|c| c.ready);
    let ran = |c: &State| c.waiting.is_empty() || c.waiting.starts_with("CrashLoop");
    let running = containers.iter().any(ran);
    let mut fresh = pod.clone();
    if fresh["status"]["startTime"].is_null() {
        fresh["status"]["startTime"] = now().into();
    }
    let statuses: Vec<Value> = containers.iter().map(State::json).collect();
    json_patch::merge(
        &mut fresh["status"],
        &json!({"phase": if running { "Running" } else { "Pending" }, "hostIP": kubelet.ip, "hostIPs": [{"ip": kubelet.ip}],
                "qosClass": "Burstable", "containerStatuses": statuses}),
    );
    if !ip.is_empty() {
        fresh["status"]["podIPs"] = json!([{"ip": ip}]);
        fresh["status"]["podIP"] = ip.into();
    }
    for (kind, good, reason) in [
        ("PodReadyToStartContainers", running, ""),
        ("Initialized", true, ""),
        ("Ready", ready, "ContainersNotReady"),
        ("ContainersReady", ready, "ContainersNotReady"),
        ("PodScheduled", true, ""),
    ] {
        let (word, reason) = if good {
            ("True", "")
        } else {
            ("False", reason)
        };
        set_condition(&mut fresh, kind, word, reason, "");
    }
    fresh["status"].take()
}

async fn publish(client: &Client, live: &Value, status: Value) -> Result<()> {
    if live["status"] == status {
        return Ok(());
    }
    let patch = json!({"metadata": {"uid": live["metadata"]["uid"]}, "status": status});
    let path = format!("{}/status", path_of(live));
    client.patch(&path, MERGE, &patch).await.map(|_| ())
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
    let since = pod.pointer("/status/containerStatuses/0/state/running/startedAt");
    let since = since
        .and_then(Value::as_str)
        .map_or_else(now, str::to_owned);
    let prepared = match prepare(client, pod).await {
        Ok(()) => give_address(kubelet, client, pod, addresses).await,
        Err(why) => Err(why),
    };
    let (ip, problem) = match prepared {
        Ok(ip) => (ip, String::new()),
        Err(why) => (String::new(), why),
    };
    let mut waiting = vec![];
    for container in items(pod, "/spec/containers") {
        let image = text(container, "image");
        waiting.push(if problem.is_empty() {
            kubelet
                .runtime
                .check_image(image)
                .await
                .err()
                .unwrap_or_default()
        } else {
            problem.clone()
        });
    }
    let states: Vec<State> = items(pod, "/spec/containers")
        .zip(&waiting)
        .map(|(container, waiting)| State {
            container,
            since: &since,
            waiting,
            ready: waiting.is_empty(),
            started: waiting.is_empty(),
            restarts: 0,
        })
        .collect();
    publish(client, pod, status(pod, &states, &ip, kubelet)).await
}

/// Volumes, and what the components that the product installs would read: what the
/// pod waits for, if anything.
async fn prepare(client: &Client, pod: &Value) -> std::result::Result<(), String> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for volume in items(pod, "/spec/volumes") {
        let failed = |e: &dyn std::fmt::Display| {
            let name = &volume["name"];
            format!("ContainerCreating: MountVolume.SetUp failed for volume {name}: {e}")
        };
        let get = |kind: &'static str, own: &str| {
            let path = format!("/api/v1/namespaces/{}/{kind}/{own}", namespace(pod));
            async move { client.get(&path).await }
        };
        let map = &volume["configMap"];
        if map.is_object() {
            let found = get("configmaps", text(map, "name")).await;
            let found = found.map_err(|e| failed(&e))?;
            for item in items(map, "/items") {
                if found["data"].get(text(item, "key")).is_none() {
                    let key = &item["key"];
                    return Err(failed(&format!(
                        "references non-existent config key: {key}"
                    )));
                }
            }
            for (key, value) in found["data"].as_object().into_iter().flatten() {
                files.insert(key.clone(), value.as_str().unwrap_or_default().to_owned());
            }
        }
        let secret = &volume["secret"];
        if secret.is_object() && secret["optional"] != true {
            let found = get("secrets", text(secret, "secretName")).await;
            found.map_err(|e| failed(&e))?;
        }
        let path = &volume["hostPath"];
        if path.is_object() {
            check_host_path(text(path, "path"), text(path, "type")).map_err(|e| failed(&e))?;
        }
    }
    for container in items(pod, "/spec/containers") {
        check_addon(container, &files).map_err(|e| format!("CrashLoopBackOff: {e}"))?;
    }
    Ok(())
}

/// Whether kube-proxy or CoreDNS would start with those files.
fn check_addon(
    container: &Value,
    files: &BTreeMap<String, String>,
) -> std::result::Result<(), String> {
    let file = |name: &str| {
        let found = files.get(name);
        found.ok_or_else(|| format!("open {name}: no such file or directory"))
    };
    let base = text(container, "image")
        .rsplit('/')
        .next()
        .unwrap_or_default();
    if base.starts_with("kube-proxy:") {
        crate::addons::check_kube_proxy(file("config.conf")?)?;
        let _: Value =
            serde_saphyr::from_str(file("kubeconfig.conf")?).map_err(|e| e.to_string())?;
        let args: Vec<String> = items(container, "/command")
            .skip(1)
            .chain(items(container, "/args"))
            .filter_map(|a| a.as_str().map(str::to_owned))
            .collect();
        crate::flags::parse("kube-proxy", crate::version::current(), &args)?;
    } else if base.starts_with("coredns:") {
        crate::addons::check_corefile(file("Corefile")?)?;
    }
    Ok(())
}

/// The pod's address: the one it has, or a free one of the node's range.
async fn give_address(
    kubelet: &Kubelet,
    client: &Client,
    pod: &Value,
    addresses: &mut HashMap<String, String>,
) -> std::result::Result<String, String> {
    if pod["spec"]["hostNetwork"] == true {
        return Ok(kubelet.ip.clone());
    }
    if let Some(why) = super::runtime::network_problem() {
        return Err(format!("ContainerCreating: network is not ready: {why}"));
    }
    let uid = text(&pod["metadata"], "uid");
    let given = text(&pod["status"], "podIP");
    if !given.is_empty() {
        addresses.insert(uid.to_owned(), given.to_owned());
    }
    if let Some(ip) = addresses.get(uid) {
        return Ok(ip.clone());
    }
    let path = format!("/api/v1/nodes/{}", kubelet.node);
    let node = client.get(&path).await.map_err(|e| e.to_string())?;
    let range: ipnet::IpNet = text(&node["spec"], "podCIDR")
        .parse()
        .map_err(|_| "ContainerCreating: node has no podCIDR yet".to_owned())?;
    // The first address is the bridge's.
    let mut all = range.hosts().skip(1).map(|a| a.to_string());
    let free = all.find(|a| !addresses.values().any(|t| t == a));
    let ip = free.ok_or("ContainerCreating: no address left in the node's range")?;
    addresses.insert(uid.to_owned(), ip.clone());
    Ok(ip)
}
