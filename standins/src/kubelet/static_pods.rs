//! Static pods: manifests in a directory, each run as a child process of the kubelet
//! in the host's namespaces, under the name and version of its image.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tokio::process::{Child, Command};

use super::{Kubelet, field, host, probes};
use crate::api::items;
use crate::kube_vip;

/// How often the directory is read.
const POLL: Duration = Duration::from_millis(250);
/// The images that the stand-in has a component for.
const PLAYED: &[&str] = &[
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "coredns",
    "pause",
    "haproxy",
    "kube-vip",
];

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
    /// Whether its readiness probe passes.
    pub ready: bool,
    /// How often it was restarted.
    pub restarts: u64,
    /// When it was started.
    pub since: String,
    stop: Arc<tokio::sync::Notify>,
}

/// All static pods, by file.
#[derive(Clone, Default)]
pub struct Table(
    Arc<Mutex<BTreeMap<String, Pod>>>,
    Arc<Mutex<Vec<tokio::task::JoinHandle<()>>>>,
);

impl Table {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Pod>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All pods.
    pub fn pods(&self) -> Vec<Pod> {
        self.lock().values().cloned().collect()
    }

    /// Their manifests.
    pub fn manifests(&self) -> Vec<Value> {
        self.pods().into_iter().map(|p| p.manifest).collect()
    }

    fn update(&self, file: &str, hash: &str, change: impl FnOnce(&mut Pod)) {
        if let Some(pod) = self.lock().get_mut(file).filter(|p| p.hash == hash) {
            change(pod);
        }
    }

    /// Stops all processes and waits until they are gone.
    pub async fn stop_all(&self) {
        for pod in self.pods() {
            pod.stop.notify_one();
        }
        let tasks = std::mem::take(&mut *self.1.lock().unwrap_or_else(PoisonError::into_inner));
        let _ =
            tokio::time::timeout(Duration::from_secs(8), futures::future::join_all(tasks)).await;
    }
}

