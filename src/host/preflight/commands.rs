//! Commands that we or Kubernetes need.

use super::report::{HostCheck, Report};
use super::subject::Subject;
use crate::inventory::{Cluster, CniType};

pub(super) const CHECK: HostCheck = HostCheck {
    names: &["FileExisting-*"],
    run: check_commands,
};

fn check_commands(cluster: &Cluster, subject: &Subject<'_>, report: &mut Report<'_>) {
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
    if cluster.networking.cni == CniType::Bridge {
        let check = "FileExisting-ip";
        if gathered.commands.contains("ip") {
            report.pass(check);
        } else if gathered.facts.package_manager.is_empty() {
            report.error(
                check,
                "there is no `ip`, and no supported package manager",
                "install iproute2",
            );
        } else {
            report.info(check, "iproute2 will be installed");
        }
    }
}
