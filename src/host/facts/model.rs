//! What a host told about itself.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::containerd::ContainerdFiles;
use crate::inventory::Host;

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
    /// MTU of each interface.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub mtus: BTreeMap<String, u32>,
    /// Whether programs go to /opt/bin and units to /etc/systemd/system: /usr can't be written,
    /// or could not when they were put there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub uses_opt: bool,
    /// `http_proxy`-like variables that containerd should have: those of root, and those that
    /// systemd gives to all units. Empty if it has others from files that are not ours.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runtime_proxies: Vec<(String, String)>,
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
    /// The address that a host's API server, etcd and kubelet advertise: what the inventory
    /// says; else the address that SSH connects to, if it is one that the host really has (it
    /// has not behind address translation); else the address of its default route, or the only
    /// one that it has.
    pub fn advertised(&self, host: &Host) -> Option<IpAddr> {
        if host.advertise_address.is_some() {
            return host.advertise_address;
        }
        let connected: Option<IpAddr> = host.address.parse().ok();
        let own = |address: &IpAddr| {
            let known = self.addresses.iter().any(|own| own.address == *address);
            !address.is_loopback() && (known || self.addresses.is_empty())
        };
        let only = match self.addresses.as_slice() {
            [only] => Some(only.address),
            _ => None,
        };
        connected.filter(own).or(self.default_ip).or(only)
    }

    /// The addresses that its node has: the advertised one, and in a cluster of both families
    /// one of the other family, on the same interface if there is one, else on that of the
    /// default route.
    pub fn node_addresses(&self, host: &Host, both_families: bool) -> Vec<IpAddr> {
        let Some(first) = self.advertised(host) else {
            return Vec::new();
        };
        let other = |interface: &str| {
            let mut own = self.addresses.iter();
            let fits = own
                .find(|own| own.interface == interface && own.address.is_ipv4() != first.is_ipv4());
            fits.map(|own| own.address)
        };
        let carrier = self.addresses.iter().find(|own| own.address == first);
        let carrier = carrier.and_then(|own| other(&own.interface));
        let second = carrier.or_else(|| other(&self.default_interface));
        [first]
            .into_iter()
            .chain(second.filter(|_| both_families))
            .collect()
    }

    /// The MTU of the interface that carries `address`, else that of the default route's;
    /// 0 if neither is known.
    pub fn mtu_of(&self, address: IpAddr) -> u32 {
        let carrier = self.addresses.iter().find(|own| own.address == address);
        let own = carrier.and_then(|own| self.mtus.get(&own.interface));
        own.copied().unwrap_or(self.mtu)
    }

    /// Whether the kubelet has a client certificate, and it has ended: it can't get the next
    /// one with it.
    pub fn kubelet_has_ended(&self, now: Timestamp) -> bool {
        self.kubelet_certificate_end.is_some_and(|end| end <= now)
    }
}

/// A route of a host's main table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where it leads.
    pub to: IpNet,
    /// The gateway; `None` for what is on the link.
    pub via: Option<IpAddr>,
    /// The interface.
    pub device: String,
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
