//! kubeadm's `SystemVerification`: kernel, its configuration, cgroups.

use super::report::{HostCheck, Report};
use super::subject::Subject;
use crate::host::facts::{Gathered, KERNEL_OPTIONS};
use crate::inventory::Cluster;

pub(super) const CHECK: HostCheck = HostCheck {
    names: &["SystemVerification"],
    run: verify_system,
};

const NAME: &str = "SystemVerification";

/// What is wrong: the whole is as bad as the worst of it.
#[derive(Default)]
struct Faults {
    errors: Vec<String>,
    warnings: Vec<String>,
}

fn verify_system(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
    let mut faults = Faults::default();
    check_kernel(subject.gathered, &mut faults);
    check_cgroups(cluster, subject.gathered, &mut faults);
    let Faults {
        mut errors,
        warnings,
    } = faults;
    let remedy = remedy(subject);
    if !errors.is_empty() {
        errors.extend(warnings);
        report.error(NAME, errors.join("; "), remedy);
    } else if !warnings.is_empty() {
        report.warn(NAME, warnings.join("; "), remedy);
    } else {
        report.pass(NAME);
    }
}

fn uses_cgroup_v2(gathered: &Gathered) -> bool {
    gathered.facts.cgroup_version == 2
}

fn check_kernel(gathered: &Gathered, faults: &mut Faults) {
    let release = &gathered.facts.kernel;
    if !kernel_is_supported(release) {
        let supported = "5.4, 5.10, 5.15, and 6 or newer";
        let warning = format!("kernel {release} is not supported ({supported})");
        faults.warnings.push(warning);
    }
    // kubeadm calls this an error; but that the configuration can't be read says nothing
    // about the kernel.
    let Some(found) = &gathered.kernel_options else {
        let warning = "the kernel's configuration was not found, so it wasn't checked";
        faults.warnings.push(warning.into());
        return;
    };
    let mut wanted: Vec<&str> = KERNEL_OPTIONS.to_vec();
    wanted.extend(match uses_cgroup_v2(gathered) {
        true => ["CGROUP_BPF"].as_slice(),
        false => ["CGROUP_CPUACCT", "CGROUP_DEVICE", "CGROUP_FREEZER"].as_slice(),
    });
    // kubeadm accepts this older name of the option, too.
    let older_name = found.contains("IP_NF_TARGET_REDIRECT");
    wanted.retain(|option| !found.contains(*option));
    wanted.retain(|option| !(older_name && *option == "NETFILTER_XT_TARGET_REDIRECT"));
    if !wanted.is_empty() {
        let missing = wanted.join(", CONFIG_");
        let error = format!("the kernel lacks CONFIG_{missing}");
        faults.errors.push(error);
    }
}

fn check_cgroups(cluster: &Cluster, gathered: &Gathered, faults: &mut Faults) {
    let v2 = uses_cgroup_v2(gathered);
    let missing = |name: &&str| !gathered.cgroup_controllers.contains(*name);
    let mut required = vec!["cpu", "cpuset", "memory", "pids"];
    if !v2 {
        required.extend(["cpuacct", "devices", "freezer"]);
    }
    required.retain(missing);
    // cgroup v2 has no controller for this, but a file in each cgroup.
    if v2 && !gathered.cgroup_freezer {
        required.push("freezer");
    }
    if !required.is_empty() {
        let names = required.join(", ");
        let error = format!("cgroup controllers are missing: {names}");
        faults.errors.push(error);
    }
    let mut optional = vec!["hugetlb", if v2 { "io" } else { "blkio" }];
    optional.retain(missing);
    if !optional.is_empty() {
        let names = optional.join(", ");
        let warning = format!("optional cgroup controllers are missing: {names}");
        faults.warnings.push(warning);
    }
    if !v2 {
        let text = "the host uses cgroup v1";
        match cluster.version.minor >= 35 {
            true => {
                let error = format!("{text}, which the kubelet refuses from v1.35 on");
                faults.errors.push(error);
            }
            false => {
                let warning = format!("{text}, which is in maintenance mode");
                faults.warnings.push(warning);
            }
        }
    }
}

fn remedy(subject: &Subject<'_>) -> &'static str {
    if uses_cgroup_v2(subject.gathered) {
        return "boot another kernel, or demote the check with preflight.ignore: [SystemVerification]";
    }
    let mut ignored = subject.host.preflight_ignore.iter();
    let ignored = ignored.any(|name| name == "all" || *name == NAME.to_lowercase());
    let accepted = subject.host.kubelet_config.get("failCgroupV1") == Some(&false.into());
    match accepted && ignored {
        true => "boot with systemd.unified_cgroup_hierarchy=1 before Kubernetes drops cgroup v1",
        false => {
            "boot with systemd.unified_cgroup_hierarchy=1; or set kubelet.config.failCgroupV1: false and \
             preflight.ignore: [SystemVerification]"
        }
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
