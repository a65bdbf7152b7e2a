//! The probe that tells what a machine is: its script, and what comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::facts_from::facts;
use super::wire::{Sections, quote, relative};
use super::{Facts, HostError};
use crate::inventory::{Cluster, Etcd, Host};
use ssh::Script;

/// Where kubeadm's static pods live.
pub(super) const MANIFESTS: &str = "/etc/kubernetes/manifests";

/// The static pods that kubeadm refuses to overwrite.
pub(super) const STATIC_PODS: [&str; 4] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "etcd",
];

/// The directories of CA certificates that kubeadm mounts into control-plane
/// pods where they exist, beside /etc/ssl/certs (kubeadm v1.36).
pub(super) const CA_DIRECTORIES: [&str; 5] = [
    "/etc/ca-certificates",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/usr/local/share/ca-certificates",
    "/usr/share/ca-certificates",
];

/// Where CNI plugins live: upstream's place, Debian's place.
pub(super) const CNI_DIRECTORIES: [&str; 2] = ["/opt/cni/bin", "/usr/lib/cni"];

/// Kernel options that kubeadm v1.36 demands (its `SystemVerification`).
pub(super) const KERNEL_OPTIONS: [&str; 16] = [
    "NAMESPACES",
    "NET_NS",
    "PID_NS",
    "IPC_NS",
    "UTS_NS",
    "CPUSETS",
    "MEMCG",
    "INET",
    "EXT4_FS",
    "PROC_FS",
    "NETFILTER_XT_TARGET_REDIRECT",
    "NETFILTER_XT_MATCH_COMMENT",
    "FAIR_GROUP_SCHED",
    "CGROUPS",
    "CGROUP_PIDS",
    "CGROUP_SCHED",
];

/// Options that only one of the two cgroup versions needs, and an older name
/// of another.
const MORE_KERNEL_OPTIONS: [&str; 5] = [
    "IP_NF_TARGET_REDIRECT",
    "CGROUP_BPF",
    "CGROUP_CPUACCT",
    "CGROUP_DEVICE",
    "CGROUP_FREEZER",
];

/// What one probe of a host brought: its facts, and beside them what only
/// preflight reads.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gathered {
    /// What rendering reads, too.
    pub facts: Facts,
    /// User id that the probe ran as.
    pub uid: u32,
    /// Commands in PATH, out of those that we ask for.
    pub commands: BTreeSet<String>,
    /// Paths that exist, out of those that we ask for.
    pub present: BTreeSet<String>,
    /// Directories that hold something, out of those that we ask for.
    pub filled: BTreeSet<String>,
    /// Free space, by directory.
    pub disks: BTreeMap<String, u64>,
    /// Units by name: load state, active state, unit-file state.
    pub units: BTreeMap<String, UnitState>,
    /// TCP sockets that listen.
    pub listeners: Vec<Listener>,
    /// Kernel options that are built in or modules; `None` if the kernel's
    /// configuration is nowhere to be found.
    pub kernel_options: Option<BTreeSet<String>>,
    /// cgroup controllers.
    pub cgroup_controllers: BTreeSet<String>,
    /// Whether cgroups can be frozen (cgroup v2).
    pub cgroup_freezer: bool,
    /// Values below /proc/sys, by dotted name.
    pub sysctls: BTreeMap<String, String>,
    /// Lines of the /etc/resolv.conf that says `nameserver`.
    pub resolv_conf: Vec<IpAddr>,
    /// What the host's own name resolves to; `None` if `getent` is missing.
    pub hostname_addresses: Option<Vec<IpAddr>>,
    /// What the control-plane endpoint's name resolves to; `None` if it was
    /// not asked, or `getent` is missing.
    pub endpoint_addresses: Option<Vec<IpAddr>>,
    /// The container runtime.
    pub runtime: Runtime,
    /// Whether SELinux enforces.
    pub selinux_enforcing: bool,
    /// `certificate-authority-data` of the host's kubelet.conf, base64.
    pub kubelet_ca: Option<String>,
    /// The cluster that the receipt on the host names.
    pub receipt_cluster: Option<String>,
    /// The host's clock when the probe started and when it ended, in
    /// nanoseconds since 1970.
    pub clock: (i128, i128),
    /// How far the host's clock is ahead of the workstation's, in nanoseconds,
    /// once [`Gathered::timed`] was told.
    pub clock_offset: Option<i128>,
}

