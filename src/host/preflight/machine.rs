//! The machine itself: who we are on it, its architecture and its size.

use super::report::{HostCheck, Report};
use super::subject::Subject;
use crate::inventory::Cluster;

/// kubeadm's minimum for a control plane, in bytes (1700 MiB).
const MIN_MEMORY: u64 = 1700 << 20;

pub(super) const CHECK: HostCheck = HostCheck {
    names: &[
        "IsPrivilegedUser",
        "Systemd",
        "Architecture",
        "NumCPU",
        "Mem",
    ],
    run: check_machine,
};

fn check_machine(_: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
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