/// Follows the directory until the kubelet ends.
pub async fn run(kubelet: Arc<Kubelet>, table: Table) {
    if kubelet.config.static_pods.is_empty() {
        return std::future::pending().await;
    }
    let mut complained: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let found = read(&kubelet.config.static_pods, &mut complained);
        let known: Vec<(String, String)> = table
            .lock()
            .iter()
            .map(|(f, p)| (f.clone(), p.hash.clone()))
            .collect();
        for (file, hash) in known {
            if found.get(&file).is_none_or(|(h, _)| *h != hash)
                && let Some(pod) = table.lock().remove(&file)
            {
                pod.stop.notify_one();
            }
        }
        for (file, (hash, manifest)) in found {
            if table.lock().contains_key(&file) {
                continue;
            }
            let stop = Arc::new(tokio::sync::Notify::new());
            let pod = Pod {
                manifest,
                hash,
                waiting: "ContainerCreating".into(),
                started: false,
                ready: false,
                restarts: 0,
                since: String::new(),
                stop,
            };
            table.lock().insert(file.clone(), pod.clone());
            let task = tokio::spawn(live(kubelet.clone(), table.clone(), file, pod));
            let mut tasks = table.1.lock().unwrap_or_else(PoisonError::into_inner);
            tasks.retain(|t| !t.is_finished());
            tasks.push(task);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// The good manifests of a directory, by file; what is wrong with the others is
/// logged once.
fn read(dir: &str, complained: &mut BTreeMap<String, String>) -> BTreeMap<String, (String, Value)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let file = entry.path().display().to_string();
        // Everything but dot files, whatever its ending: a backup copy is a pod, too.
        if entry.file_name().to_string_lossy().starts_with('.') || !entry.path().is_file() {
            continue;
        }
        let parsed = std::fs::read_to_string(&file)
            .map_err(|e| e.to_string())
            .and_then(|text| {
                let manifest = parse(&text)?;
                Ok((
                    crate::api::sha256(text.as_bytes())[..32].to_owned(),
                    manifest,
                ))
            });
        match parsed {
            Ok(pod) => {
                complained.remove(&file);
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
    let mut pod: Value =
        serde_saphyr::from_str(text).map_err(|e| format!("couldn't parse as pod: {e}"))?;
    if pod["kind"] != "Pod" || pod["apiVersion"] != "v1" {
        return Err(format!(
            "couldn't parse as pod({} in {})",
            pod["kind"], pod["apiVersion"]
        ));
    }
    crate::schema::strict(&pod).map_err(|e| format!("couldn't parse as pod: {e}"))?;
    if pod["metadata"]["namespace"].is_null() {
        pod["metadata"]["namespace"] = "default".into();
    }
    crate::apiserver::validate_pod(&mut pod).map_err(|e| format!("invalid pod: {e}"))?;
    let spec = &pod["spec"];
    if crate::version::current().minor >= 34 {
        let refers = spec["serviceAccountName"].is_string()
            || items(spec, "/volumes").any(|v| {
                v.get("secret").is_some()
                    || v.get("configMap").is_some()
                    || v.get("persistentVolumeClaim").is_some()
            });
        if refers {
            return Err("static pods may not reference ServiceAccounts, Secrets, ConfigMaps or PersistentVolumeClaims".to_owned());
        }
    }
    Ok(pod)
}

/// Runs one static pod until it is stopped.
async fn live(kubelet: Arc<Kubelet>, table: Table, file: String, pod: Pod) {
    let mut backoff = Duration::from_secs(1);
    let wait = |why: String| table.update(&file, &pod.hash, |p| p.waiting = why);
    loop {
        let started = match start(&kubelet, &pod.manifest).await {
            Ok(child) => {
                table.update(&file, &pod.hash, |p| {
                    p.waiting.clear();
                    p.since = crate::api::now();
                });
                let begun = Instant::now();
                let ended = watch(&kubelet, &table, &file, &pod, child).await;
                table.update(&file, &pod.hash, |p| {
                    p.ready = false;
                    p.started = false;
                });
                match ended {
                    None => return,
                    Some(why) => crate::klog!(
                        error,
                        "container of pod {} ended: {why}",
                        crate::api::name(&pod.manifest)
                    ),
                }
                if begun.elapsed() > Duration::from_secs(600) {
                    backoff = Duration::from_secs(1);
                }
                "CrashLoopBackOff".to_owned()
            }
            Err(why) => {
                crate::klog!(
                    error,
                    "Error syncing pod {}: {why}",
                    crate::api::name(&pod.manifest)
                );
                why
            }
        };
        wait(started);
        tokio::select! {
            () = pod.stop.notified() => return,
            () = tokio::time::sleep(backoff) => {}
        }
        backoff = (backoff * 2).min(Duration::from_secs(30));
        table.update(&file, &pod.hash, |p| p.restarts += 1);
    }
}

/// Supervises a running process: probes it, stops it when told. None: it was told to.
async fn watch(
    kubelet: &Kubelet,
    table: &Table,
    file: &str,
    pod: &Pod,
    mut child: Child,
) -> Option<String> {
    let container = &pod.manifest["spec"]["containers"][0];
    let Some(pool) = probes::pool() else {
        return Some("no TLS".into());
    };
    let begun = Instant::now();
    let (mut started, mut failed) = (!container["startupProbe"].is_object(), 0);
    let mut tick = Instant::now();
    loop {
        tokio::select! {
            ended = child.wait() => {
                return Some(match ended {
                    Ok(status) => status.code().map_or_else(|| format!("signal {:?}", status.signal()), |c| format!("exit code {c}")),
                    Err(e) => e.to_string(),
                });
            }
            () = pod.stop.notified() => {
                terminate(&mut child).await;
                return None;
            }
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
        // A success counts at once, a failure only as often as the probe's period.
        let probe = if started {
            &container["livenessProbe"]
        } else {
            &container["startupProbe"]
        };
        let ready = passes(&pool, container, "readinessProbe", &kubelet.ip).await;
        if !probe.is_object() {
            table.update(file, &pod.hash, |p| {
                p.started = started;
                p.ready = ready;
            });
            continue;
        }
        let period = Duration::from_secs(probe["periodSeconds"].as_u64().unwrap_or(10));
        let delay = Duration::from_secs(probe["initialDelaySeconds"].as_u64().unwrap_or(0));
        if probes::passes(&pool, container, probe, &kubelet.ip).await {
            failed = 0;
            started = true;
        } else if begun.elapsed() > delay && tick.elapsed() >= period {
            tick = Instant::now();
            failed += 1;
            if failed >= probe["failureThreshold"].as_u64().unwrap_or(3) {
                terminate(&mut child).await;
                return Some("liveness or startup probe failed".into());
            }
        }
        table.update(file, &pod.hash, |p| {
            p.started = started;
            p.ready = started && ready;
        });
    }
}

async fn passes(pool: &crate::client::Pool, container: &Value, name: &str, ip: &str) -> bool {
    probes::passes(pool, container, &container[name], ip).await
}

async fn terminate(child: &mut Child) {
    if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
        let _ = kill_process_group(pid, Signal::TERM);
    }
    if tokio::time::timeout(Duration::from_secs(5), child.wait())
        .await
        .is_err()
    {
        let _ = child.kill().await;
    }
}

/// Image, volumes, command: all that must be right before a process exists.
async fn start(kubelet: &Kubelet, manifest: &Value) -> Result<Child, String> {
    let container = &manifest["spec"]["containers"][0];
    let image = field(container, "image");
    if !kubelet.runtime.has_image(image).await {
        return Err(format!(
            "ErrImagePull: failed to pull image {image:?}: not in the runtime, and no registry can be reached"
        ));
    }
    if manifest["spec"]["hostNetwork"] != true {
        return Err("only static pods of the host's network are played".into());
    }
    let mounts = mounts(manifest)?;
    let base = image.rsplit('/').next().unwrap_or_default();
    let (component, tag) = base.split_once(':').unwrap_or((base, "latest"));
    let mut words: Vec<&str> = items(container, "/command")
        .chain(items(container, "/args"))
        .filter_map(Value::as_str)
        .collect();
    if items(container, "/command").next().is_none() {
        // The image's own entrypoint.
        words.insert(0, component);
    }
    let entry = words
        .first()
        .map_or(component, |w| w.rsplit('/').next().unwrap_or(w));
    if !PLAYED.contains(&component) || entry != component {
        return Err(format!(
            "RunContainerError: exec: {entry:?}: executable file not found in $PATH of image {image}"
        ));
    }
    let args: Vec<String> = words
        .windows(2)
        .map(|pair| match pair {
            ["-f", path] => within(path, &mounts, true),
            [_, word] => translate(word, &mounts),
            _ => String::new(),
        })
        .collect();
    let logs = host(&format!(
        "/var/log/containers/{}.log",
        crate::api::name(manifest)
    ));
    let log = std::path::Path::new(&logs)
        .parent()
        .map(std::fs::create_dir_all)
        .and_then(|_| {
            std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(&logs)
                .ok()
        });
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut command = Command::new(program);
    command
        .arg0(component)
        .args(args)
        .env_clear()
        .envs(std::env::var("STANDIN_ROOT").map(|root| ("STANDIN_ROOT".to_owned(), root)))
        .env(crate::version::IMAGE, tag)
        .envs(items(container, "/env").map(|e| {
            let value = match field(&e["valueFrom"]["fieldRef"], "fieldPath") {
                "spec.nodeName" => kubelet.node.as_str(),
                _ => field(e, "value"),
            };
            (field(e, "name").to_owned(), value.to_owned())
        }))
        .envs(surroundings(component, manifest, &mounts))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    command.stderr(log.map_or_else(Stdio::inherit, Stdio::from));
    command
        .spawn()
        .map_err(|e| format!("RunContainerError: {e}"))
}

/// What a component that is told nothing by its arguments finds around it.
fn surroundings(
    component: &str,
    manifest: &Value,
    mounts: &[(String, String)],
) -> Vec<(&'static str, String)> {
    if component != "kube-vip" {
        return vec![];
    }
    let container = &manifest["spec"]["containers"][0];
    let capabilities: Vec<&str> = items(container, "/securityContext/capabilities/add")
        .filter_map(Value::as_str)
        .collect();
    let mut found = vec![
        (kube_vip::CAPABILITIES, capabilities.join(",")),
        (
            kube_vip::MOUNTED,
            within(kube_vip::KUBECONFIG, mounts, true),
        ),
    ];
    let alias = items(&manifest["spec"], "/hostAliases")
        .find(|alias| items(alias, "/hostnames").any(|name| name == "kubernetes"));
    if let Some(alias) = alias {
        found.push((kube_vip::ALIAS, field(alias, "ip").to_owned()));
    }
    found
}

/// Where the container sees which part of the host, longest path first.
fn mounts(manifest: &Value) -> Result<Vec<(String, String)>, String> {
    let mut mounts = vec![];
    for mount in items(&manifest["spec"]["containers"][0], "/volumeMounts") {
        let Some(volume) =
            items(&manifest["spec"], "/volumes").find(|v| v["name"] == mount["name"])
        else {
            continue;
        };
        let path = field(&volume["hostPath"], "path");
        if path.is_empty() {
            continue;
        }
        host_path(path, field(&volume["hostPath"], "type"))?;
        mounts.push((
            field(mount, "mountPath").trim_end_matches('/').to_owned(),
            path.trim_end_matches('/').to_owned(),
        ));
    }
    mounts.sort_by_key(|(at, _)| std::cmp::Reverse(at.len()));
    Ok(mounts)
}

/// Checks or makes a hostPath, as its type asks for.
pub fn host_path(path: &str, kind: &str) -> Result<(), String> {
    use std::os::unix::fs::FileTypeExt;
    let failed = |why: &str| {
        Err(format!(
            "MountVolume.SetUp failed for volume: hostPath type check failed: {path} {why}"
        ))
    };
    let meta = std::fs::metadata(path).ok();
    match kind {
        "DirectoryOrCreate" if meta.is_none() => {
            std::fs::create_dir_all(path).map_err(|e| format!("mkdir {path}: {e}"))
        }
        "DirectoryOrCreate" | "Directory" if !meta.as_ref().is_some_and(|m| m.is_dir()) => {
            failed("is not a directory")
        }
        "FileOrCreate" if meta.is_none() => std::fs::File::create(path)
            .map(|_| ())
            .map_err(|e| format!("open {path}: {e}")),
        "FileOrCreate" | "File" if !meta.as_ref().is_some_and(|m| m.is_file()) => {
            failed("is not a file")
        }
        "Socket" if !meta.is_some_and(|m| m.file_type().is_socket()) => {
            failed("is not a socket file")
        }
        _ => Ok(()),
    }
}

/// The host's name of a path that an argument names inside the container; a file
/// that is mounted nowhere becomes one that does not exist.
fn translate(word: &str, mounts: &[(String, String)]) -> String {
    let Some((flag, value)) = word
        .split_once('=')
        .filter(|(f, v)| f.starts_with("--") && v.starts_with('/'))
    else {
        return word.to_owned();
    };
    let read = flag.ends_with("file")
        || flag.ends_with("kubeconfig")
        || flag.starts_with("--kubelet-client-")
        || flag.ends_with("-config")
        || flag == "--config";
    let data = flag.ends_with("-dir") || flag.ends_with("-path");
    if !read && !data {
        return word.to_owned();
    }
    let value: Vec<String> = value
        .split(',')
        .map(|path| within(path, mounts, read))
        .collect();
    format!("{flag}={}", value.join(","))
}

/// The host's name of a path inside the container.
fn within(path: &str, mounts: &[(String, String)], read: bool) -> String {
    let seen = mounts.iter().find_map(|(at, from)| {
        path.strip_prefix(at.as_str())
            .filter(|rest| rest.is_empty() || rest.starts_with('/'))
            .map(|rest| format!("{from}{rest}"))
    });
    match seen {
        Some(path) => path,
        None if read => format!("/not-mounted-in-this-container{path}"),
        None => path.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_mounted_is_not_there() {
        let mounts = vec![("/etc/kubernetes/pki".to_owned(), "/host/pki".to_owned())];
        assert_eq!(
            translate("--client-ca-file=/etc/kubernetes/pki/ca.crt", &mounts),
            "--client-ca-file=/host/pki/ca.crt"
        );
        assert_eq!(
            translate("--kubeconfig=/etc/kubernetes/pkix", &mounts),
            "--kubeconfig=/not-mounted-in-this-container/etc/kubernetes/pkix"
        );
        assert_eq!(
            translate("--etcd-prefix=/registry", &mounts),
            "--etcd-prefix=/registry"
        );
    }

    #[test]
    fn manifests_are_strict() {
        let good = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: b}]}\n";
        assert!(parse(good).is_ok());
        assert!(
            parse(&good.replace("image", "imgae"))
                .unwrap_err()
                .contains("unknown field")
        );
        assert!(
            parse(&good.replace(
                "image: b",
                "image: b, volumeMounts: [{name: x, mountPath: /x}]"
            ))
            .unwrap_err()
            .contains("Not found")
        );
        assert!(parse("kind: [").is_err());
    }
}
