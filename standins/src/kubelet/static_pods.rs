//! Static pods: manifests in a directory, each kept running as a process.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::process::Child;
use tokio::sync::Notify;

use super::probes::Prober;
use super::{Kubelet, container_log, process};
use crate::api::{items, name};

/// How often the directory is read.
const POLL: Duration = Duration::from_millis(250);

/// What is known of a static pod.
#[derive(Clone, Debug)]
pub struct Pod {
    /// The manifest, with defaults.
    pub manifest: Value,
    /// Its hash.
    pub hash: String,
    /// What the container waits for; empty while it runs.
    pub waiting: String,
    /// Whether its startup probe has passed.
    pub started: bool,
    pub ready: bool,
    pub restarts: u64,
    pub since: String,
    stop: Arc<Notify>,
}

type Tasks = Vec<tokio::task::JoinHandle<()>>;

/// All static pods, by file.
#[derive(Clone, Default)]
pub struct Table {
    pods: Arc<Mutex<BTreeMap<String, Pod>>>,
    tasks: Arc<Mutex<Tasks>>,
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Pod>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All pods.
    pub fn pods(&self) -> Vec<Pod> {
        self.lock().values().cloned().collect()
    }

    /// Their manifests.
    pub fn manifests(&self) -> Vec<Value> {
        self.pods().into_iter().map(|p| p.manifest).collect()
    }

    /// Stops all processes and waits until they are gone.
    pub async fn stop_all(&self) {
        for pod in self.pods() {
            pod.stop.notify_one();
        }
        let tasks = std::mem::take(&mut *self.tasks());
        let all = futures::future::join_all(tasks);
        let _ = tokio::time::timeout(Duration::from_secs(8), all).await;
    }
}

/// Follows the directory until the kubelet ends.
pub async fn run(kubelet: Arc<Kubelet>, table: Table) {
    if kubelet.config.static_pods.is_empty() {
        return std::future::pending().await;
    }
    let mut complained: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let found = read_manifests(&kubelet.config.static_pods, &mut complained);
        table.lock().retain(|file, pod| {
            let keep = found.get(file).is_some_and(|f| f.hash == pod.hash);
            if !keep {
                pod.stop.notify_one();
                let logs = container_log::pod_dir(&pod.manifest, &kubelet.node, &pod.hash);
                let _ = std::fs::remove_dir_all(logs);
            }
            keep
        });
        for (file, pod) in found {
            if table.lock().contains_key(&file) {
                continue;
            }
            table.lock().insert(file.clone(), pod.clone());
            let running = Running {
                kubelet: kubelet.clone(),
                table: table.clone(),
                file,
                pod,
            };
            let task = tokio::spawn(running.keep_up());
            let mut tasks = table.tasks();
            tasks.retain(|t| !t.is_finished());
            tasks.push(task);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// The good manifests of a directory, by file; what is wrong with the others is
/// logged once.
fn read_manifests(dir: &str, complained: &mut BTreeMap<String, String>) -> BTreeMap<String, Pod> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let file = entry.path().display().to_string();
        // Everything but dot files, whatever its ending: a backup copy is a pod, too.
        if entry.file_name().to_string_lossy().starts_with('.') || !entry.path().is_file() {
            continue;
        }
        let text = std::fs::read_to_string(&file).map_err(|e| e.to_string());
        let manifest = text.and_then(|text| Ok((parse(&text)?, text)));
        match manifest {
            Ok((manifest, text)) => {
                complained.remove(&file);
                let pod = Pod {
                    manifest,
                    hash: crate::api::sha256(text.as_bytes())[..32].to_owned(),
                    waiting: "ContainerCreating".into(),
                    started: false,
                    ready: false,
                    restarts: 0,
                    since: String::new(),
                    stop: Arc::default(),
                };
                found.insert(file, pod);
            }
            Err(e) => {
                if complained.get(&file) != Some(&e) {
                    crate::klog!(error, "Can't process manifest file {file:?}: {e}");
                    complained.insert(file, e);
                }
            }
        }
    }
    found
}

/// Reads a manifest. Stricter than the real kubelet, which ignores unknown fields.
fn parse(text: &str) -> Result<Value, String> {
    let failed = |e: String| format!("couldn't parse as pod: {e}");
    let mut pod: Value = serde_saphyr::from_str(text).map_err(|e| failed(e.to_string()))?;
    if pod["kind"] != "Pod" || pod["apiVersion"] != "v1" {
        let (kind, version) = (&pod["kind"], &pod["apiVersion"]);
        return Err(failed(format!("it is a {kind} of {version}")));
    }
    crate::schema::decode_strictly(&pod).map_err(failed)?;
    if pod["metadata"]["namespace"].is_null() {
        pod["metadata"]["namespace"] = "default".into();
    }
    crate::apiserver::validate_pod(&mut pod).map_err(|e| format!("invalid pod: {e}"))?;
    let refers = pod["spec"]["serviceAccountName"].is_string()
        || items(&pod, "/spec/volumes").any(|v| {
            let sources = ["secret", "configMap", "persistentVolumeClaim"];
            sources.iter().any(|s| v.get(s).is_some())
        });
    if refers && crate::version::current().minor >= 34 {
        return Err("static pods may not reference ServiceAccounts, Secrets, ConfigMaps or PersistentVolumeClaims".to_owned());
    }
    Ok(pod)
}

