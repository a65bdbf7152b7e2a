//! Checks of the machine and its system.

use super::{Report, Subject};
use crate::host::gather::{DISKS, KERNEL_OPTIONS};
use crate::host::prepare::package_of;
use crate::host::prepare::{swap_must_go, sysctls};
use crate::inventory::{Cluster, Etcd};

/// kubeadm's minimum for a control plane, in bytes (1700 MiB).
const MIN_MEMORY: u64 = 1700 << 20;

/// Free space in bytes, by use: below the first nothing fits (images of a
/// control plane take about 1.2 GiB unpacked), below the second it soon gets
/// tight.
const SPACE: [(&str, u64, u64); 3] = [
    ("etcd", 1 << 30, 4 << 30),
    ("kubelet", 1 << 30, 4 << 30),
    ("containerd", 3 << 30, 10 << 30),
];

pub(super) fn check(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    machine(subject, report);
    commands(cluster, subject, report);
    verification(cluster, subject, report);
    kernel(cluster, subject, report);
    swap(subject, report);
    space(cluster, subject, report);
}

fn machine(subject: &Subject<'_>, report: &mut Report<'_>) {
    let (facts, gathered) = (&subject.gathered.facts, subject.gathered);
    report.demand(
        "IsPrivilegedUser",
        gathered.uid == 0,
        format!("commands run as user id {}, not as root", gathered.uid),
        "log in as root, or set ssh.become: true and let the user use sudo",
    );
    report.demand(
        "Systemd",
        gathered.present.contains("/run/systemd/system"),
        "systemd doesn't run",
        "the kubelet and containerd are systemd units: use a system that is booted with systemd",
    );
    report.demand(
        "Architecture",
        matches!(facts.arch.as_str(), "amd64" | "arm64" | "ppc64le" | "s390x"),
        format!("there is no Kubernetes for `{}`", facts.arch),
        "Kubernetes is built for amd64, arm64, ppc64le and s390x",
    );
    if subject.host.is_control_plane() {
        report.demand(
            "NumCPU",
            facts.cpus >= 2,
            format!("{} processor, a control plane needs 2", facts.cpus),
            "give the machine more processors",
        );
        report.demand(
            "Mem",
            facts.memory >= MIN_MEMORY,
            format!(
                "{} MiB of memory, a control plane needs 1700",
                facts.memory >> 20
            ),
            "give the machine more memory",
        );
    }
}

fn commands(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    let gathered = subject.gathered;
    for name in [
        "losetup",
        "mount",
        "cp",
        "sha256sum",
        "stat",
        "base64",
        "xargs",
        "systemctl",
    ] {
        report.demand(
            &format!("FileExisting-{name}"),
            gathered.commands.contains(name),
            format!("there is no `{name}` in PATH"),
            "install coreutils, findutils, util-linux and mount",
        );
    }
    for command in cluster.networking.cni.commands() {
        let check = format!("FileExisting-{command}");
        let package = package_of(command, &gathered.facts);
        if gathered.commands.contains(*command) {
            report.pass(&check);
        } else if gathered.facts.package_manager.is_empty() {
            report.error(
                &check,
                format!("there is no `{command}`, and no package manager that we know"),
                &format!("install {package}"),
            );
        } else {
            report.info(&check, format!("{package} will be installed"));
        }
    }
}

/// kubeadm's `SystemVerification`: kernel, its configuration, cgroups. Several
/// faults are one finding, as bad as the worst.
fn verification(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    const CHECK: &str = "SystemVerification";
    let gathered = subject.gathered;
    let facts = &gathered.facts;
    let mut errors = Vec::new();
    let mut warnings = Vec::new();
    if !kernel_is_supported(&facts.kernel) {
        warnings.push(format!(
            "kernel {} is none of 5.4, 5.10, 5.15 and 6 or later",
            facts.kernel
        ));
    }
    let v2 = facts.cgroup_version == 2;
    match &gathered.kernel_options {
        Some(found) => {
            let mut wanted: Vec<&str> = KERNEL_OPTIONS.to_vec();
            wanted.extend(match v2 {
                true => ["CGROUP_BPF"].as_slice(),
                false => ["CGROUP_CPUACCT", "CGROUP_DEVICE", "CGROUP_FREEZER"].as_slice(),
            });
            let older_name = found.contains("IP_NF_TARGET_REDIRECT");
            let missing: Vec<&str> = wanted
                .into_iter()
                .filter(|option| !found.contains(*option))
                .filter(|option| !(older_name && *option == "NETFILTER_XT_TARGET_REDIRECT"))
                .collect();
            if !missing.is_empty() {
                errors.push(format!(
                    "the kernel lacks CONFIG_{}",
                    missing.join(", CONFIG_")
                ));
            }
        }
        // kubeadm calls this an error; but that nobody can read the
        // configuration says nothing about the kernel.
        None => warnings
            .push("the kernel's configuration is nowhere to be found, so it wasn't checked".into()),
    }
    let has = |name: &str| gathered.cgroup_controllers.contains(name);
    let mut required = vec!["cpu", "cpuset", "memory", "pids"];
    if !v2 {
        required.extend(["cpuacct", "devices", "freezer"]);
    }
    required.retain(|name| !has(name));
    if v2 && !gathered.cgroup_freezer {
        required.push("freezer");
    }
    if !required.is_empty() {
        errors.push(format!(
            "cgroup controllers are missing: {}",
            required.join(", ")
        ));
    }
    let optional = ["hugetlb", if v2 { "io" } else { "blkio" }];
    let missing: Vec<&str> = optional.into_iter().filter(|name| !has(name)).collect();
    if !missing.is_empty() {
        warnings.push(format!(
            "optional cgroup controllers are missing: {}",
            missing.join(", ")
        ));
    }
    if !v2 {
        let text = "the host uses cgroup v1";
        match cluster.version.minor >= 35 {
            true => errors.push(format!("{text}, which the kubelet refuses from v1.35 on")),
            false => warnings.push(format!("{text}, which is in maintenance mode")),
        }
    }
    let ignored = &subject.host.preflight_ignore;
    let ignored = ignored
        .iter()
        .any(|name| name == "all" || *name == CHECK.to_lowercase());
    let accepted = subject.host.kubelet_config.get("failCgroupV1") == Some(&false.into());
    let remedy = match v2 {
        false if accepted && ignored => {
            "boot with systemd.unified_cgroup_hierarchy=1 before Kubernetes drops cgroup v1"
        }
        true => {
            "boot another kernel, or demote the check with preflight.ignore: [SystemVerification]"
        }
        false => {
            "boot with systemd.unified_cgroup_hierarchy=1; or set kubelet.config.failCgroupV1: false and \
             preflight.ignore: [SystemVerification]"
        }
    };
    if !errors.is_empty() {
        errors.extend(warnings);
        report.error(CHECK, errors.join("; "), remedy);
    } else if !warnings.is_empty() {
        report.warn(CHECK, warnings.join("; "), remedy);
    } else {
        report.pass(CHECK);
    }
}

