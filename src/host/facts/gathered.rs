//! What one probe of a host brings.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::model::{Facts, Route};
use super::running::Running;
use crate::host::owner::Owner;
use crate::host::systemd::UnitState;

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
    /// Routes of the main table, default routes included; empty if the host has no `ip`.
    pub routes: Vec<Route>,
    /// Whether the package manager was interrupted at work.
    pub packages_interrupted: bool,
    /// Whether /usr can't be written.
    pub read_only_usr: bool,
    /// Proxies that files which are not ours give to containerd: path, name, value.
    pub runtime_proxy_files: Vec<(String, String, String)>,
    /// The container runtime.
    pub runtime: Runtime,
    /// Whether SELinux enforces.
    pub selinux_enforcing: bool,
    /// `certificate-authority-data` of the host's kubelet.conf, base64.
    pub kubelet_ca: Option<String>,
    /// The cluster that the receipt on the host names.
    pub receipt_owner: Option<Owner>,
    /// The files of its authorities, by their path below `certificatesDir`: certificates and
    /// the public key of service account tokens in PEM form. Of a key only that it exists.
    pub authorities: BTreeMap<String, String>,
    /// Whether etcd has data: there is a manifest, and the log that it names.
    pub etcd_has_data: bool,
    /// Whether etcd still runs on data that was deleted under it.
    pub etcd_data_deleted: bool,
    /// What kubelet and container runtime read beside what may be ours.
    pub beside: Beside,
    /// The kubelet's own certificates, PEM, by path.
    pub kubelet_certificates: BTreeMap<String, String>,
    /// What its components run with.
    pub running: Running,
    /// The host's clock when the probe started and when it ended, in
    /// nanoseconds since 1970.
    pub clock: (i128, i128),
    /// How far the host's clock is ahead of the workstation's, in nanoseconds,
    /// once [`Gathered::timed`] was told.
    pub clock_offset: Option<i128>,
}

/// What kubelet and container runtime read of a host's files, whoever put it there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beside {
    /// Files that the kubelet takes for manifests of static pods.
    pub manifests: Vec<ManifestFile>,
    /// Names of CNI configurations.
    pub networks: Vec<String>,
    /// Paths of the kubelet's unit file and of its drop-ins.
    pub units: Vec<String>,
    /// Files that set `KUBELET_EXTRA_ARGS`, with that line.
    pub arguments: Vec<(String, String)>,
}

/// A file that the kubelet takes for a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestFile {
    /// Its absolute path.
    pub path: String,
    /// Whether the receipt on the host lists it.
    pub is_ours: bool,
    /// The component of ours that it names, if it does.
    pub component: Option<String>,
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
}