/// The container runtime behind the CRI socket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Runtime {
    /// There is no socket.
    #[default]
    Absent,
    /// There is a socket that doesn't answer.
    Silent,
    /// It answers, but doesn't serve the CRI.
    NoCri,
    /// It serves the CRI.
    Ready,
}

/// What systemd says about a unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitState {
    /// `loaded`, `not-found`, `masked`.
    pub load: String,
    /// `active`, `inactive`, `activating`, `failed`.
    pub active: String,
    /// More of the same: `running`, `dead`, `auto-restart`; empty if nobody asked.
    pub sub: String,
    /// `enabled`, `disabled`, `static`, `masked`, or empty.
    pub file: String,
}

/// A TCP socket that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its port.
    pub port: u16,
    /// Who listens, as far as that could be told. More than one: a process and
    /// the children to which it gave the socket, be it for the moment between
    /// fork and exec.
    pub processes: Vec<String>,
}

impl Gathered {
    /// Tells when the probe was sent and when its answer was complete, by the
    /// workstation's clock. The host's two times lie between these two, so the
    /// offset is known up to half the time that the network took (as in NTP).
    pub fn timed(&mut self, sent: SystemTime, received: SystemTime) {
        if self.clock.0 == 0 {
            return;
        }
        let nanos = |time: SystemTime| {
            let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
            i128::try_from(since.as_nanos()).unwrap_or(i128::MAX)
        };
        let ahead = self.clock.0.saturating_sub(nanos(sent));
        let behind = self.clock.1.saturating_sub(nanos(received));
        self.clock_offset = Some(ahead.saturating_add(behind) / 2);
    }

    /// Whether a unit runs, or is about to.
    pub fn unit_is_active(&self, name: &str) -> bool {
        self.units
            .get(name)
            .is_some_and(|unit| matches!(unit.active.as_str(), "active" | "activating"))
    }
}

/// The probe for one host. It reads only.
///
/// # Errors
///
/// A path of the inventory that can't be carried.
pub fn gather(cluster: &Cluster, host: &Host) -> Result<Script, HostError> {
    let endpoint = cluster
        .control_plane_endpoint
        .as_ref()
        .filter(|endpoint| endpoint.ip().is_none())
        .map_or("", |endpoint| endpoint.host.as_str());
    let mut paths = Vec::new();
    for pod in STATIC_PODS {
        paths.push(relative(&format!("{MANIFESTS}/{pod}.yaml"))?);
    }
    paths.push(relative(&format!("{}/ca.crt", cluster.certificates_dir))?);
    for conf in ["kubelet", "bootstrap-kubelet", "super-admin"] {
        paths.push(format!("./etc/kubernetes/{conf}.conf"));
    }
    for directory in CA_DIRECTORIES {
        paths.push(relative(directory)?);
    }
    for directory in CNI_DIRECTORIES {
        for plugin in ["bridge", "host-local"] {
            paths.push(format!(".{directory}/{plugin}"));
        }
    }
    paths.push("./run/systemd/system".into());
    let directories: Vec<String> = [data_dir(cluster), "/var/lib/kubelet", "/var/lib/containerd"]
        .into_iter()
        .map(relative)
        .collect::<Result<_, _>>()?;
    let options: Vec<String> = KERNEL_OPTIONS
        .iter()
        .chain(&MORE_KERNEL_OPTIONS)
        .flat_map(|option| [format!("CONFIG_{option}=y"), format!("CONFIG_{option}=m")])
        .collect();
    let socket = host.cri_socket.trim_start_matches("unix://");
    relative(socket)?;

    let mut text = String::new();
    for (name, value) in [
        ("endpoint", endpoint),
        ("cri_socket", socket),
        ("paths", &paths.join("\n")),
        ("directories", &directories.join("\n")),
        ("kernel_options", &options.join("\n")),
    ] {
        text += &format!("{name}={}\n", quote(value));
    }
    Ok(Script {
        name: "gather facts".into(),
        text: text + include_str!("scripts/gather.sh"),
        input: Vec::new(),
    })
}