/// Kernels that kubeadm v1.36 knows to work.
fn kernel_is_supported(release: &str) -> bool {
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), _) if major >= 6 => true,
        (Some(5), Some(minor)) => matches!(minor, 4 | 10 | 15),
        _ => false,
    }
}

/// Forwarding and br_netfilter: `apply` sets what can be set.
fn kernel(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    let gathered = subject.gathered;
    let wanted = sysctls(cluster, subject.host);
    for (key, check) in [
        (
            "net.ipv4.ip_forward",
            "FileContent--proc-sys-net-ipv4-ip_forward",
        ),
        (
            "net.ipv6.conf.default.forwarding",
            "FileContent--proc-sys-net-ipv6-conf-default-forwarding",
        ),
    ] {
        match (wanted.get(key), gathered.sysctls.get(key)) {
            (None, _) => {}
            (Some(wanted), _) if wanted != "1" => report.error(
                check,
                format!("the inventory sets {key} to {wanted}"),
                "pods need forwarding: take the sysctl out of the inventory",
            ),
            (_, None) => report.error(
                check,
                format!("the kernel has no {key}"),
                "boot a kernel with this protocol switched on",
            ),
            (_, Some(value)) if value.starts_with('1') => report.pass(check),
            (_, Some(_)) => report.info(check, format!("{key} will be set to 1")),
        }
    }
    let check = "BridgeNetfilter";
    match gathered
        .sysctls
        .get("net.bridge.bridge-nf-call-iptables")
        .map(String::as_str)
    {
        Some("1") => report.pass(check),
        Some(_) => report.info(check, "net.bridge.bridge-nf-call-iptables will be set to 1"),
        None if gathered.commands.contains("modprobe") => {
            report.info(check, "br_netfilter will be loaded")
        }
        None => report.error(
            check,
            "traffic over a bridge doesn't pass iptables, and there is no modprobe",
            "install kmod, or load br_netfilter",
        ),
    }
    if gathered.selinux_enforcing {
        report.info(
            "SELinux",
            "SELinux enforces: pods need the policy of the package container-selinux",
        );
    }
}

fn swap(subject: &Subject<'_>, report: &mut Report<'_>) {
    let devices = &subject.gathered.facts.swap;
    if devices.is_empty() {
        report.pass("Swap");
    } else if !swap_must_go(subject.host) {
        report.info("Swap", "swap is on, and failSwapOn: false allows it");
    } else if subject.gathered.commands.contains("swapoff") {
        report.info(
            "Swap",
            format!("swap on {} will be switched off", devices.join(", ")),
        );
    } else {
        report.error(
            "Swap",
            format!(
                "swap is on ({}), and there is no swapoff",
                devices.join(", ")
            ),
            "switch swap off, or set kubelet.config.failSwapOn: false",
        );
    }
}

fn space(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    let local_etcd = matches!(cluster.etcd, Etcd::Local(_)) && subject.host.is_control_plane();
    let mut errors = Vec::new();
    let mut warnings = Vec::new();
    for (name, minimum, comfortable) in SPACE {
        debug_assert!(DISKS.contains(&name));
        let Some(&free) = subject.gathered.disks.get(name) else {
            continue;
        };
        if name == "etcd" && !local_etcd || subject.owned {
            continue;
        }
        let text = format!(
            "{:.1} GiB free for {name}",
            free as f64 / f64::from(1 << 30)
        );
        if free < minimum {
            errors.push(format!("{text}, {} GiB are needed", minimum >> 30));
        } else if free < comfortable {
            warnings.push(text);
        }
    }
    let remedy = "free space, or put a larger file system there";
    if !errors.is_empty() {
        report.error("DiskSpace", errors.join("; "), remedy);
    } else if !warnings.is_empty() {
        report.warn("DiskSpace", warnings.join("; "), remedy);
    } else {
        report.pass("DiskSpace");
    }
}
