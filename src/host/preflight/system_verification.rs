//! kubeadm's `SystemVerification`: kernel, its configuration, cgroups.

use super::report::{HostCheck, Report};
use super::subject::Subject;
use crate::host::facts::KERNEL_OPTIONS;
use crate::inventory::Cluster;

pub(super) const CHECK: HostCheck = HostCheck {
    names: &["SystemVerification"],
    run: check,
};

/// kubeadm's `SystemVerification`: kernel, its configuration, cgroups. Several
/// faults are one finding, as bad as the worst.
fn check(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
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