/// Where etcd keeps its data on control planes.
pub(super) fn data_dir(cluster: &Cluster) -> &str {
    match &cluster.etcd {
        Etcd::Local(local) => &local.data_dir,
        Etcd::External(_) => "/var/lib/etcd",
    }
}

/// Reads what [`gather`]'s script said.
///
/// # Errors
///
/// An answer that isn't one, or that was cut off.
pub fn parse_gathered(raw: &[u8]) -> Result<Gathered, HostError> {
    let sections = Sections::parse(raw, "gather")?;
    let files = Files::of(&sections);
    let machine = sections.text("machine");
    let absolute = |line: String| line.strip_prefix('.').map(str::to_owned).unwrap_or(line);
    let present: BTreeSet<String> = sections.text("present").into_iter().map(absolute).collect();
    let slow = sections.text("slow");
    let said = |who: &str| -> Vec<&str> {
        slow.iter()
            .filter_map(|line| line.strip_prefix(who)?.strip_prefix(' '))
            .collect()
    };
    let commands: BTreeSet<String> = sections.text("commands").into_iter().collect();
    let units = units(&sections.text("units"));
    let joined = sections.text("joined");
    let field = |name: &str| {
        joined
            .iter()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
            .map(str::to_owned)
    };
    let time = |name| {
        let lines = sections.text(name);
        lines
            .first()
            .and_then(|line| line.parse().ok())
            .unwrap_or(0)
    };
    let resolved = |who: &str| commands.contains("getent").then(|| addresses(&said(who)));

    let facts = facts(
        &machine, &files, &sections, &present, &commands, &units, &said,
    );
    let directories = sections.text("disks");
    let kernel = sections.text("kernel");
    Ok(Gathered {
        uid: number(&machine, 4),
        filled: sections.text("filled").into_iter().map(absolute).collect(),
        disks: DISKS
            .iter()
            .zip(&directories)
            .filter_map(|(name, line)| {
                let (size, free) = line.split_once(' ')?;
                let bytes = size.parse::<u64>().ok()?.checked_mul(free.parse().ok()?)?;
                Some(((*name).to_owned(), bytes))
            })
            .collect(),
        listeners: listeners(&sections.text("ports")),
        kernel_options: (!kernel.is_empty()).then(|| {
            kernel
                .iter()
                .filter_map(|line| line.strip_prefix("CONFIG_")?.split('=').next())
                .map(str::to_owned)
                .collect()
        }),
        cgroup_controllers: controllers(&files),
        cgroup_freezer: present.contains("freezer"),
        sysctls: files.sysctls(),
        resolv_conf: files.nameservers("/etc/resolv.conf"),
        hostname_addresses: resolved("hostname"),
        endpoint_addresses: resolved("endpoint"),
        runtime: runtime(&present, &said("cri"), &said("crictl")),
        selinux_enforcing: files.first("/sys/fs/selinux/enforce") == Some("1"),
        kubelet_ca: certificate_authority(sections.raw("joined")),
        receipt_cluster: field("cluster"),
        clock: (time("started"), time("ended")),
        clock_offset: None,
        facts,
        commands,
        present,
        units,
    })
}

/// Longest `certificate-authority-data` that is kept, in bytes: a bundle of a
/// dozen RSA-4096 certificates.
const MAX_CA: usize = 64 << 10;

/// A certificate is longer than the text that is kept of other lines.
fn certificate_authority(lines: &[&[u8]]) -> Option<String> {
    let data = lines.iter().find_map(|line| line.strip_prefix(b"ca "))?;
    let text = std::str::from_utf8(data).ok()?.trim();
    let base64 = |c: u8| c.is_ascii_alphanumeric() || b"+/=".contains(&c);
    (text.len() <= MAX_CA && text.bytes().all(base64)).then(|| text.to_owned())
}

/// Names in [`Gathered::disks`], in the order in which the script answers.
pub(super) const DISKS: [&str; 3] = ["etcd", "kubelet", "containerd"];

/// Small files of the host, each line by the file that it is from.
pub(super) struct Files(Vec<(String, String)>);

impl Files {
    fn of(sections: &Sections<'_>) -> Self {
        let split = |line: String| {
            let (path, text) = line.split_once(':')?;
            Some((
                path.strip_prefix('.').unwrap_or(path).to_owned(),
                text.to_owned(),
            ))
        };
        Files(
            sections
                .text("files")
                .into_iter()
                .filter_map(split)
                .collect(),
        )
    }

