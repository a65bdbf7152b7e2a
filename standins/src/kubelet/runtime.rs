//! The container runtime: whether it answers, which images it has, whether its
//! network is set up.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
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
        let output = tokio::process::Command::new("ctr")
            .arg("--version")
            .output()
            .await
            .ok();
        let version = output
            .and_then(|o| String::from_utf8(o.stdout).ok())
            .and_then(|t| {
                t.split_whitespace()
                    .last()
                    .map(|v| v.trim_start_matches('v').to_owned())
            });
        Ok(Self {
            images: Arc::default(),
            version: version.unwrap_or_else(|| "2.0.0".to_owned()),
        })
    }

    /// `containerd://2.1.9`.
    pub fn version(&self) -> String {
        format!("containerd://{}", self.version)
    }

    /// Whether the runtime holds an image. Asks at most once a second.
    pub async fn has_image(&self, image: &str) -> bool {
        let stale = {
            let images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
            images
                .0
                .is_none_or(|at| at.elapsed() > Duration::from_secs(1))
        };
        if stale {
            let listed = tokio::process::Command::new("ctr")
                .args(["-n", "k8s.io", "images", "ls", "-q"])
                .output()
                .await;
            let names = match listed {
                Ok(output) => String::from_utf8_lossy(&output.stdout)
                    .lines()
                    .map(str::to_owned)
                    .collect(),
                Err(e) => {
                    crate::klog!(error, "cannot list images: ctr: {e}");
                    HashSet::new()
                }
            };
            *self.images.lock().unwrap_or_else(PoisonError::into_inner) =
                (Some(Instant::now()), names);
        }
        let images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        images.1.contains(image)
            || images.1.contains(&format!("docker.io/library/{image}"))
            || images.1.contains(&format!("docker.io/{image}"))
    }
}

/// Why the node's network is not ready; None if it is.
pub fn network() -> Option<String> {
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
