//! The container runtime: whether it answers, which images it has, whether its
//! network is set up.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

use super::host;
use crate::api::items;

/// A runtime behind a socket.
#[derive(Clone)]
pub struct Runtime {
    images: Arc<Mutex<(Option<Instant>, HashSet<String>)>>,
    version: String,
}

impl Runtime {
    /// Connects to the endpoint once, as the kubelet does before anything else.
    pub async fn connect(endpoint: &str) -> anyhow::Result<Self> {
        let path = endpoint.strip_prefix("unix://").unwrap_or(endpoint);
        if !path.starts_with('/') {
            bail!(
                "failed to run Kubelet: validate service connection: validate CRI v1 runtime API for endpoint {endpoint:?}: protocol {:?} not supported",
                endpoint.split("://").next().unwrap_or_default()
            );
        }
        let connect = tokio::net::UnixStream::connect(path);
        tokio::time::timeout(Duration::from_secs(2), connect)
            .await
            .map_err(anyhow::Error::from)
            .and_then(|r| Ok(r?))
            .with_context(|| format!("failed to run Kubelet: validate service connection: validate CRI v1 runtime API for endpoint {endpoint:?}: rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial unix {path}\""))?;
        let said = tokio::process::Command::new("ctr")
            .arg("--version")
            .output()
            .await?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let version = said.split_whitespace().last().unwrap_or("2.0.0");
        Ok(Self {
            images: Arc::default(),
            version: version.trim_start_matches('v').to_owned(),
        })
    }

    /// `containerd://2.1.9`.
    pub fn version(&self) -> String {
        format!("containerd://{}", self.version)
    }

    /// An error unless the runtime holds an image. Asks at most once a second.
    pub async fn check_image(&self, image: &str) -> Result<(), String> {
        let is_stale = |at: Instant| at.elapsed() > Duration::from_secs(1);
        if self.images().0.is_none_or(is_stale) {
            let listed = tokio::process::Command::new("ctr")
                .args(["-n", "k8s.io", "images", "ls", "-q"])
                .output()
                .await;
            let names = match listed {
                Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
                Err(e) => {
                    crate::klog!(error, "cannot list images: ctr: {e}");
                    String::new()
                }
            };
            let names = names.lines().map(str::to_owned).collect();
            *self.images() = (Some(Instant::now()), names);
        }
        let images = &self.images().1;
        let prefixes = ["", "docker.io/library/", "docker.io/"];
        match prefixes
            .iter()
            .any(|p| images.contains(&format!("{p}{image}")))
        {
            true => Ok(()),
            false => Err(format!(
                "ErrImagePull: failed to pull image {image:?}: not in the runtime, and no registry can be reached"
            )),
        }
    }

    fn images(&self) -> MutexGuard<'_, (Option<Instant>, HashSet<String>)> {
        self.images.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why the node's network is not ready; None if it is.
pub fn network_problem() -> Option<String> {
    let dir = host("/etc/cni/net.d");
    let mut files: Vec<_> = std::fs::read_dir(&dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path())
        .collect();
    files.retain(|p| {
        p.extension()
            .is_some_and(|e| e == "conf" || e == "conflist" || e == "json")
    });
    files.sort();
    let Some(first) = files.first() else {
        return Some("cni plugin not initialized".to_owned());
    };
    let text = std::fs::read_to_string(first).unwrap_or_default();
    let Ok(conf) = serde_json::from_str::<Value>(&text) else {
        return Some(format!(
            "cni config load failed: {} is not JSON",
            first.display()
        ));
    };
    let mut plugins: Vec<&Value> = items(&conf, "/plugins").collect();
    if plugins.is_empty() {
        plugins.push(&conf);
    }
    let dirs = plugin_dirs();
    for plugin in plugins {
        for name in [&plugin["type"], &plugin["ipam"]["type"]]
            .into_iter()
            .filter_map(Value::as_str)
        {
            if !dirs
                .iter()
                .any(|d| std::path::Path::new(d).join(name).exists())
            {
                return Some(format!("failed to find plugin {name:?} in path {dirs:?}"));
            }
        }
        if plugin["type"].is_null() {
            return Some(format!(
                "cni config load failed: no plugin type in {}",
                first.display()
            ));
        }
    }
    None
}

/// Where containerd looks for plugins: as it is configured, else /opt/cni/bin.
fn plugin_dirs() -> Vec<String> {
    let text = std::fs::read_to_string(host("/etc/containerd/config.toml")).unwrap_or_default();
    let mut dirs: Vec<String> = text
        .lines()
        .map(str::trim)
        .filter(|l| l.starts_with("bin_dir"))
        .filter_map(|l| l.split_once('='))
        .flat_map(|(_, v)| {
            v.split(['"', '\''])
                .filter(|s| s.starts_with('/'))
                .map(host)
                .collect::<Vec<_>>()
        })
        .collect();
    if dirs.is_empty() {
        dirs.push(host("/opt/cni/bin"));
    }
    dirs
}