/// One static pod, for as long as its manifest stands.
struct Running {
    kubelet: Arc<Kubelet>,
    table: Table,
    file: String,
    pod: Pod,
}

impl Running {
    /// Changes what is known of the pod, unless another one has taken its place.
    fn update(&self, change: impl FnOnce(&mut Pod)) {
        let mut pods = self.table.lock();
        let pod = pods.get_mut(&self.file);
        if let Some(pod) = pod.filter(|p| p.hash == self.pod.hash) {
            change(pod);
        }
    }

    /// Starts the process again and again until the pod is stopped.
    async fn keep_up(self) {
        let mut backoff = Duration::from_secs(1);
        let own = name(&self.pod.manifest);
        let logs = container_log::pod_dir(&self.pod.manifest, &self.kubelet.node, &self.pod.hash);
        loop {
            let begun = Instant::now();
            let waiting = match process::start(&self.kubelet, &self.pod.manifest, &logs).await {
                Ok(child) => {
                    self.update(|p| {
                        p.waiting.clear();
                        p.since = crate::api::now();
                    });
                    let Some(why) = self.watch(child).await else {
                        return;
                    };
                    crate::klog!(error, "container of pod {own} ended: {why}");
                    "CrashLoopBackOff".to_owned()
                }
                Err(why) => {
                    crate::klog!(error, "Error syncing pod {own}: {why}");
                    why
                }
            };
            self.update(|p| {
                p.ready = false;
                p.started = false;
                p.waiting = waiting;
            });
            if begun.elapsed() > Duration::from_secs(600) {
                backoff = Duration::from_secs(1);
            }
            tokio::select! {
                () = self.pod.stop.notified() => return,
                () = tokio::time::sleep(backoff) => {}
            }
            backoff = (backoff * 2).min(Duration::from_secs(30));
            self.update(|p| p.restarts += 1);
        }
    }

    /// Probes a running process, and stops it when told. None: it was told to.
    async fn watch(&self, mut child: Child) -> Option<String> {
        let container = &self.pod.manifest["spec"]["containers"][0];
        let Some(prober) = Prober::new(container, &self.kubelet.ip) else {
            return Some("no TLS".into());
        };
        let begun = Instant::now();
        let mut started = container["startupProbe"].is_null();
        let (mut failed, mut tick) = (0, Instant::now());
        loop {
            tokio::select! {
                ended = child.wait() => {
                    return Some(match ended {
                        Ok(status) => status.code().map_or_else(|| format!("signal {:?}", status.signal()), |c| format!("exit code {c}")),
                        Err(e) => e.to_string(),
                    });
                }
                () = self.pod.stop.notified() => {
                    process::terminate(&mut child).await;
                    return None;
                }
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
            }
            let ready = prober.passes("readinessProbe").await;
            let probe = if started {
                "livenessProbe"
            } else {
                "startupProbe"
            };
            let setting = |name: &str, default| container[probe][name].as_u64().unwrap_or(default);
            // A success counts at once, a failure only as often as the probe's period.
            if prober.passes(probe).await {
                failed = 0;
                started = true;
            } else if begun.elapsed().as_secs() >= setting("initialDelaySeconds", 0)
                && tick.elapsed().as_secs() >= setting("periodSeconds", 10)
            {
                tick = Instant::now();
                failed += 1;
                if failed >= setting("failureThreshold", 3) {
                    process::terminate(&mut child).await;
                    return Some(format!("{probe} failed"));
                }
            }
            self.update(|p| {
                p.started = started;
                p.ready = started && ready;
            });
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_strict() {
        let good = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: b}]}\n";
        assert!(parse(good).is_ok());
        let typo = parse(&good.replace("image", "imgae")).unwrap_err();
        assert!(typo.contains("unknown field"), "{typo}");
        let mount = "image: b, volumeMounts: [{name: x, mountPath: /x}]";
        let mount = parse(&good.replace("image: b", mount)).unwrap_err();
        assert!(mount.contains("Not found"), "{mount}");
        assert!(parse("kind: [").is_err());
    }
}
