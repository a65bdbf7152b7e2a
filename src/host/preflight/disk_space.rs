//! Free space where it will be needed.

use super::report::{HostCheck, Report};
use super::subject::Subject;
use crate::host::facts::DISKS;
use crate::inventory::{Cluster, Etcd};

/// Free space in bytes, by use: below the first nothing fits (images of a
/// control plane take about 1.2 GiB unpacked), below the second it soon gets
/// tight.
const SPACE: [(&str, u64, u64); 3] = [
    ("etcd", 1 << 30, 4 << 30),
    ("kubelet", 1 << 30, 4 << 30),
    ("containerd", 3 << 30, 10 << 30),
];

pub(super) const CHECK: HostCheck = HostCheck {
    names: &["DiskSpace"],
    run: check_disk_space,
};

fn check_disk_space(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
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