    /// Lines of one file.
    pub(super) fn lines<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(name, _)| name == path)
            .map(|(_, line)| line.as_str())
    }

    /// First line of one file.
    pub(super) fn first(&self, path: &str) -> Option<&str> {
        let line = self.0.iter().find(|(name, _)| name == path);
        line.map(|(_, line)| line.trim())
    }

    /// `nameserver` lines of a resolv.conf.
    pub(super) fn nameservers(&self, path: &str) -> Vec<IpAddr> {
        self.lines(path)
            .filter_map(|line| line.trim().strip_prefix("nameserver"))
            .filter_map(|rest| rest.trim().split(['%', ' ']).next()?.parse().ok())
            .collect()
    }

    fn sysctls(&self) -> BTreeMap<String, String> {
        self.0
            .iter()
            .filter_map(|(path, value)| {
                let key = path.strip_prefix("/proc/sys/")?.replace('/', ".");
                Some((key, value.trim().to_owned()))
            })
            .collect()
    }
}

/// Line `index` as a number; 0 if it is none.
pub(super) fn number<T: std::str::FromStr + Default>(lines: &[String], index: usize) -> T {
    lines
        .get(index)
        .and_then(|line| line.trim().parse().ok())
        .unwrap_or_default()
}

/// First words of `getent ahosts` that are addresses, without duplicates.
fn addresses(lines: &[&str]) -> Vec<IpAddr> {
    let found: BTreeSet<IpAddr> = lines
        .iter()
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .collect();
    found.into_iter().collect()
}

/// Blocks of `Key=value`, as `systemctl show` prints them for several units.
pub(super) fn units(lines: &[String]) -> BTreeMap<String, UnitState> {
    let mut units = BTreeMap::new();
    for block in lines.split(|line| line.is_empty()) {
        let value = |key: &str| {
            let line = block
                .iter()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.unwrap_or_default().to_owned()
        };
        let name = value("Id");
        if !name.is_empty() {
            let state = UnitState {
                load: value("LoadState"),
                active: value("ActiveState"),
                sub: value("SubState"),
                file: value("UnitFileState"),
            };
            units.insert(name, state);
        }
    }
    units
}

/// Lines of `ss -ltnp`, or of /proc/net/tcp and tcp6.
fn listeners(lines: &[String]) -> Vec<Listener> {
    let mut listeners: Vec<Listener> = lines
        .iter()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            if words.first() == Some(&"LISTEN") {
                let (_, port) = words.get(3)?.rsplit_once(':')?;
                let users = line.split_once("users:").map_or("", |(_, users)| users);
                let names = users.split("(\"").skip(1);
                let names = names.filter_map(|user| user.split('"').next());
                Some(Listener {
                    port: port.parse().ok()?,
                    processes: names.map(str::to_owned).collect(),
                })
            } else {
                let (_, port) = words.get(1)?.rsplit_once(':')?;
                Some(Listener {
                    port: u16::from_str_radix(port, 16).ok()?,
                    processes: Vec::new(),
                })
            }
        })
        .collect();
    listeners.sort_by_key(|listener| listener.port);
    listeners.dedup();
    listeners
}

fn controllers(files: &Files) -> BTreeSet<String> {
    match files.first("/sys/fs/cgroup/cgroup.controllers") {
        Some(line) => line.split_whitespace().map(str::to_owned).collect(),
        // cgroup v1: name, hierarchy, number of cgroups, enabled.
        None => files
            .lines("/proc/cgroups")
            .filter(|line| !line.starts_with('#') && line.trim_end().ends_with('1'))
            .filter_map(|line| line.split_whitespace().next())
            .map(str::to_owned)
            .collect(),
    }
}

fn runtime(present: &BTreeSet<String>, plugins: &[&str], crictl: &[&str]) -> Runtime {
    if !present.contains("socket") {
        Runtime::Absent
    } else if crictl.iter().any(|line| line.contains("RuntimeVersion"))
        || plugins.iter().any(|line| line.trim_end().ends_with(" ok"))
    {
        Runtime::Ready
    } else if plugins.is_empty() {
        Runtime::Silent
    } else {
        Runtime::NoCri
    }
}

#[cfg(test)]
mod tests;
