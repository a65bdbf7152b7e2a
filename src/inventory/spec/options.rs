//! How a run goes about it: SSH, artifacts, the container runtime, checks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Tree;

/// A bootstrap token of the operator's own.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BootstrapToken {
    /// `[a-z0-9]{6}.[a-z0-9]{16}`.
    pub token: String,
    /// How long it lives, such as `24h`. Default 24h; `0` for ever.
    pub ttl: Option<String>,
    /// What it may be used for. Default: `signing` and `authentication`.
    pub usages: Option<Vec<String>>,
    /// Groups that it authenticates as, beside `system:bootstrappers`.
    pub groups: Option<Vec<String>>,
    /// For humans.
    pub description: Option<String>,
}

/// A directory on the workstation, relative to the inventory.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Directory {
    /// Its path.
    pub directory: String,
}

/// How long to wait for what (kubeadm's names; durations such as `4m0s`).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Timeouts {
    /// API server, controller manager and scheduler to be healthy. Default 4m.
    pub control_plane_component_health_check: Option<String>,
    /// The kubelet's `/healthz`. Default 4m.
    pub kubelet_health_check: Option<String>,
    /// One call to the API, retries included. Default 1m.
    #[serde(rename = "kubernetesAPICall")]
    pub kubernetes_api_call: Option<String>,
    /// One call to etcd, retries included. Default 2m.
    #[serde(rename = "etcdAPICall")]
    pub etcd_api_call: Option<String>,
    /// The kubelet's TLS bootstrap. Default 5m.
    pub tls_bootstrap: Option<String>,
    /// A joined node to become Ready. Ours, not kubeadm's. Default 5m.
    pub node_ready: Option<String>,
}

/// How hosts are reached. What is unset falls back to the group, the cluster,
/// `~/.ssh/config` and OpenSSH's defaults, in this order.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ssh {
    /// User to log in as.
    pub user: Option<String>,
    /// Port. Default 22.
    pub port: Option<u16>,
    /// Private key file, relative to the inventory; `~` is the home directory.
    pub private_key: Option<String>,
    /// File whose first line is the key's passphrase. Default: asked for once.
    pub passphrase_file: Option<String>,
    /// Whether to offer the agent's keys. Default true.
    pub agent: Option<bool>,
    /// Become root by sudo. Default: only if the user is not root.
    #[serde(rename = "become")]
    pub become_root: Option<bool>,
    /// File whose first line is the sudo password. Default: asked for once,
    /// if sudo wants one.
    pub become_password_file: Option<String>,
    /// Host to go through: `[user@]host[:port]`, several joined by commas.
    pub proxy_jump: Option<String>,
    /// More known_hosts files, relative to the inventory.
    pub known_hosts: Option<Vec<String>>,
    /// Time to connect and shake hands, such as `10s`. Default 10s.
    pub connect_timeout: Option<String>,
    /// Whether to read `~/.ssh/config`. Default true.
    pub use_ssh_config: Option<bool>,
}

/// Where Kubernetes itself comes from.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Artifacts {
    /// `online` or `directory`. Default `online`.
    #[serde(default)]
    pub source: ArtifactSource,
    /// With `directory`: where, relative to the inventory.
    pub path: Option<String>,
    /// With `online`: mirrors that replace the upstream sites.
    #[serde(default)]
    pub mirrors: Mirrors,
}

/// Kinds of source for Kubernetes' components.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactSource {
    /// The upstream sites, through the user's cache.
    #[default]
    Online,
    /// A directory on the workstation.
    Directory,
}

/// Base URLs that replace the upstream sites.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mirrors {
    /// Default `https://dl.k8s.io`.
    pub kubernetes: Option<String>,
    /// Default `https://github.com/containernetworking/plugins/releases/download`.
    pub cni_plugins: Option<String>,
    /// Default `https://github.com/kubernetes-sigs/cri-tools/releases/download`.
    pub cri_tools: Option<String>,
}

/// The container runtime.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Runtime {
    /// containerd, the only one that we install and configure.
    #[serde(default)]
    pub containerd: Containerd,
}

/// containerd.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Containerd {
    /// Any containerd config (version 3), deep-merged over ours.
    #[serde(default, skip_serializing_if = "Tree::is_empty")]
    pub config: Tree,
    /// Whether to install and configure it. Default true; false leaves all of
    /// it to you.
    pub managed: Option<bool>,
}

/// Checks to demote from errors to warnings.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Preflight {
    /// kubeadm's names, case-insensitive; `all` for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
}
