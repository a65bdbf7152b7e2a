//! The probe that tells what a machine is.

use super::running;
use crate::host::error::HostError;
use crate::host::packages::package_manager_commands;
use crate::host::wire::{quote, relative};
use crate::inventory::{Cluster, Etcd, Host};
use crate::layout::components::{COMPONENTS, STATIC_PODS};
use crate::layout::paths;
use ssh::Script;

/// Where CNI plugins live: upstream's place, Debian's place.
pub(in crate::host) const CNI_DIRECTORIES: [&str; 2] =
    [paths::CNI_BIN_DIR, paths::CNI_BIN_DIR_DEBIAN];

/// Kernel options that kubeadm v1.36 demands (its `SystemVerification`).
pub(in crate::host) const KERNEL_OPTIONS: [&str; 16] = [
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

/// Names in [`Gathered::disks`], in the order in which the script answers.
pub(in crate::host) const DISKS: [&str; 3] = ["etcd", "kubelet", "containerd"];

/// The probe for one host. It reads only.
///
/// # Errors
///
/// A path of the inventory that can't be carried.
// Long: everything that the script is told, by name.
pub fn gather(cluster: &Cluster, host: &Host) -> Result<Script, HostError> {
    let endpoint = cluster
        .control_plane_endpoint
        .as_ref()
        .filter(|endpoint| endpoint.ip().is_none())
        .map_or("", |endpoint| endpoint.host.as_str());
    let mut paths = Vec::new();
    for pod in STATIC_PODS {
        paths.push(relative(&paths::manifest(pod))?);
    }
    paths.push(relative(&format!("{}/ca.crt", cluster.certificates_dir))?);
    for conf in ["kubelet", "bootstrap-kubelet", "super-admin"] {
        paths.push(format!("./etc/kubernetes/{conf}.conf"));
    }
    for directory in paths::CA_DIRECTORIES {
        paths.push(relative(directory)?);
    }
    for directory in CNI_DIRECTORIES {
        for plugin in ["bridge", "host-local"] {
            paths.push(format!(".{directory}/{plugin}"));
        }
    }
    paths.push("./run/systemd/system".into());
    let directories: Vec<String> = [data_dir(cluster), paths::KUBELET_DIR, paths::CONTAINERD_DIR]
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

    let running_files: Vec<String> = running::files()
        .iter()
        .map(|path| relative(path))
        .collect::<Result<_, _>>()?;

    let mut text = String::new();
    for (name, value) in [
        ("endpoint", endpoint),
        ("cri_socket", socket),
        ("paths", &paths.join("\n")),
        ("certificates", &relative(&cluster.certificates_dir)?),
        ("directories", &directories.join("\n")),
        ("kernel_options", &options.join("\n")),
        ("components", &format!("({})", COMPONENTS.join("|"))),
        ("package_managers", &package_manager_commands().join(" ")),
        ("running_files", &running_files.join("\n")),
        ("running_flags", &running::FLAGS.join("|")),
        ("running_fields", &running::KUBELET_FIELDS.join("|")),
    ] {
        text += &format!("{name}={}\n", quote(value));
    }
    Ok(Script {
        name: "gather facts".into(),
        text: text
            + include_str!("../scripts/safe.sh")
            + include_str!("../scripts/package_state.sh")
            + include_str!("../scripts/gather.sh"),
        input: Vec::new(),
    })
}

/// Where etcd keeps its data on control planes.
pub(in crate::host) fn data_dir(cluster: &Cluster) -> &str {
    match &cluster.etcd {
        Etcd::Local(local) => &local.data_dir,
        Etcd::External(_) => paths::ETCD_DATA_DIR,
    }
}
