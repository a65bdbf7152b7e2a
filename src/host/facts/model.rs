//! What a host told about itself.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::containerd::ContainerdFiles;

/// Facts that rendering and preflight need, gathered by one exec per host, or
/// read from the file that `render --facts` names. A field that a host didn't
/// tell is empty or `None`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Facts {
    /// Lower-cased host name, as the kubelet would see it.
    pub hostname: String,
    /// Go's name of the architecture: `amd64`, `arm64`.
    pub arch: String,
    /// `ID` of /etc/os-release, such as `debian`.
    pub os_id: String,
    /// `VERSION_ID` of /etc/os-release.
    pub os_version: String,
    /// `PRETTY_NAME` of /etc/os-release.
    pub os_name: String,
    /// `uname -r`.
    pub kernel: String,
    /// 1 or 2.
    pub cgroup_version: u8,
    /// Source address of the default route (IPv4 first).
    pub default_ip: Option<IpAddr>,
    /// Interface of the default route.
    pub default_interface: String,
    /// Every global address: `(interface, address, prefix length)`.
    pub addresses: Vec<Address>,
    /// Whether systemd-resolved runs.
    pub systemd_resolved: bool,
    /// CA directories beside /etc/ssl/certs that exist, out of the five that
    /// kubeadm mounts (see the module `kubernetes`).
    pub ca_directories: Vec<String>,
    /// `http_proxy`-like variables of root's environment (/etc/environment
    /// included), as `(name, value)`.
    pub proxy_env: Vec<(String, String)>,
    /// `kubelet --version`, such as `v1.36.2`, if there is one at /usr/bin.
    pub kubelet_version: Option<String>,
    /// containerd's version, such as `2.1.9`, if there is one.
    pub containerd_version: Option<String>,
    /// The name of a [`PackageManager`](crate::host::PackageManager), or empty.
    pub package_manager: String,
    /// Directory that holds CNI plugins already: `/opt/cni/bin` or
    /// `/usr/lib/cni`, if `bridge` and `host-local` are there.
    pub cni_bin_dir: Option<String>,
    /// Processors.
    pub cpus: u32,
    /// Bytes of memory.
    pub memory: u64,
    /// /etc/machine-id.
    pub machine_id: String,
    /// DMI product_uuid; empty where there is none.
    pub product_uuid: String,
    /// Active swap devices.
    pub swap: Vec<String>,
    /// Name servers of the resolv.conf that pods would inherit.
    pub nameservers: Vec<IpAddr>,
    /// MTU of the default route's interface.
    pub mtu: u32,
    /// Whether a working kubelet.conf says that this host has joined.
    pub joined: bool,
    /// `--initial-cluster` of the etcd manifest on the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etcd_initial_cluster: Option<String>,
    /// Its `--initial-cluster-state`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etcd_initial_cluster_state: Option<String>,
    /// Whether there is a super-admin.conf.
    pub super_admin: bool,
    /// `server` in the host's kubelet.conf, such as `https://127.0.0.1:6443`.
    pub kubelet_server: Option<String>,
    /// When the client certificate of the host's kubelet ends; `None` if it has none.
    pub kubelet_certificate_end: Option<Timestamp>,
    /// containerd's configuration. Templates don't see it.
    #[serde(skip)]
    pub containerd: ContainerdFiles,
    /// Version of `kubeadm` at /usr/bin, if there is one.
    pub kubeadm_version: Option<String>,
}

impl Facts {
    /// Whether the kubelet has a client certificate, and it has ended: it can't get the next
    /// one with it.
    pub fn kubelet_has_ended(&self, now: Timestamp) -> bool {
        self.kubelet_certificate_end.is_some_and(|end| end <= now)
    }
}

/// An address of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Address {
    /// Interface that carries it.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
    /// Length of its network's prefix.
    pub prefix: u8,
}
