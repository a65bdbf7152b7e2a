//! A host, and how it is reached.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::inventory::spec::{Arg, ImagePullPolicy, Role, Taint, Tree};

/// A machine.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its name in the inventory.
    pub name: String,
    /// Its Node's name.
    pub node_name: String,
    /// What SSH connects to (before `~/.ssh/config` maps it).
    pub address: String,
    /// The groups that it is in.
    pub groups: Vec<String>,
    /// What it is for, sorted, without duplicates.
    pub roles: Vec<Role>,
    /// Node labels, groups merged.
    pub labels: BTreeMap<String, String>,
    /// Node taints with the defaults resolved.
    pub taints: Vec<Taint>,
    /// The operator's choice; facts decide if it is `None` and `address` is a
    /// name.
    pub advertise_address: Option<IpAddr>,
    /// `unix:///…` socket of the container runtime.
    pub cri_socket: String,
    /// Pull policy of control-plane images.
    pub image_pull_policy: ImagePullPolicy,
    /// More kubelet arguments.
    pub kubelet_extra_args: Vec<Arg>,
    /// `KubeletConfiguration` fields of this host: cluster, groups and host
    /// merged; laid over the defaults on this host.
    pub kubelet_config: Tree,
    /// Checks to demote, lower-case, cluster and groups merged.
    pub preflight_ignore: Vec<String>,
    /// Sysctls in addition to the required ones, cluster and groups merged.
    pub sysctls: BTreeMap<String, String>,
    /// The operator's own files: cluster's, groups', host's; a later one with
    /// the same destination wins.
    pub files: Vec<UserFile>,
    /// How to reach it: host, group and cluster merged; `~/.ssh/config` and
    /// OpenSSH's defaults fill what is `None`.
    pub ssh: SshSettings,
}

impl Host {
    /// Whether it carries the control plane.
    pub fn is_control_plane(&self) -> bool {
        self.roles.contains(&Role::ControlPlane)
    }

    /// The container runtime behind its socket, by the socket's name as kubeadm knows them.
    pub fn runtime(&self) -> ContainerRuntime {
        let socket = &self.cri_socket;
        if socket.contains("crio") {
            ContainerRuntime::CriO
        } else if socket.contains("docker") {
            ContainerRuntime::Docker
        } else {
            ContainerRuntime::Containerd
        }
    }
}

/// What runs a host's containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerRuntime {
    /// containerd.
    Containerd,
    /// CRI-O.
    CriO,
    /// Docker behind cri-dockerd.
    Docker,
}

/// A file of the operator's own.
#[derive(Debug, Clone, Serialize)]
pub struct UserFile {
    /// On the workstation, absolute.
    pub source: PathBuf,
    /// On the host, absolute.
    pub destination: String,
    /// `user:group`.
    pub owner: String,
    /// Permission bits.
    pub mode: u32,
    /// Whether the operator gave them.
    pub has_mode: bool,
    /// Whether it is a minijinja template.
    pub template: bool,
    /// Whether its content must not be shown.
    pub secret: bool,
}

/// How to reach a host. `None`: `~/.ssh/config` decides, then OpenSSH's
/// defaults.
#[derive(Debug, Clone, Default)]
pub struct SshSettings {
    /// User to log in as.
    pub user: Option<String>,
    /// Port.
    pub port: Option<u16>,
    /// Private key, absolute.
    pub private_key: Option<PathBuf>,
    /// File with the key's passphrase, absolute.
    pub passphrase_file: Option<PathBuf>,
    /// Whether to offer the agent's keys.
    pub agent: bool,
    /// Become root by sudo; `None`: if the user is not root.
    pub become_root: Option<bool>,
    /// File with the sudo password, absolute.
    pub become_password_file: Option<PathBuf>,
    /// `[user@]host[:port]`, several joined by commas.
    pub proxy_jump: Option<String>,
    /// More known_hosts files, absolute.
    pub known_hosts: Vec<PathBuf>,
    /// Time to connect and shake hands.
    pub connect_timeout: Option<Duration>,
    /// Whether to read `~/.ssh/config`.
    pub use_ssh_config: bool,
}
